package safe

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quoted are the texts of a file of testdata: a line each, as Go quotes them.
func quoted(t *testing.T, file string) []string {
	body, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	var texts []string
	for _, line := range strings.Split(strings.TrimSuffix(string(body), "\n"), "\n") {
		text, err := strconv.Unquote(line)
		require.NoError(t, err, line)
		texts = append(texts, text)
	}
	return texts
}

// The siblings of what stands in the tables: headers, YAML, JSON within JSON, URLs, private keys, connection strings, tokens,
// kubeconfig, Docker, npm, netrc, .pgpass, Maven, commands, code, SQL, other languages. Each holds hunter2.
func TestMaskFindsTheSiblings(t *testing.T) {
	for _, text := range quoted(t, "secrets.txt") {
		require.Contains(t, strings.ToLower(text), "hunter2")
		masked := Mask("a line before\n" + text + "\na line behind")
		assert.NotContains(t, masked, "hunter2", "%q", text)
		assert.Contains(t, masked, "a line before\n", "%q", text)
		assert.Contains(t, masked, "\na line behind", "%q", text)
		assert.Equal(t, masked, Mask(masked), "masked twice: %q", text)
	}
}

// What looks like them, and a person must still be able to read.
func TestMaskLeavesWhatOnlyLooksLikeThem(t *testing.T) {
	for _, text := range quoted(t, "plain.txt") {
		assert.Equal(t, text, Mask(text))
		lines := "a line before\n" + text + "\na line behind"
		assert.Equal(t, lines, Mask(lines))
	}
}
