package migrate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lib/pq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// TestAnAddressThatPsqlTakesIsTaken: the same addresses and variables are given to psql.
func TestAnAddressThatPsqlTakesIsTaken(t *testing.T) {
	url := create(t)
	database := url[strings.LastIndex(url, "/")+1 : strings.Index(url, "?")]
	at := fmt.Sprintf("127.0.0.1:%d", shared.Port)
	plain := "postgres://postgres@" + at + "/" + database + "?sslmode=disable"
	execute(t, open(t, url), "DO $$ BEGIN CREATE ROLE \"o'b\\r@x\" SUPERUSER LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;"+
		"CREATE SCHEMA app")
	for _, test := range []struct {
		address  string
		variable string
	}{
		{plain + "&channel_binding=prefer", ""},
		{plain + "&channel_binding=disable&gssencmode=disable", ""},
		{"postgresql://postgres@" + at + "/" + database +
			"?sslmode=disable&gssencmode=prefer&keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3", ""},
		{plain + "&keepalives=0&tcp_user_timeout=1000&sslcompression=0", ""},
		{"postgres://postgres@127.0.0.1:1," + at + "/" + database + "?sslmode=disable", ""},
		{"postgres://postgres@" + at + ",127.0.0.1:1/" + database + "?sslmode=disable&target_session_attrs=read-write", ""},
		{fmt.Sprintf("postgres://postgres@127.0.0.1,localhost:%d/%s?sslmode=disable&port=%d", shared.Port, database, shared.Port), ""},
		{"postgres:///" + database + fmt.Sprintf("?host=127.0.0.1&port=%d&user=postgres&sslmode=disable&application_name=a%%20b",
			shared.Port), ""},
		{"postgres://o%27b%5Cr%40x@" + at + "/" + database + "?sslmode=disable", ""},
		{fmt.Sprintf(`host=127.0.0.1 port = %d user='o\'b\\r@x' dbname='%s' sslmode=disable channel_binding=prefer  keepalives=1`,
			shared.Port, database), ""},
		{fmt.Sprintf("host=127.0.0.1,127.0.0.1 port=1,%d user=postgres dbname=%s sslmode=disable gssencmode=disable", shared.Port, database), ""},
		{plain + "&options=-c%20search_path%3Dapp", ""},
		{plain, "PGGSSENCMODE=disable"},
		{plain, "PGGSSENCMODE=prefer"},
		{plain, "PGCHANNELBINDING=prefer"},
		{plain, "PGREQUIREAUTH="},
		{plain, "PGSSLCOMPRESSION=0"},
		{"postgres://postgres@" + at + "/" + database, "PGSSLMODE=disable"},
	} {
		t.Run(test.address+" "+test.variable, func(t *testing.T) {
			name, value, set := strings.Cut(test.variable, "=")
			psql := shared.Program("psql", "-X", "-At", "-d", test.address, "-c", "SELECT current_user || current_database() || current_schema()")
			if set {
				t.Setenv(name, value)
				psql.Env = []string{test.variable}
			}
			theirs, err := psql.CombinedOutput()
			require.NoError(t, err, string(theirs))
			ours := open(t, test.address)
			assert.Equal(t, strings.TrimSpace(string(theirs)), one(t, ours, "SELECT current_user || current_database() || current_schema()"))
		})
	}
	// Prisma's own words, which psql refuses.
	assert.Equal(t, "app", one(t, open(t, url+"&schema=app&connection_limit=5&pool_timeout=2&pgbouncer=true"), "SELECT current_schema()"))
	for address, says := range map[string]string{
		url + "&no_such_parameter=1":        "no_such_parameter",
		url + "&gssencmode=require":         "gssencmode=require",
		url + "&sslcrl=x":                   "sslcrl",
		url + "&channel_binding=require":    "channel_binding cannot be enforced",
		url + "&require_auth=scram-sha-256": "require_auth cannot be enforced",
		url + "&keepalives_idle=x":          "keepalives_idle",
		"postgres://u:s3cret@h:port/x":      "a port is no number",
		"postgres://u:%zz@h/x":              "the password is not percent-encoded",
		"host=h password='s3cret":           "has no end",
		"s3cret":                            "neither a URL",
		"mysql://u:s3cret@h/x":              "neither a URL",
	} {
		_, err := Connect(t.Context(), address)
		require.Error(t, err, address)
		assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, "%v", err)
		assert.ErrorContains(t, err, says)
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

// TestADemandThatCannotBeEnforcedIsRefused, unless the server's certificate is verified.
func TestADemandThatCannotBeEnforcedIsRefused(t *testing.T) {
	url := create(t)
	for _, variable := range []string{
		"PGREQUIREAUTH=scram-sha-256", "PGREQUIREAUTH=!password", "PGREQUIREAUTH=none", "PGCHANNELBINDING=require",
	} {
		t.Run(variable, func(t *testing.T) {
			name, value, _ := strings.Cut(variable, "=")
			for _, mode := range []string{"disable", "allow", "prefer", "require", "verify-ca"} {
				t.Setenv(name, value)
				_, err := Connect(t.Context(), strings.Replace(url, "sslmode=disable", "sslmode="+mode, 1))
				require.ErrorContains(t, err, "cannot be enforced", mode)
				assert.ErrorContains(t, err, "sslmode=verify-full")
				assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
			}
		})
	}
	require.NoError(t, proven([]string{"channel_binding", "require_auth"}, pq.SSLModeVerifyFull))
	open(t, url+"&channel_binding=prefer&require_auth=").Close()
}
