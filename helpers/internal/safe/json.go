package safe

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// JSON gives a JSON document with the characters that Visible would show written as
// \uXXXX: the same document, which does nothing to a terminal either.
func JSON(document string) string {
	if !strings.ContainsFunc(document, hidden) {
		return document
	}
	var out strings.Builder
	for _, r := range document { // what is not UTF-8 is no JSON, and becomes U+FFFD
		switch {
		case r < 0x20 || !hidden(r): // control characters stand only between values
			out.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		}
	}
	return out.String()
}
