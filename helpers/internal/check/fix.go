package check

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/helpers/internal/kube"
)

// manager owns the fields that --fix has set.
const manager = "slipway-check"

// Apply makes the changes in their order, and tells each that is made. It is a server-side apply: of an object that is there,
// fields that the manifest does not name stay as they are.
func Apply(ctx context.Context, cluster *kube.Cluster, changes []Change, told func(Change)) error {
	for _, change := range changes {
		object := change.Object
		kind, known := resourceOf[object.GetKind()]
		if !known {
			return fmt.Errorf("%s: no such kind is applied", change.Does)
		}
		body, err := json.Marshal(object)
		if err != nil {
			return fmt.Errorf("%s: %w", change.Does, err)
		}
		force := true
		_, err = cluster.Dynamic().Resource(kind).Namespace(object.GetNamespace()).Patch(ctx, object.GetName(), types.ApplyPatchType, body,
			metav1.PatchOptions{FieldManager: manager, Force: &force})
		if err != nil {
			return kube.Explain(err, change.Does)
		}
		told(change)
	}
	return nil
}
