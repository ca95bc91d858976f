package safe

// word is one of a command: quoted, or up to the next blank; neither a variable nor another flag.
const word = `(?:"[^"$\n][^"\n]*"|'[^'\n]*'|[^\s"'|;$-][^\s"'|;]*)`

// programs are those that take a password in their arguments, beside the flags whose names say it. What a shell
// or a CI shows of its commands (set -x) is found so.
var programs = []rule{
	// A flag of one letter, with or without a blank behind it.
	flagOf(`mysql|mysqldump|mysqladmin|mariadb(?:-\w+)?|7z[ar]?`, `-p`),
	flagOf(`redis-cli`, `-a\s*`),
	flagOf(`sshpass`, `-p\s*`),
	flagOf(`ldap(?:search|modify|add|delete|passwd)`, `-w\s*`),
	flagOf(`mongo(?:sh|dump|restore|export|import|stat|top)?|twine|rabbitmqadmin|cqlsh|snowsql|useradd`, `-p\s+`),
	flagOf(`(?:docker|podman|skopeo|buildah|crane|cosign|helm registry|oras|az|oc)\s+(?:auth )?login`, `-p[ =]?`),
	flagOf(`sqlcmd|bcp|zip|unzip`, `-P\s*`),
	flagOf(`openssl\s+enc`, `-[kK]\s+`),
	flagOf(`dotnet\s+nuget|nuget`, `(?:-k|-ApiKey|--api-key)\s+`),
	flagOf(`gem\s+push`, `(?:-k|--key)\s+`),
	flagOf(`curl`, `(?:-b|--cookie)[ =]?`),
	flagOf(`rootpw`, `--(?:plaintext|iscrypted)\s+`),
	// user:password, user%password, user,password.
	{lazily(`(\bcurl\b[^\n|;]*?\s(?:-[A-Za-z]*u|--user|--proxy-user|-U)[ =]?["']?[^\s:"']+:)[^\s"']+`), "$1" + mask},
	{lazily(`(\b(?:https?|xh)\s[^\n|;]*?(?:-a|--auth)[ =]["']?[^\s:"']+:)[^\s"']+`), "$1" + mask},
	{lazily(`(\bsmbclient\b[^\n|;]*?\s(?:-U|--user)[ =]?["']?[^\s%"']+%)[^\s"']+`), "$1" + mask},
	{lazily(`(\blftp\b[^\n|;]*?\s-u[ =]?["']?[^\s,"']+,)[^\s"']+`), "$1" + mask},
	{lazily(`(\b(?:--?(?:src-|dest-)?creds|-auth)[ =]["']?[^\s:"']+:)[^\s"']+`), "$1" + mask},
	// A word at its place.
	{lazily(`(\b(?:vault|cargo)\s+login\s+)[^\s-]\S{15,}`), "$1" + mask},
	{lazily(`(\brabbitmqctl\s+(?:add_user|change_password|authenticate_user)\s+\S+\s+)` + word), "$1" + mask},
	{lazily(`(\bhtpasswd\s+-\w*b\w*n\w*\s+\S+\s+|\bhtpasswd\s+-\w*n\w*b\w*\s+\S+\s+)` + word), "$1" + mask},
	{lazily(`(\bhtpasswd\s+-[a-mo-zA-Z]*b[a-mo-zA-Z]*\s+\S+\s+\S+\s+)` + word), "$1" + mask},
	{lazily(`(\bmc\s+(?:alias\s+set|config\s+host\s+add)\s+\S+\s+\S+\s+\S+\s+)` + word), "$1" + mask},
	{lazily(`(\bpulumi\s+config\s+set\s+--secret\s+\S+\s+)` + word), "$1" + mask},
	{lazily(`(\bnpm\s+config\s+set\s+\S*_(?:authToken|auth|password)[ =])` + word), "$1" + mask},
	{lazily(`(?i)(\bnuget\s+setapikey\s+)` + word), "$1" + mask},
	{lazily(`(?i)(\bnet\s+use\b[^\n]*?/user:\S+\s+)` + word), "$1" + mask},
	// What is piped in.
	{lazily(`(\b(?:echo|printf)\s+(?:-\w+\s+|'%s'\s+|"%s"\s+|%s\s+)*)` + word +
		`(\s*\|[^\n|]*--password-stdin)`), "$1" + mask + "$2"},
	{lazily(`(\becho\s+["']?[\w.-]+:)[^\s"']+(["']?\s*\|\s*(?:sudo\s+)?chpasswd)`), "$1" + mask + "$2"},
	// Redis: its configuration, its commands, its users; FTP and SMTP.
	{lazily(`(?m)(^[ \t]*(?:requirepass|masterauth)[ \t]+)` + word + `[ \t]*$`), "$1" + mask},
	{lazily(`(?m)(^[ \t]*(?:\S*> )?AUTH[ \t]+(?:PLAIN|LOGIN|default)[ \t]+)[^\s:=]+=*\s*$`), "$1" + mask},
	{lazily(`(?m)(^[ \t]*(?:\S*> )?AUTH[ \t]+)[^\s:=]*[0-9][^\s:=]*\s*$`), "$1" + mask},
	{lazily(`(\buser\s+\S+\s+(?:on|off)\s+(?:\S+\s+)*?[>#])\S+`), "$1" + mask},
	{lazily(`((?:^|\s)USER \S+\r?\n(?:[^\n]*\n)?(?:[->*]+ )?PASS )\S+`), "$1" + mask},
	{lazily(`((?:^|\n)(?:[->*]+ )PASS )\S+`), "$1" + mask},
}

// flagOf are these programs, whose password stands behind this flag.
func flagOf(programs, flag string) rule {
	return rule{lazily(`(\b(?:` + programs + `)\b[^\n|;]*?\s` + flag + `)` + word), "$1" + mask}
}
