package migrate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhatTheAddressSaysComesFirst: before the service, and that before the environment, as psql has it.
func TestWhatTheAddressSaysComesFirst(t *testing.T) {
	url, other := create(t), create(t)
	database := url[strings.LastIndex(url, "/")+1 : strings.Index(url, "?")]
	another := other[strings.LastIndex(other, "/")+1 : strings.Index(other, "?")]
	folder, err := os.MkdirTemp("", "services") // for psql, which is another user
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o755))
	file := filepath.Join(folder, "pg_service.conf")
	require.NoError(t, os.WriteFile(file,
		[]byte(fmt.Sprintf("# services\n[empty]\n\n[ours]\nhost=127.0.0.1\nport=%d\nuser=postgres\ndbname=%s\n"+
			"sslmode=disable\n[away]\nhost=127.0.0.1\nport=1\nuser=postgres\nsslmode=disable\n", shared.Port, another)), 0o644))
	here := fmt.Sprintf("127.0.0.1:%d", shared.Port)
	several := []string{"PGHOST=127.0.0.1,127.0.0.1", fmt.Sprintf("PGPORT=1,%d", shared.Port)}
	read := []string{"PGSERVICEFILE=" + file}
	for _, test := range []struct {
		address     string
		environment []string
	}{
		{"service=ours", read},
		{"postgres://postgres@/" + database + "?service=ours", read},
		{"service=ours dbname=" + database, read},
		{"dbname=" + database, append([]string{"PGSERVICE=ours"}, read...)},
		{"dbname=" + database, []string{"PGSERVICE=ours", "PGSYSCONFDIR=" + folder, "HOME=" + folder}},
		{"service=ours", append([]string{"PGDATABASE=" + database, "PGPORT=1"}, read...)},
		{fmt.Sprintf("service=away port=%d dbname=%s", shared.Port, database), read},
		{"service=away dbname=" + database, append([]string{"PGPORT=" + fmt.Sprint(shared.Port)}, read...)},
		{"service=empty host=127.0.0.1 user=postgres sslmode=disable dbname=" + database,
			append([]string{fmt.Sprintf("PGPORT=%d", shared.Port)}, read...)},
		{"service=nowhere dbname=" + database, read},
		{"dbname=" + database, append([]string{"PGSERVICE=nowhere"}, read...)},
		{"service=ours", []string{"PGSERVICEFILE=" + file + ".gone"}},
		{"postgres://postgres@127.0.0.1:1/" + database + "?sslmode=disable", several},
		{"postgres://postgres@" + here + "/" + database + "?sslmode=disable", several},
		{"user=postgres sslmode=disable dbname=" + database, several},
		{"service=away dbname=" + database, append(several, read...)},
	} {
		t.Run(test.address+" "+strings.Join(test.environment, " "), func(t *testing.T) {
			for _, each := range test.environment {
				name, value, _ := strings.Cut(each, "=")
				t.Setenv(name, value)
			}
			const where = "SELECT current_user || ' ' || current_database()"
			psql := shared.Program("psql", "-X", "-At", "-d", test.address, "-c", where)
			psql.Env = test.environment
			theirs, failed := psql.CombinedOutput()
			ours, err := Connect(t.Context(), test.address)
			if failed != nil {
				require.Error(t, err, "psql: %s", theirs)
				return
			}
			require.NoError(t, err, "psql: %s", theirs)
			t.Cleanup(ours.Close)
			assert.Equal(t, strings.TrimSpace(string(theirs)), one(t, ours, where))
			again, err := Connect(t.Context(), test.address)
			require.NoError(t, err, "the environment is as before")
			again.Close()
		})
	}
}
