package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

const storageClass = `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
`

const persistentVolume = `---
apiVersion: v1
kind: PersistentVolume
metadata: {name: local-%[1]d}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: standard
  local: {path: %[2]q}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node1]}]}]}}
`

// provideStorage offers a few folders of the run as local volumes of the default class.
func (c *Cluster) provideStorage(ctx context.Context) error {
	manifest := storageClass
	for i := range 8 {
		dir := filepath.Join(c.Dir, "volumes", fmt.Sprint(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		manifest += fmt.Sprintf(persistentVolume, i, dir)
	}
	if err := c.kubectl(ctx, manifest, "create", "-f", "-"); err != nil {
		return fmt.Errorf("offering volumes: %w", err)
	}
	return nil
}
