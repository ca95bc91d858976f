package migrate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryVersionIsTheServerThatItsNameSays(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, major int) {
		database := open(t, s.create(t))
		found, err := database.Server(t.Context())
		require.NoError(t, err)
		assert.Equal(t, major, found)
		_, err = database.Apply(t.Context(), folder(t, map[string]string{"1_a.sql": "CREATE TABLE a (id int);"}), options)
		require.NoError(t, err)
	})
}
