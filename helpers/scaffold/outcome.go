package scaffold

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// outcome is what init answers.
type outcome struct {
	values   values
	Seen     []note     // what was read from the repository
	Files    []file     // that were written, or would be
	Existing []existing // that were there before
	Dry      bool
}

// next are the commands that come now, in their order.
func (o outcome) next() []string {
	v := o.values
	lines := []string{"git add Jenkinsfile Jenkinsfile.prod k8s slipway && git commit -m 'Deliver by Slipway'"}
	if v.Database != "" {
		for _, namespace := range []string{v.StagingNamespace, v.ProductionNamespace} {
			lines = append(lines, fmt.Sprintf("kubectl create secret generic %s -n %s --from-env-file=/dev/stdin  "+
				"# service=..., the password of %s; if it does not exist", v.DatabaseSecret, namespace, v.DatabaseUser))
		}
	}
	if o.writes("k8s/first/staging/kustomization.yaml") {
		lines = append(lines, "kubectl create -k k8s/first/staging", "kubectl create -k k8s/first/prod")
	}
	return append(
		lines,
		"kubectl apply -f slipway/agents.yaml",
		"kubectl create configmap slipway-policy -n "+v.ProductionAgents+
			" --from-file=policy.yaml=slipway/policy.yaml  # if the site has no policy yet",
		"cp slipway/jenkins.yaml \"$CASC_JENKINS_CONFIG/"+v.App+".yaml\"  # where Jenkins has its configuration; then reload it",
		"git push origin HEAD:"+v.Branch+"  # the first staging run",
	)
}

func (o outcome) writes(path string) bool {
	for _, each := range o.Files {
		if each.Path == path {
			return true
		}
	}
	return false
}

// lacking is the error where a file that exists lacks something.
func (o outcome) lacking() error {
	var count int
	for _, each := range o.Existing {
		count += len(each.Lacks)
	}
	if count == 0 {
		return nil
	}
	return slipway.Errorf(slipway.No, "files that init does not change lack %d things", count).
		Next("make the changes that are listed, then run init again")
}

func (o outcome) Text(out io.Writer) error {
	var text strings.Builder
	for _, each := range o.Seen {
		fmt.Fprintf(&text, "found    %s %s (%s)\n", each.What, each.Value, each.Where)
	}
	for _, each := range o.Files {
		if o.Dry {
			fmt.Fprintf(&text, "==> %s <==\n%s\n", each.Path, each.Text)
			continue
		}
		fmt.Fprintf(&text, "written  %s\n", each.Path)
	}
	for _, each := range o.Existing {
		if len(each.Lacks) == 0 {
			fmt.Fprintf(&text, "exists   %s\n", each.Path)
		}
		for _, lack := range each.Lacks {
			fmt.Fprintf(&text, "lacks    %s: %s\n", each.Path, lack)
		}
	}
	if o.Dry {
		fmt.Fprintf(&text, "dry run: %d files would be written, and none was\n", len(o.Files))
	} else if len(o.Files) > 0 {
		fmt.Fprintf(&text, "\nNext, in this order:\n  %s\n", strings.Join(o.next(), "\n  "))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// MarshalJSON gives the files' texts in a dry run only.
func (o outcome) MarshalJSON() ([]byte, error) {
	files := append([]file{}, o.Files...)
	if !o.Dry {
		for i := range files {
			files[i].Text = ""
		}
	}
	return json.Marshal(map[string]any{
		"app": o.values.App, "found": append([]note{}, o.Seen...), "files": files, "existing": append([]existing{}, o.Existing...),
		"dryRun": o.Dry, "next": o.next(),
	})
}

func (o outcome) Answer() slipway.Fields {
	return slipway.Fields{"app": o.values.App, "written": len(o.Files), "dryRun": o.Dry}
}
