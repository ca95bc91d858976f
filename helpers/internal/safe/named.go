package safe

import (
	"slices"
	"strings"
	"unicode"
)

var (
	// A name and what stands between it and its value: PASSWORD=, "password": , password => , user[password]= .
	named = lazily(
		`((?i:(?:secret|api|access|account|private|encryption|mot de) )*[\p{L}_][\p{L}\p{N}_.-]*)` +
			`((?:` + quote + `)?(?:\]|\[\]|%5[Bb]%5[Dd])?(?:[ \t]+[A-Za-z][\w.<>\[\]]*[ \t]+=[ \t]*["'` + "`" + `]` +
			`|[ \t]*(?:[:+?]?==?>?|->|→|:|：|%3[AaDd])[ \t]*|\(\s*["']))`)
	// A flag and its value as two words: --password hunter2.
	flagged = lazily(`(^|\s)(--?([A-Za-z][A-Za-z0-9_-]+)[ \t]+)([^\s-][^\s]*)`)
	// The same as two elements of a list: ["--password", "hunter2"]; and a name in capitals
	// before a value with a figure: ENV DB_PASSWORD hunter2.
	// A password in quotes behind its name alone: set password "x", {:password "x"}, (password . "x").
	spoken   = lazily(`(?i)(\b(?:password|passphrase|passwd|api[ _-]?key)[ \t]+(?:\. )?)(["'` + "`" + `])([^"'` + "`" + `\n]+)`)
	listed   = lazily(`(["']--?)([A-Za-z][A-Za-z0-9_-]+)(["'],\s*["'])([^"'\n]+)`)
	capitals = lazily(`\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Za-z]\w*\t)([ \t]*)([^\s=:]*[0-9!#$%&*+/@^~][^\s=:]*)`)
	// An element, and a pair of name and value: <password>x</password>, {"name": "DB_PASSWORD", "value": "x"}.
	element  = lazily(`<(?:[A-Za-z_][\w-]*:)?([A-Za-z_][\w.-]*)(?:\s[^<>]*)?>\s*(?:<!\[CDATA\[)?([^<>\s][^<>]*)`)
	labelled = lazily(`(?i)<\w+\s[^<>]*?\b(?:name|key|id)=["']([A-Za-z_][\w.-]*)["'][^<>]*>([^<>\s][^<>]*)</`)
	pair     = lazily(`(?i)(["']?\b(?:name|key)(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?)` +
		`([A-Za-z_][\w.-]*)((?:\\*["'])?[\s,;]*(?:` + between + `){0,3}(?:\\*["'])?value(?:\\*["'])?\s*[:=]\s*)`)
	// The same the other way round.
	turned = lazily(`(?i)(\bvalue(?:\\*["'])?\s*[:=]\s*)((?:\\*["'])?[^"'\s,}]+(?:\\*["'])?)([\s,;]*(?:\\*["'])?` +
		`(?:name|key)(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?)([A-Za-z_][\w.-]*)`)
	// INSERT INTO users (name, password) VALUES ('bob', 'x'), and PostgreSQL's Key (token)=(x) already exists.
	inserted = lazily(`(?i)\binsert\s+into\s+[^\s(]+\s*\(([^()]*)\)\s*values\s*([^;\n]*)`)
	literal  = lazily(`'(?:[^']|'')*'`)
	existing = lazily(`\bKey \(([^()]*)\)=\(([^()]*)\)`)
	// Two arguments of what takes a login; the two halves of one.
	login = lazily(`(?i)(\b\w*(?:basicauth|credentials?|passwordauthentication|usernamepassword)\w*\(\s*` +
		`["'][^"'\n]*["'],\s*["'])([^"'\n]+)`)
	logins    = lazily(`(?i)(\bcredentials?\s+[\w.@-]+:)([^\s"',;]*[0-9!#$%&*+/^~][^\s"',;]*)`)
	badTokens = lazily(`(?i)(\b(?:invalid|bad|expired|revoked|wrong|unknown)\s+(?:access |api |auth |bearer )?token:?\s+["']?)` +
		`([\w.~+/-]*(?:[a-z][0-9]|[0-9][a-z])[\w.~+/=-]{3,})`)
	// A sentence: the password for bob is: hunter2.
	sentence = lazily(`(?i)(\b(?:password|passphrase|api key|secret key|access key|secret|token)\s+` +
		`(?:(?:for|of)\s+(?:user\s+)?\S+?)?\s*(?:is|was|is set to|set to|changed to|:)\s*:?\s*["']?)` +
		`([^\s"']*[0-9!#$%&*+/@^~][^\s"']*)`)
	// with password hunter2; password changed from hunter1 to hunter2.
	with    = lazily(`(?i)(\b(?:with|using|set)\s+(?:the\s+)?(?:password|passphrase)\s+)([^\s"']*[0-9!#$%&*+@^~][^\s"']*)`)
	changed = lazily(`(?i)(\b(?:password|passphrase|token|secret)\s+(?:was\s+)?changed\s+from\s+)(\S+\s+to\s+\S+)`)
	// The values of a Kubernetes Secret.
	secretObject = lazily(`(?m)^[ \t-]*kind:[ \t]*["']?Secret(?:List)?["']?[ \t]*$|"kind":\s*"Secret(?:List)?"`)
	dataBlock    = lazily(`(?m)^([ \t-]*)(?:string)?[dD]ata:[ \t]*\n`)
	dataLine     = lazily(`(?m)^([ \t]+[\w.-]+:[ \t]*)\S.*$`)
	dataObject   = lazily(`((?:"(?:stringD|d)ata"|\b(?:stringD|d)ata):\s*\{)([^{}]*)(\})`)
	dataValue    = lazily(`(:\s*)(?:"(?:[^"\\]|\\.)*"|[^\s",}][^,}]*)`)
)

const (
	// A quote as it stands in a text, in JSON within JSON, in HTML and in a URL.
	quote = `\\*["']|\\+u0022|&quot;|&#34;|%22`
	// A field between the name and the value of a pair.
	between = `["']?\w+["']?\s*[:=]\s*(?:"[^"\n]*"|'[^'\n]*'|[^\s,"']+)[\s,;]+`
)

// maskNamed masks what its name says is a secret.
func maskNamed(text string) string {
	if secretObject.MatchString(text) {
		for at := 0; ; {
			head := dataBlock.FindStringSubmatchIndex(text[at:])
			if head == nil {
				break
			}
			from := at + head[1]
			to := from + indented(text[from:], head[3]-head[2])
			lines := dataLine.ReplaceAllString(text[from:to], "${1}"+mask)
			text, at = text[:from]+lines+text[to:], from+len(lines)
		}
		text = dataObject.ReplaceAllStringFunc(text, func(object string) string {
			parts := dataObject.FindStringSubmatch(object)
			return parts[1] + dataValue.ReplaceAllString(parts[2], `${1}"`+mask+`"`) + parts[3]
		})
	}
	text = maskStatements(text)
	text = maskEach(text, turned, func(match []int, text string) (int, int, bool) {
		value := text[match[4]:match[5]]
		bare := strings.Trim(value, `"'\`)
		from := match[4] + strings.Index(value, bare)
		return from, from + len(bare), isSecretName(text[match[8]:match[9]]) && !isPlain(bare, "")
	})
	text = maskEach(text, pair, func(match []int, text string) (int, int, bool) {
		if !isSecretName(text[match[4]:match[5]]) {
			return 0, 0, false
		}
		return valueAt(text, match[1], "value", match[0])
	})
	text = maskEach(text, named, func(match []int, text string) (int, int, bool) {
		name := text[match[2]:match[3]]
		if !isSecretName(name) {
			return 0, 0, false
		}
		from, to, found := valueAt(text, match[5], name, match[2])
		if !found || isStatus(name, text[match[4]:match[5]], text[from:to]) || parsers.MatchString(text[max(0, match[2]-12):match[3]]) {
			return 0, 0, false
		}
		if strings.TrimSpace(text[match[4]:match[5]]) == "==" && !strings.ContainsRune("\"'`", rune(text[from-1])) { // code that compares
			return 0, 0, false
		}
		return from, to, true
	})
	text = maskEach(text, flagged, func(match []int, text string) (int, int, bool) {
		return match[8], match[9], isSecretName(text[match[6]:match[7]]) && !isPlain(text[match[8]:match[9]], text[match[9]:])
	})
	text = maskEach(text, listed, func(match []int, text string) (int, int, bool) {
		return match[8], match[9], isSecretName(text[match[4]:match[5]]) && !isPlain(text[match[8]:match[9]], "")
	})
	text = maskEach(text, capitals, func(match []int, text string) (int, int, bool) {
		value := text[match[6]:match[7]]
		return match[6], match[7], isSecretName(text[match[2]:match[3]]) && !isPlain(value, text[match[7]:]) && !number.MatchString(value)
	})
	text = maskEach(text, element, func(match []int, text string) (int, int, bool) {
		name := text[match[2]:match[3]]
		return match[4], match[5], (isSecretName(name) || name == "master") && !isPlain(text[match[4]:match[5]], "")
	})
	text = maskEach(text, labelled, func(match []int, text string) (int, int, bool) {
		return match[4], match[5], isSecretName(text[match[2]:match[3]]) && !isPlain(text[match[4]:match[5]], "")
	})
	text = maskEach(text, spoken, func(match []int, text string) (int, int, bool) {
		return match[6], match[7], !isPlain(text[match[6]:match[7]], "")
	})
	for _, said := range []lazy{login, logins, badTokens, with, changed} {
		text = maskEach(text, said, func(match []int, text string) (int, int, bool) {
			value := text[match[4]:match[5]]
			return match[4], match[5], !isPlain(value, "") && !number.MatchString(value)
		})
	}
	return maskEach(text, sentence, func(match []int, text string) (int, int, bool) {
		value := text[match[4]:match[5]]
		return match[4], match[5], !isPlain(value, "") && !number.MatchString(value)
	})
}

// maskStatements masks the values of columns whose names say that they are secret.
func maskStatements(text string) string {
	secret := func(columns string) bool {
		return slices.ContainsFunc(strings.Split(columns, ","), func(column string) bool {
			return isSecretName(strings.Trim(column, " \t\"`[]"))
		})
	}
	text = inserted.ReplaceAllStringFunc(text, func(statement string) string {
		parts := inserted.FindStringSubmatchIndex(statement)
		if !secret(statement[parts[2]:parts[3]]) {
			return statement
		}
		return statement[:parts[4]] + literal.ReplaceAllString(statement[parts[4]:], "'"+mask+"'")
	})
	return existing.ReplaceAllStringFunc(text, func(key string) string {
		parts := existing.FindStringSubmatchIndex(key)
		if !secret(key[parts[2]:parts[3]]) {
			return key
		}
		return key[:parts[4]] + mask + key[parts[5]:]
	})
}

// maskEach looks for the pattern again and again, masks what value gives, and goes on behind it.
func maskEach(text string, pattern lazy, value func(match []int, text string) (from, to int, found bool)) string {
	for at := 0; at < len(text); {
		match := pattern.FindStringSubmatchIndex(text[at:])
		if match == nil {
			break
		}
		for i := range match {
			if match[i] >= 0 {
				match[i] += at
			}
		}
		from, to, found := value(match, text)
		if !found || strings.HasPrefix(text[from:], mask) {
			at = max(match[3], at+1)
			continue
		}
		text = text[:from] + mask + text[to:]
		at = from + len(mask)
	}
	return text
}

// valueAt gives where the value begins and ends that a name has, and whether it can be a secret.
func valueAt(text string, at int, name string, nameAt int) (from, to int, found bool) {
	rest := text[at:]
	if at > 0 && strings.ContainsRune("\"'`", rune(text[at-1])) { // the quote belongs to what stands between
		return within1(text, at, text[at-1:at])
	}
	if inner := innerValue.FindString(rest); inner != "" {
		return valueAt(text, at+len(inner), name, nameAt)
	}
	if below := nextLine.FindStringSubmatchIndex(rest); below != nil && below[3]-below[2] > indentOf(text, nameAt) &&
		len(prefix.FindString(rest[below[1]:])) < below[3]-below[2] {
		return at + below[4], at + below[5], !isPlain(rest[below[4]:below[5]], "")
	}
	if braced := inBraces.FindStringSubmatchIndex(rest); braced != nil && !identifier.MatchString(rest[braced[2]:braced[3]]) {
		return at + braced[2], at + braced[3], true
	}
	if quote := quotes.FindString(rest); quote != "" {
		from = at + len(quote)
		length := closing(text[from:], quote)
		return from, from + length, header.MatchString(name) && hasScheme(text[from:from+length]) || !isPlain(text[from:from+length], "")
	}
	switch {
	case block.MatchString(rest):
		first := block.FindStringIndex(rest)[1]
		length := indented(rest[first:], indentOf(text, nameAt))
		return at + first, at + first + length, strings.TrimSpace(rest[first:first+length]) != ""
	case strings.HasPrefix(rest, "["):
		end := strings.IndexAny(rest, "]\n")
		if end > 1 && rest[end] == ']' {
			return at + 1, at + end, !isPlain(strings.TrimSpace(rest[1:end]), "")
		}
		return 0, 0, false
	case rest == "" || strings.ContainsRune("{<", rune(rest[0])):
		return 0, 0, false
	}
	line, _, _ := strings.Cut(rest, "\n")
	line = strings.TrimRight(line, "\r")
	if header.MatchString(name) {
		length := len(line)
		if nameAt > 0 && strings.ContainsRune(`"'`, rune(text[nameAt-1])) {
			length = within(line, text[nameAt-1:nameAt])
		}
		return at, at + length, hasScheme(line[:length]) || !isPlain(line[:length], "")
	}
	length := lengthOf(line, text[strings.LastIndexByte(text[:nameAt], '\n')+1:nameAt])
	whole, length := line[:length], len(strings.TrimRight(line[:length], " \t,;)}]>\"'"))
	return at, at + length, length > 0 && !isPlain(whole, line[len(whole):]) && !isPlain(line[:length], line[length:])
}

var (
	innerValue = lazily(`^(?:(?:\{\s*|[ \t]*\r?\n[ \t]+)(?:\\*["'])?(?:value|raw|plain|plaintext)(?:\\*["'])?\s*[:=]\s*` +
		`|\s*string\(\d+\)\s*)`)
	// YAML's scalar of one word on the next line, deeper than its name; ODBC's value in braces.
	nextLine   = lazily(`^[ \t]*\r?\n([ \t]+)([^\s:#{}\[\]-][^\s:{}\[\]]*[0-9!#$%&*+/@^~][^\s:{}\[\]]*)[ \t]*(?:\r?\n|$)`)
	inBraces   = lazily(`^\{([^{}"':,\s]+)\}`)
	identifier = lazily(`^(?:[A-Za-z_.]*|[0-9]+)$`)
	quotes     = lazily("^(?:" + quote + "|`)")
	block      = lazily(`^[|>][+-]?[0-9]?[ \t]*\r?\n`)
	// Where an unquoted value ends, since another name begins: ;Encrypt=, &user=, ", host:", user=.
	another = lazily(`(?:;\s*[A-Za-z][\w ]*=|&[\w.%-]+=|,\s*["']?[\w.-]+["']?\s*[:=]|\s+["']?[A-Za-z_][\w.-]*["']?=|\s+-)`)
	header  = lazily(`(?i)^(?:proxy-)?authorization$|^(?:set-)?cookie$`)
	bare    = lazily(`^[\s#/*>|+-]*(?:\d+:)?\s*(?:export\s+|ENV\s+|set\s+|-\s+|-e\s+)?["']?$`)
	prefix  = lazily(`^[ \t]*`)
)

// from1 gives what is within the quote that was opened before.
func within1(text string, at int, quote string) (from, to int, found bool) {
	length := closing(text[at:], quote)
	return at, at + length, !isPlain(text[at:at+length], "")
}

// hasScheme says that an Authorization begins with its scheme, and goes on.
func hasScheme(value string) bool {
	scheme, _, more := strings.Cut(value, " ")
	return more && slices.Contains(methods, strings.ToLower(scheme))
}

// closing gives where the quoted text ends: at the same quote, that is not escaped.
func closing(text, quote string) int {
	for at := 0; at < len(text); at++ {
		switch {
		case quote == "'" && at > 0 && strings.HasPrefix(text[at:], "''"): // YAML's and SQL's quote within quotes
			at++
		case strings.HasPrefix(text[at:], quote):
			return at
		case text[at] == '\n' && len(quote) == 1 && !strings.Contains(text[at:], quote):
			return at
		case text[at] == '\\' && len(quote) == 1:
			at++
		}
	}
	return len(text)
}

// indented gives how long the lines are that are indented deeper than this.
func indented(text string, than int) int {
	length := 0
	for _, line := range strings.SplitAfter(text, "\n") {
		if strings.TrimSpace(line) != "" && len(prefix.FindString(line)) <= than {
			break
		}
		length += len(line)
	}
	return len(strings.TrimRight(text[:length], "\n"))
}

func indentOf(text string, at int) int {
	return len(prefix.FindString(text[strings.LastIndexByte(text[:at], '\n')+1:]))
}

// lengthOf says how much of the line behind a name is its value, where that is not
// quoted. Where the name begins the line, a value may hold blanks; elsewhere it ends
// at the first.
func lengthOf(line, before string) int {
	length := len(line)
	switch {
	case strings.HasSuffix(before, "?") || strings.HasSuffix(before, "&"): // a URL's query
		length = within(line, "&# \t\"'<>")
	case strings.HasSuffix(strings.TrimRight(before, " "), ";"): // a connection string
		length = within(line, ";\"'")
	case !bare.MatchString(before):
		length = within(line, " \t")
	}
	if end := another.FindStringIndex(line[:length]); end != nil {
		length = end[0]
	}
	return length
}

func within(text, ends string) int {
	if at := strings.IndexAny(text, ends); at >= 0 {
		return at
	}
	return len(text)
}

var (
	number    = lazily(`^[0-9]{1,6}(?:[.][0-9]+)?(?:%|ms|s|m|h|k|kb|mb)?$`)
	reference = lazily(`^(?:\$\{[^}]*\}|\$\([^)]*\)|\{\{.*\}\}|%\{[^}]*\}|%[A-Z_]+%` +
		`|\$[0-9]+|:[a-z_]+|\?|%[+#]?[a-z]|<[^<>]*>|[\w.]+\(\)?;?|(?:os|System|process|Deno)\.(?i:getenv|environ|env)\b.*` +
		`|\[?(?i:redacted|masked|hidden|filtered|secret|omitted|removed)\]?|[*•x.]{3,}` +
		`|!(?i:vault|ref|sub|getatt|importvalue|reference|secret|env|env_var)\b.*|vault:.*|op://.*)$`)
	path = lazily(`^/(?:app|bin|boot|dev|etc|home|lib|mnt|opt|proc|root|run` +
		`|srv|sys|tmp|usr|var|workspace|data|vault|secrets?|kaniko)(?:/[\w./-]*)?$`)
	directory = lazily(`^(?:[A-Za-z]:)?[/\\]`) // a shell's PWD and OLDPWD
	states    = strings.Fields(`null none nil true false undefined unset set yes no ok on off enabled disabled required optional missing
		expired invalid
		empty failed denied granted success succeeded unauthorized forbidden include omit same-origin found absent present changed
		unchanged rotated default <nil> - n/a`)
	parsers = lazily(`(?i)\b(?:un)?expected token$`) // what a parser met
	methods = strings.Fields(`basic bearer digest plain login cram-md5 md5 scram-sha-1 scram-sha-256 oauth oauth2 oidc
		ldap saml kerberos gssapi
		ntlm
		mtls
		tls token password jwt peer trust ident cert anonymous internal external custom forms session`)
	// What a sentence goes on with behind a name and a colon: the password: must not be empty.
	sentenceWords = strings.Fields(`not no is are must cannot can could connection authentication permission invalid expired missing required
		the a an failed
		wrong too should was has have does did unable access unauthorized forbidden unknown undefined empty none never please
		unexpected error timeout timed dial context lookup tls x509 http get read write open token password secret server client
		request response user for in on at from already only may key file field value at least unsupported malformed cannot illegal
		bad no such incorrect mismatch rejected refused denied got expected need needs use using want wants set unset and or of to
		with without it this that there`)
)

// isPlain says that a value is no secret: nothing, a state, a reference, a file, or the
// first word of a sentence that goes on behind it.
func isPlain(value, behind string) bool {
	value = strings.TrimSpace(value)
	lower := strings.ToLower(strings.Trim(value, `.,!`))
	if lower == "" || slices.Contains(states, lower) || reference.MatchString(value) || path.MatchString(value) {
		return true
	}
	first, more, several := strings.Cut(lower, " ")
	if !several {
		more = strings.TrimSpace(behind)
	}
	return more != "" && strings.TrimRight(first, ":,") != "" && slices.Contains(sentenceWords, strings.TrimRight(first, ":,"))
}

// isStatus says that what is called like a secret is a count, a method or a test's result here.
func isStatus(name, separator, value string) bool {
	words := wordsOf(name)
	last := words[len(words)-1]
	if strings.HasSuffix(name, "PWD") && len(words) == 1 && directory.MatchString(value) {
		return true
	}
	first, _, _ := strings.Cut(value, " ")
	call := strings.Contains(separator, "(")
	if call && slices.Contains([]string{"auth", "cookie", "cookies"}, last) {
		return true
	}
	colon := strings.Contains(separator, ":") && !strings.ContainsAny(separator, `"'`)
	switch last {
	case "token", "tokens", "cookies", "secrets", "passwords", "credentials":
		return number.MatchString(first) || len(words) == 1 && !strings.ContainsFunc(value, isLetterOrDigit)
	case "auth", "authorization":
		return slices.Contains(methods, strings.ToLower(value)) || number.MatchString(value)
	case "pass":
		return len(words) == 1 && (number.MatchString(first) || colon && strings.ToLower(name) != name)
	}
	return false
}

func isLetterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
