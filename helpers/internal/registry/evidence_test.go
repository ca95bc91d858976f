package registry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	fake "github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEvidenceAddedAtOnceIsAllThere(t *testing.T) {
	for name, options := range map[string][]fake.Option{"with the referrers API": {fake.WithReferrersSupport(true)},
		"with the fallback tag": nil} {
		t.Run(name, func(t *testing.T) {
			client, host := serve(t, options...)
			pushed := push(t, client, host+"/app:latest-1", "c1")
			digest, err := client.Digest(host + "/app@" + pushed.Digest)
			require.NoError(t, err)
			statement := filepath.Join(t.TempDir(), "s")
			require.NoError(t, os.WriteFile(statement, []byte("s"), 0o600))
			var group sync.WaitGroup
			for i := range 4 {
				group.Go(func() {
					_, err := client.AddEvidence(context.Background(), digest, Statement{Type: fmt.Sprintf("kind-%d", i), File: statement})
					assert.NoError(t, err)
				})
			}
			group.Wait()
			listed, err := client.List(t.Context(), digest, nil)
			require.NoError(t, err)
			assert.Len(t, listed.Evidence, 4)
			_, err = client.Verify(t.Context(), digest, []string{"kind-0", "kind-9"}, nil, 0)
			assert.ErrorContains(t, err, "no evidence of the type kind-9")
		})
	}
}
