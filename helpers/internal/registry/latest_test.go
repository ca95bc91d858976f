package registry

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

var standard = regexp.MustCompile(DefaultPattern)

func TestTheNewestWithEvidenceIsTakenAndWhatIsNewerIsNamed(t *testing.T) {
	client, host := serve(t)
	push(t, client, host+"/app:latest-9", "c9c9c9c9c9c9", "staging-verified")
	verified := push(t, client, host+"/app:latest-10", "c10", "scan", "staging-verified")
	push(t, client, host+"/app:latest-11", "c11", "scan")
	push(t, client, host+"/app:feature", "x")
	repository, err := client.Repository(host + "/app")
	require.NoError(t, err)

	found, err := client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}})
	require.NoError(t, err)
	assert.Equal(t, verified.Reference, found.Reference)
	assert.Equal(t, "c10", found.Revision)
	require.Len(t, found.PassedOver, 1)
	assert.Equal(t, "latest-11", found.PassedOver[0].Tag)
	assert.Equal(t, "no evidence of staging-verified", found.PassedOver[0].Why)
	assert.Len(t, found.Evidence, 2)

	found, err = client.Latest(t.Context(), repository, Search{Pattern: standard})
	require.NoError(t, err)
	assert.Equal(t, "latest-11", found.Tag)

	found, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}, At: "latest-9"})
	require.NoError(t, err)
	assert.Equal(t, "latest-9", found.Tag)

	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}, At: "latest-11"})
	assert.Equal(t, slipway.No, slipway.AsError(err).Code)
	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"signed"}})
	assert.ErrorContains(t, err, "no image of")
	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}, Revision: "c9c9c9c9"})
	require.NoError(t, err)
}

func TestOrder(t *testing.T) {
	for _, test := range []struct {
		name      string
		tags      []string
		want      []string
		unmatched int
		fails     string
	}{
		{name: "by number, not by letter", tags: []string{"latest-9", "latest-10", "latest-100"}, want: []string{"latest-100", "latest-10", "latest-9"}},
		{name: "numbers of any length", tags: []string{"latest-99999999999999999999", "latest-100000000000000000000"}, want: []string{"latest-100000000000000000000", "latest-99999999999999999999"}},
		{name: "others are counted", tags: []string{"latest", "v1", "latest-1", "latest-1b"}, want: []string{"latest-1"}, unmatched: 3},
		{name: "one number twice", tags: []string{"latest-7", "latest-007"}, fails: "have the same number"},
		{name: "none", want: []string{}},
		{name: "not in the order of their letters", tags: []string{"latest-3", "latest-2", "latest-005", "latest-10"}, want: []string{"latest-10", "latest-005", "latest-3", "latest-2"}},
		{name: "another's prefix, no number, signs", tags: []string{"latest-", "latest-+1", "latest_1", "xlatest-1", "latest-1-1", "latest-0"}, want: []string{"latest-0"}, unmatched: 5},
	} {
		for _, pattern := range []*regexp.Regexp{standard, regexp.MustCompile(`^(?:latest)-([0-9]+)$`)} { // read without and with the expression
			ordered, unmatched, err := Order(test.tags, pattern)
			if test.fails != "" {
				assert.ErrorContains(t, err, test.fails, test.name)
				continue
			}
			require.NoError(t, err, test.name)
			assert.Equal(t, test.want, ordered, test.name)
			assert.Equal(t, test.unmatched, unmatched, test.name)
		}
	}
}
