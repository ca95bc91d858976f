// Package safe makes text from outside fit to be shown to a person: control
// characters become visible, secrets are masked. It decides nothing else.
package safe

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible gives the text with every character that would act on a terminal or
// hide text made visible as an escape: \x1b, \u202e, \xff for a byte that is not
// UTF-8. Line breaks (\n and \r\n) and tabs stay; nothing is left out.
func Visible(text string) string {
	return visible(strings.ReplaceAll(text, "\r\n", "\n"), "\n\t")
}

// Line is Visible for what has to stay on one line: line breaks and tabs become
// \n, \r and \t as well.
func Line(text string) string { return visible(text, "") }

func visible(text, kept string) string {
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var out strings.Builder
	for i, width := 0, 0; i < len(text); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&out, `\x%02x`, text[i])
		case !hidden(r) || strings.ContainsRune(kept, r):
			out.WriteString(text[i : i+width])
		case short[r] != "":
			out.WriteString(short[r])
		case r < 0x80:
			fmt.Fprintf(&out, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
	}
	return out.String()
}

var short = map[rune]string{'\n': `\n`, '\r': `\r`, '\t': `\t`}

// hidden says that a terminal, a console or a page would not show the character as
// itself: control characters (C0, DEL, C1), format characters (bidi marks, joiners,
// byte order marks, tags), line and paragraph separators, private use, and what is no
// character at all. https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
func hidden(r rune) bool {
	if r < 0x7f {
		return r < 0x20
	}
	if r == '\ufe0e' || r == '\ufe0f' { // how the emoji before it is drawn
		return false
	}
	return r == utf8.RuneError || r < 0xa0 || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs,
		unicode.Noncharacter_Code_Point, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}
