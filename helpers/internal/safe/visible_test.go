package safe

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVisible(t *testing.T) {
	for _, test := range []struct{ name, given, text, line string }{
		{"plain", "fix: a | b, C:\\code, $(x), ünïcödé, 日本, 🙂",
			"fix: a | b, C:\\code, $(x), ünïcödé, 日本, 🙂", "fix: a | b, C:\\code, $(x), ünïcödé, 日本, 🙂"},
		{"lines", "a\nb\r\nc\td", "a\nb\nc\td", `a\nb\r\nc\td`},
		{"carriage return", "10 %\r100 %", `10 %\r100 %`, `10 %\r100 %`},
		{"colour", "\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`, `\x1b[31mred\x1b[0m`},
		{"title", "\x1b]0;owned\x07", `\x1b]0;owned\x07`, `\x1b]0;owned\x07`},
		{"one byte escape", "\u009b2J", `\u009b2J`, `\u009b2J`},
		{"not UTF-8", "a\x9bb\xff", `a\x9bb\xff`, `a\x9bb\xff`},
		{"null and delete", "a\x00b\x7f", `a\x00b\x7f`, `a\x00b\x7f`},
		{"bidi", "user\u202e\u2066 nimda", `user\u202e\u2066 nimda`, `user\u202e\u2066 nimda`},
		{"marks", "a\u200e\u200f\u061cb", `a\u200e\u200f\u061cb`, `a\u200e\u200f\u061cb`},
		{"zero width", "ad\u200bmin\u200d\ufeff", `ad\u200bmin\u200d\ufeff`, `ad\u200bmin\u200d\ufeff`},
		{"separators", "a\u2028b\u2029c\u0085d", `a\u2028b\u2029c\u0085d`, `a\u2028b\u2029c\u0085d`},
		{"tags", "a\U000e0041b", `a\U000e0041b`, `a\U000e0041b`},
		{"replacement character", "a\ufffdb", `a\ufffdb`, `a\ufffdb`},
	} {
		assert.Equal(t, test.text, Visible(test.given), test.name)
		assert.Equal(t, test.line, Line(test.given), test.name)
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, shown := range []string{Visible(text), Line(text)} {
			assert.True(t, utf8.ValidString(shown))
			assert.False(t, strings.ContainsFunc(strings.NewReplacer("\n", "", "\t", "").Replace(shown), hidden), "%q", shown)
			assert.Equal(t, shown, Visible(shown), "what is visible stays as it is")
		}
		assert.NotContains(t, Line(text), "\n")
	})
}

func TestJSONStaysTheSameDocument(t *testing.T) {
	for _, text := range []string{"plain", "a\x1b\u202eb\u009b\x7f", "a\U000e0041\u2028\n\t\"\\", "ünïcödé 🙂 <&>"} {
		body, err := json.MarshalIndent(map[string]string{"text": text}, "", "  ")
		require.NoError(t, err)
		shown := JSON(string(body))
		assert.False(t, strings.ContainsFunc(strings.ReplaceAll(shown, "\n", ""), hidden), "%q", shown)
		var back map[string]string
		require.NoError(t, json.Unmarshal([]byte(shown), &back))
		assert.Equal(t, text, back["text"])
	}
}
