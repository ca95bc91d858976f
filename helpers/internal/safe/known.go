package safe

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const mask = "****"

// Without gives the text without these secrets: as they are, and in the forms that
// libraries put them into messages (percent-encoded, quoted, JSON, base64, hex, HTML,
// each line of several). It is for secrets that are known; Mask finds the others.
func Without(text string, secrets ...string) string {
	var forms []string
	for _, secret := range secrets {
		forms = append(forms, formsOf(secret)...)
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, form := range slices.Compact(forms) {
		text = strings.ReplaceAll(text, form, mask)
	}
	return text
}

func formsOf(secret string) []string {
	trimmed := strings.TrimSpace(secret)
	if trimmed == "" {
		return nil
	}
	var forms []string
	parts := append(strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' }), secret, trimmed)
	slices.Sort(parts)
	for _, part := range slices.Compact(parts) {
		if strings.TrimSpace(part) == "" || len(part) < 3 && part != trimmed {
			continue
		}
		quoted, _ := json.Marshal(part)
		inJSON := string(quoted[1 : len(quoted)-1])
		inGo := strconv.Quote(part)
		bytes := []byte(part)
		lower := strings.ToLower
		forms = append(forms, part, inJSON, strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(inJSON),
			inGo[1:len(inGo)-1], strings.Trim(strconv.QuoteToASCII(part), `"`), Visible(part), Line(part), html.EscapeString(part),
			url.QueryEscape(part), lowerEscapes(url.QueryEscape(part)), url.PathEscape(part), lowerEscapes(url.PathEscape(part)),
			strings.TrimPrefix(url.UserPassword("", part).String(), ":"), strings.ReplaceAll(part, "'", `'\''`), strings.ReplaceAll(part, "'", "''"),
			strings.ReplaceAll(strings.ReplaceAll(part, `\`, `\\`), "'", `\'`))
		if len(part) >= 4 {
			forms = append(forms, hex.EncodeToString(bytes), strings.ToUpper(hex.EncodeToString(bytes)), lower(strings.Join(pairs(bytes), " ")),
				base64.StdEncoding.EncodeToString(bytes), base64.RawStdEncoding.EncodeToString(bytes),
				base64.URLEncoding.EncodeToString(bytes), base64.RawURLEncoding.EncodeToString(bytes))
			forms = append(forms, withinBase64(bytes)...)
		}
	}
	return slices.DeleteFunc(forms, func(form string) bool { return form == "" })
}

// lowerEscapes gives %2F as %2f: both are written.
func lowerEscapes(text string) string {
	out := []byte(text)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:], strings.ToLower(string(out[i+1:i+3])))
		}
	}
	return string(out)
}

func pairs(bytes []byte) []string {
	var list []string
	for _, b := range bytes {
		list = append(list, hex.EncodeToString([]byte{b}))
	}
	return list
}

// withinBase64 gives what of the base64 of a longer text, such as user:password, is
// the secret's alone: it depends on where the secret begins within three bytes.
func withinBase64(secret []byte) []string {
	var forms []string
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), secret...))
		first := (before*8 + 5) / 6            // the first digit that no byte before the secret is in
		last := (before + len(secret)) * 8 / 6 // behind the last digit that no byte behind it is in
		if last-first >= 4 {
			forms = append(forms, encoded[first:last])
		}
	}
	return forms
}
