package registry

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// checkRevision refuses an image that does not say that it was built from this commit. Whoever reads the image in the
// registry takes the manifest's annotation before the label, so neither may name another one.
func checkRevision(wanted string, annotations map[string]string, config []byte) error {
	if wanted == "" {
		return nil
	}
	if commit(wanted) != wanted {
		return slipway.Usagef("--require-revision %q is no commit: 40 hexadecimal digits", wanted)
	}
	var content v1.ConfigFile
	if err := json.Unmarshal(config, &content); err != nil {
		return fmt.Errorf("the configuration of the image in the tar cannot be read: %w", err)
	}
	said := []string{content.Config.Labels[revisionKey]}
	if annotation, given := annotations[revisionKey]; given {
		said = append(said, annotation)
	}
	for _, each := range said {
		if commit(each) != wanted {
			return slipway.Errorf(slipway.No, "the image in the tar says that it was built from %s, not from %s", orNothing(each), wanted).
				Next("build it from that commit, with --label %s=%s", revisionKey, wanted)
		}
	}
	return nil
}
