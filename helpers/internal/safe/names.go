package safe

import (
	"slices"
	"strings"
	"unicode"
)

// secretWords are what the name of a secret ends with, each as a word of its own.
var secretWords = []string{
	"senha", "contraseña", "contrasena", "wachtwoord", "hasło", "haslo", "пароль", "密码", "密碼", "パスワード", "비밀번호",
	"pswd", "psk", "pincode", "csrf", "xsrf", "samlresponse", "dockerconfigjson", "dockercfg",
	"password", "passwd", "passwort", "kennwort", "pwd", "pw", "psw", "passw", "pass", "passphrase", "passcode", "passkey",
	"secret", "token", "apikey", "secretkey", "accesskey", "privatekey", "authkey", "credential", "credentials", "creds",
	"authorization", "auth", "bearer", "jwt", "otp", "cookie", "sessionid", "sessid", "phpsessid", "jsessionid", "passwords",
	"secrets", "tokens", "cookies",
}

// joined are the words that a name in one word, such as dbpassword, may end with.
var joined = []string{
	"password", "passwd", "passphrase", "secret", "token", "apikey", "secretkey", "accesskey", "privatekey", "credentials",
	"pwd", "pass", "passwort", "pw",
}

// keyKinds are what makes a key a secret: not a primary key, nor a cache's.
var keyKinds = []string{
	"api", "access", "secret", "private", "session", "encryption", "encrypt", "decryption", "signing", "master", "account",
	"shared", "auth", "storage",
	"service", "fernet", "jwt", "hmac", "ssh", "deploy", "license", "root", "admin", "app", "client", "consumer", "subscription",
	"cipher", "crypto", "rsa", "aes", "tls", "certificate", "salt",
}

// codes are those with which somebody proves who they are.
var codes = []string{"mfa code", "otp code", "totp code", "recovery code", "backup code", "verification code",
	"code verifier", "mot de passe", "art api", "saml response"}

// qualifiers may follow the word and leave it a secret: token_value, SECRET_KEY_BASE, password_prod.
var qualifiers = []string{
	"value", "val", "base", "plain", "plaintext", "old", "new", "current", "previous", "primary", "secondary", "default", "hash",
	"hashed", "b", "64", "encoded",
	"text", "string", "str", "raw", "data", "hint", "ident",
	"prod", "production", "staging", "dev", "live", "id", "confirmation", "confirm", "repeat", "v",
	"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "01", "02",
}

// harmless are the ends of names that are no secrets all the same: a number, a place in a list, a reference.
var harmless = []string{
	"bypass", "compass", "encompass", "trespass", "surpass", "first pass", "second pass", "last pass", "single pass",
	"next token", "page token", "continuation token", "pagination token", "sync token", "cancellation token",
	"existing secret", "pull secret", "tls secret", "pull secrets", "token id", "auth id", "credential id", "credentials id",
	"cookie id", "access key id", "api key id", "token hash id",
}

// sessions are the names of what a user is known by after a login.
var sessions = []string{"session id", "session key", "connect sid"}

// isSecretName says whether what is called so is a secret.
func isSecretName(name string) bool {
	words := wordsOf(name)
	if endsLike(words, sessions) || endsLike(words, codes) {
		return true
	}
	for len(words) > 1 && slices.Contains(qualifiers, words[len(words)-1]) && !endsLike(words, harmless) {
		words = words[:len(words)-1]
	}
	if len(words) == 0 || endsLike(words, harmless) {
		return false
	}
	last := words[len(words)-1]
	return slices.Contains(secretWords, last) ||
		last == "key" && len(words) > 1 && slices.Contains(keyKinds, words[len(words)-2]) ||
		slices.ContainsFunc(joined, func(end string) bool { return strings.HasSuffix(last, end) })
}

func endsLike(words, list []string) bool {
	name := strings.Join(words, " ")
	return slices.ContainsFunc(list, func(end string) bool { return name == end || strings.HasSuffix(name, " "+end) })
}

// wordsOf takes a name apart: DB_PASSWORD, dbPassword, db-password and DBPassword2 alike.
func wordsOf(name string) []string {
	var words []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
		}
		word = nil
	}
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			end()
			continue
		case i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || unicode.IsDigit(runes[i-1]) ||
			unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			end()
		case i > 0 && unicode.IsDigit(r) && unicode.IsLetter(runes[i-1]):
			end()
		}
		word = append(word, r)
	}
	end()
	return words
}
