package safe

import (
	"regexp"
	"strings"
)

// Mask gives the text with what looks like a secret replaced by ****: passwords in
// URLs and connection strings, values whose names say that they are secret (in
// environment, logfmt, INI, YAML, JSON, XML, headers, flags, SQL), cookies, private keys,
// and tokens that can be known by their form. Secrets that are known go by Without.
//
// It is for logs and messages of others: where a name leaves it open, what could be a
// secret is masked, and what is plainly a sentence, a file or a reference is not.
func Mask(text string) string {
	for _, rule := range whole {
		text = rule.pattern.ReplaceAllString(text, rule.masked)
	}
	text = maskUserinfo(text)
	return maskNamed(text)
}

// What is known by its form alone.
var whole = []struct {
	pattern *regexp.Regexp
	masked  string
}{
	// A private key in PEM, also one that is cut, or written with \n within a string.
	{regexp.MustCompile(`(-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)` +
		`(?:\s|\\r|\\n|[A-Za-z0-9+/=:,.() -])*?(-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)`), "$1" + mask + "$2"},
	{regexp.MustCompile(`(-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)(?:(?:\s|\\r|\\n)+[A-Za-z0-9+/=]{16,})+`), "$1" + mask},
	// JSON Web Tokens, RFC 7519; the first part is the base64 of {"
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?`), mask},
	// Tokens with a prefix that their makers gave them so that they are found.
	{regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}` +
		`|gl(?:pat|ptt|dt|rt|soat|cbt|ft|imt|agent)-[\w.-]{16,}` +
		`|xox[abeoprs]-[\w-]{10,}` +
		`|sk-(?:[A-Za-z]+-)*[\w-]{16,}|(?:sk|rk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,}` +
		`|AIza[\w-]{30,}|ya29\.[\w-]{20,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{20,}` +
		`|hv[sbr]\.[\w-]{20,}|dckr_pat_[\w-]{16,}|dop_v1_[0-9a-f]{32,}` +
		`|SG\.[\w-]{16,}\.[\w-]{16,}|ATATT[\w=-]{20,}|shpat_[0-9a-f]{16,}` +
		`|glsa_\w{20,}|squ_[0-9a-f]{32,})`), mask},
	{regexp.MustCompile(`(\bhooks\.slack\.com/services/)[\w/]+`), "$1" + mask},
	// Credentials of HTTP authentication outside of a header, RFC 7617 and RFC 6750.
	{regexp.MustCompile(`\b((?i:basic|bearer)\s+)` +
		`(?:[A-Za-z0-9+/._~-]*(?:[a-z][A-Z]|[A-Za-z][0-9]|[0-9][A-Za-z])[A-Za-z0-9+/._~-]{4,}=*|[A-Za-z0-9+/._~-]{8,}=+)`), "$1" + mask},
	// A URL's query: signatures that are logins, an OAuth code, a long key.
	{regexp.MustCompile(`(?i)([?&](?:x-amz-|x-goog-)?(?:sig|signature|code)=)[^&\s"'<>#]+`), "$1" + mask},
	{regexp.MustCompile(`([?&]key=)[^&\s"'<>#]{16,}`), "$1" + mask},
	// Programs whose flag for a password has one letter.
	{regexp.MustCompile(`(\bcurl\b[^\n|;]*?\s(?:-u|--user|--proxy-user|-U)[ =]?["']?[^\s:"']+:)[^\s"']+`), "$1" + mask},
	{regexp.MustCompile(`(\b(?:mysql|mysqldump|mysqladmin|mariadb(?:-\w+)?)\b[^\n|;]*?\s-p)[^\s]+`), "$1" + mask},
	{regexp.MustCompile(`(\b(?:redis-cli|sshpass|ldapsearch|ldapmodify)\b[^\n|;]*?\s-[apw]\s*)[^\s]+`), "$1" + mask},
	{regexp.MustCompile(`(\b(?:docker|podman|skopeo|buildah|crane|helm registry|oras|az|oc) ` +
		`(?:auth )?login\b[^\n|;]*?\s-p\s*)[^\s]+`), "$1" + mask},
	// SQL: CREATE ROLE ... PASSWORD 'x', CREATE USER ... IDENTIFIED BY 'x'.
	{regexp.MustCompile(`(?i)(\b(?:password|identified\s+(?:with\s+\w+\s+)?(?:by|as))\s+(?:[eu]&?)?)'(?:[^']|'')*'`), "$1'" + mask + "'"},
	// .netrc, and .pgpass: host:port:database:user:password alone on a line.
	{regexp.MustCompile(`(\blogin\s+\S+\s+password\s+)\S+`), "$1" + mask},
	{regexp.MustCompile(`(?m)^([\w.*-]*[A-Za-z*][\w.*-]*:(?:[0-9]{2,5}|\*):[\w.*-]+:[\w.*-]+:)[^:\s]+$`), "$1" + mask},
	// Go's MySQL driver: user:password@tcp(host:3306)/database.
	{regexp.MustCompile(`([\w.-]+:)\S+(@(?:tcp|tcp6|unix)\()`), "$1" + mask + "$2"},
}

// What is in a URL before the last @, with a password or a token that has no name beside it.
var (
	address = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)([^\s"'<>` + "`" + `]*)@`)
	port    = regexp.MustCompile(`^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?[/?#]`)
)

// maskUserinfo masks the password of each URL. It may hold an @, a slash or a colon that
// somebody forgot to encode; what begins with a host and a port has none, though.
func maskUserinfo(text string) string {
	return address.ReplaceAllStringFunc(text, func(found string) string {
		parts := address.FindStringSubmatch(found)
		scheme, userinfo := parts[1], parts[2]
		user, password, both := strings.Cut(userinfo, ":")
		switch {
		case strings.Contains(user, "/"), port.MatchString(userinfo):
			return found
		case strings.Contains(password, "://"): // two URLs without a blank between them
			first := strings.Index(found[len(scheme):], "://")
			return found[:len(scheme)+first] + maskUserinfo(found[len(scheme)+first:])
		case both && password != "":
			return scheme + user + ":" + mask + "@"
		case !both && len(user) >= 16 && strings.HasPrefix(strings.ToLower(scheme), "http"): // https://TOKEN@host
			return scheme + mask + "@"
		}
		return found
	})
}
