package safe

import (
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
	if text == "" {
		return ""
	}
	for _, rules := range [][]rule{whole, programs} {
		for _, rule := range rules {
			text = rule.pattern.ReplaceAllString(text, rule.masked)
		}
	}
	text = maskUserinfo(text)
	return maskNamed(text)
}

// A line of .pgpass up to the port, and behind it.
const (
	pgpass = `(?m)^([ \t]*(?:[\w.*-]+|/[\w./-]+):`
	anyone = `:[A-Za-z_*][\w.*-]*:[A-Za-z_*][\w.*-]*:)`
)

type rule struct {
	pattern lazy
	masked  string
}

// What is known by its form alone.
var whole = []rule{
	// A private key in PEM, also one that is cut, or written with \n within a string.
	{lazily(`(-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)` +
		`(?:\s|\\r|\\n|[A-Za-z0-9+/=:,.() -])*?(-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)`), "$1" + mask + "$2"},
	{lazily(`(-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)(?:(?:\s|\\r|\\n)+[A-Za-z0-9+/=]{16,})+`), "$1" + mask},
	// The same once more in base64, as in a kubeconfig or a Secret; PuTTY's form of it; age's.
	{lazily(`\bLS0tLS1CRUdJTi(?:BSU0EgUFJJ|BQUklW|BFQyBQ|BPUEVOU1|BFTkNSWV|BEU0EgUF|BQR1AgUF)[A-Za-z0-9+/=]*`), mask},
	{lazily(`(?m)^(Private-Lines: \d+\r?\n)(?:[A-Za-z0-9+/=]+\r?\n?)+`), "$1" + mask + "\n"},
	{lazily(`\bAGE-SECRET-KEY-[0-9A-Za-z]{16,}`), mask},
	// JSON Web Tokens, RFC 7519; the first part is the base64 of {"
	{lazily(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?`), mask},
	// Tokens with a prefix that their makers gave them so that they are found.
	{lazily(`\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}` +
		`|gl(?:pat|ptt|dt|rt|soat|cbt|ft|imt|agent)-[\w.-]{16,}` +
		`|xox[abeoprs]-[\w-]{10,}` +
		`|sk-(?:[A-Za-z]+-)*[\w-]{16,}|(?:sk|rk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,}` +
		`|AIza[\w-]{30,}|ya29\.[\w-]{20,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{20,}` +
		`|hv[sbr]\.[\w-]{20,}|dckr_[op]at_[\w-]{16,}|do[opr]_v1_[0-9a-f]{32,}\w*` +
		`|SG\.[\w-]{16,}\.[\w-]{16,}|ATATT[\w=-]{20,}|shp(?:at|ca|pa|ss)_[0-9A-Za-z]{16,}` +
		`|glsa_\w{20,}|sq[apu]_[0-9a-f]{32,}|GOCSPX-[\w-]{16,}|xapp-[\w-]{10,}|lin_api_\w{16,}|NRAK-\w{16,}` +
		`|rubygems_\w{20,}|PMAK-[\w-]{20,}|(?:[\w]+\.)?atlasv1\.[\w-]{20,}|key-[0-9a-f]{32}|K10\w{10,}::server:\w{10,})`), mask},
	{lazily(`(\bhooks\.slack\.com/services/|\bdiscord(?:app)?\.com/api/webhooks/\d+/|\bapi\.telegram\.org/bot\d+:` +
		`|\bwebhook\.office\.com/webhookb2/)[\w/@.-]+`), "$1" + mask},
	// Credentials of HTTP authentication outside of a header, RFC 7617 and RFC 6750.
	{lazily(`\b((?i:basic|bearer)(?: token)?:?[ \t]+)` +
		`(?:[A-Za-z0-9+/._~-]*(?:[a-z][A-Z]|[A-Za-z][0-9]|[0-9][A-Za-z])[A-Za-z0-9+/._~-]{4,}=*|[A-Za-z0-9+/._~-]{8,}=+)`), "$1" + mask},
	// A URL's query: signatures that are logins, an OAuth code, a long key.
	{lazily(`(?i)([?&](?:x-amz-|x-goog-)?(?:sig|signature|code)=)[^&\s"'<>#]+`), "$1" + mask},
	{lazily(`([?&]key=)[^&\s"'<>#]{16,}`), "$1" + mask},
	// SQL: CREATE ROLE ... PASSWORD 'x', CREATE USER ... IDENTIFIED BY 'x', with a dollar quote, and as a function's argument.
	{lazily(`(?i)(\b(?:password|identified\s+(?:with\s+\w+\s+)?(?:by|as))\s+(?:[eun]&?)?)'(?:[^']|'')*'`), "$1'" + mask + "'"},
	{lazily(`(?i)(\bpassword\s+\$\w*\$)[^$\n]*(\$\w*\$)`), "$1" + mask + "$2"},
	// .netrc, and .pgpass: host:port:database:user:password alone on a line.
	{lazily(`(\blogin\s+\S+\s+(?:account\s+\S+\s+)?password\s+)\S+`), "$1" + mask},
	{lazily(`(\bmachine\s+\S+\s+password\s+)\S+`), "$1" + mask},
	{lazily(pgpass + `(?:543[0-9]|6432|\*)` + anyone + `(?:\\.|[^:\s\\])+$`), "$1" + mask},
	{lazily(pgpass + `[0-9]{4,5}` + anyone + `(?:\\.|[^:\s\\])*[0-9!#$%&*+/@^~](?:\\.|[^:\s\\])*$`), "$1" + mask},
	// Oracle's user/password@host; user:password@host:port/ without a scheme.
	{lazily(`(\b(?:jdbc:oracle:\w+:|(?:sqlplus|sqlldr|rman|expdp|impdp)\s+(?:-\S+\s+)*)[\w.$-]+/)[^\s@/]+@`), "$1" + mask + "@"},
	{lazily(`((?:^|[\s"'=(])(?://)?[A-Za-z_][\w.+-]*:)[^\s@/"']+(@[\w.-]+(?::[0-9]{2,5})?/)`), "$1" + mask + "$2"},
	// What Jenkins and others print once, alone on a line behind one that says what it is.
	{lazily(`(?i)(\bpassword\b[^\n]{0,80}:[ \t]*\n\s*)[0-9a-z]*[0-9][0-9a-z]{15,}`), "$1" + mask},
	// Go's MySQL driver: user:password@tcp(host:3306)/database.
	{lazily(`([\w.-]+:)\S+(@(?:tcp|tcp6|unix)\()`), "$1" + mask + "$2"},
}

// What is in a URL before the last @, with a password or a token that has no name beside it.
var (
	address = lazily(`(?i)\b([a-z][a-z0-9+.-]*://)([^\s"'<>` + "`" + `]*)@`)
	port    = lazily(`^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?[/?#]`)
	// A database's URL whose password holds a blank or a quote that somebody forgot to encode.
	spaced = lazily(`(?i)\b((?:postgres(?:ql)?|mysql|mariadb|rediss?|mongodb(?:\+srv)?|amqps?|sqlserver)(?:\+\w+)?://` +
		`[^\s:/@"'<>]*:)([^\s@:/][^\n@]*?)(@[\w.-]+(?:[:/?]|$))`)
	portOnly = lazily(`^[0-9]{1,5}(?:[\s/?#,;.)"']|$)`)
	// Of these the user alone is the secret.
	tokenUser = lazily(`(?i)^(?:nats|tls|rediss?)://$`)
)

// maskUserinfo masks the password of each URL. It may hold an @, a slash or a colon that
// somebody forgot to encode; what begins with a host and a port has none, though.
func maskUserinfo(text string) string {
	text = spaced.ReplaceAllStringFunc(text, func(found string) string {
		parts := spaced.FindStringSubmatch(found)
		if portOnly.MatchString(parts[2]) || strings.Contains(parts[2], "://") {
			return found
		}
		return parts[1] + mask + parts[3]
	})
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
		case !both && len(user) >= 16 && strings.HasPrefix(strings.ToLower(scheme), "http"), // https://TOKEN@host
			!both && tokenUser.MatchString(scheme):
			return scheme + mask + "@"
		}
		return found
	})
}
