package safe

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWithoutKnowsEachFormOfASecret(t *testing.T) {
	for _, secret := range []string{
		"hunter2", "p@ss/w:rd#1?%", "two words", "tab\there", "line\nbreak\r\n", `quote"and\slash`,
		"it's", "pässwörd", "<&>!", "a%2Fb", "\x01\x7f-bell", "p'\"\\`$x",
	} {
		quoted, _ := json.Marshal(secret)
		for name, text := range map[string]string{
			"plain": secret, "json": string(quoted), "go": fmt.Sprintf("%q", secret), "ascii": fmt.Sprintf("%+q", secret),
			"query": url.QueryEscape(secret),
			"path":  url.PathEscape(secret), "user": url.UserPassword("bob", secret).String(), "html": html.EscapeString(secret),
			"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64 url": base64.RawURLEncoding.EncodeToString([]byte(secret)),
			"basic 1": base64.StdEncoding.EncodeToString([]byte("bob:" + secret)),
			"basic 2": base64.StdEncoding.EncodeToString([]byte("ada1:" + secret)),
			"basic 3": base64.StdEncoding.EncodeToString([]byte("carol:" + secret)),
			"hex":     hex.EncodeToString([]byte(secret)), "visible": Line(secret),
		} {
			left := Without("the server said "+text+" to us", secret)
			assert.Contains(t, left, mask, "%s of %q: %s", name, secret, text)
			assert.NotContains(t, left, secret, name)
			assert.Contains(t, left, "the server said ")
		}
	}
}

func TestWithoutLeavesTheRest(t *testing.T) {
	assert.Equal(t, "nothing to hide", Without("nothing to hide"))
	assert.Equal(t, "nothing to hide", Without("nothing to hide", "", "  "))
	assert.Equal(t, "user bob, password ****", Without("user bob, password hunter2", "hunter2"))
}

func TestALineOfASecretOfSeveralLines(t *testing.T) {
	assert.Equal(t, "invalid character near ****", Without("invalid character near second-part", "first-part\nsecond-part\n"))
}
