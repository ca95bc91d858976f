package safe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Each text holds hunter2 or another secret, which must not be left, and what must be.
var secretTexts = []struct{ text, secret, kept string }{
	{"DB_PASS=hunter2", "hunter2", "DB_PASS="},
	{"db_pwd=hunter2 host=db", "hunter2", "host=db"},
	{"PGPASSWORD=hunter2 psql -h db", "hunter2", "PGPASSWORD="},
	{"export MYSQL_PWD='hunter 2'", "hunter 2", "export MYSQL_PWD="},
	{"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalr", "AWS_SECRET_ACCESS_KEY="},
	{"AWS_SESSION_TOKEN=FwoGZXIvYXdzEXAMPLE", "FwoGZ", ""},
	{"secret_key: hunter2", "hunter2", "secret_key: "},
	{"  SECRET_KEY_BASE: 0a1b2c3d", "0a1b2c3d", ""},
	{"api_key=hunter2", "hunter2", ""},
	{"ApiKey: hunter2", "hunter2", ""},
	{"X-API-Key: hunter2", "hunter2", "X-API-Key: "},
	{"token_value = hunter2", "hunter2", ""},
	{"refreshToken=hunter2&grant_type=password", "hunter2", "grant_type=password"},
	{"GET /login?user=bob&access_token=hunter2&x=1 HTTP/1.1", "hunter2", "&x=1 HTTP/1.1"},
	{"client_secret=hunter2;scope=all", "hunter2", "scope=all"},
	{"dbpassword=hunter2", "hunter2", ""},
	{"spring.datasource.password=hunter2", "hunter2", "spring.datasource.password="},
	{"userPassword => 'hunter2',", "hunter2", ""},
	{`{"user":"bob","password":"hunter2","host":"db"}`, "hunter2", `"host":"db"`},
	{`{"password": "hun\"ter2", "port": 5432}`, `ter2`, `"port": 5432`},
	{`msg="{\"password\":\"hunter2\",\"user\":\"bob\"}"`, "hunter2", "bob"},
	{`{'passwd': 'hunter2', 'db': 'shop'}`, "hunter2", "shop"},
	{`:password=>"hunter2", :host=>"db"`, "hunter2", "db"},
	{"{User:bob Password:hunter2 Host:db}", "hunter2", "Host:db"},
	{"password: correct horse battery", "horse", "password: "},
	{"PASSWORD=two words", "words", ""},
	{"db:\n  password: |\n    hunter2\n  host: db", "hunter2", "host: db"},
	{"private_key: >-\n  AAAAB3Nza\n  C1yc2E\nnext: 1", "C1yc2E", "next: 1"},
	{"- name: DB_PASSWORD\n  value: hunter2\n- name: HOST\n  value: db", "hunter2", "value: db"},
	{`{"name":"API_TOKEN","value":"hunter2"}`, "hunter2", "API_TOKEN"},
	{`<add key="Password" value="hunter2" />`, "hunter2", "<add"},
	{"<password>hunter2</password><host>db</host>", "hunter2", "<host>db</host>"},
	{"kind: Secret\nmetadata:\n  name: db\ndata:\n  login: aHVudGVyMg==\n", "aHVudGVyMg", "name: db"},
	{`{"kind": "Secret", "data": {"login": "aHVudGVyMg=="}}`, "aHVudGVyMg", "login"},
	{"Authorization: Bearer abc", "abc", "Authorization: "},
	{"> Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "> Authorization: "},
	{"Proxy-Authorization: Digest username=\"bob\", response=\"6629fae4\"", "6629fae4", ""},
	{"map[Accept:[*/*] Authorization:[Bearer abc.def] Host:[db]]", "abc.def", "Host:[db]"},
	{"Cookie: session=hunter2; theme=dark", "hunter2", "Cookie: "},
	{"< Set-Cookie: JSESSIONID=hunter2; Path=/; HttpOnly", "hunter2", "< Set-Cookie: "},
	{"X-Vault-Token: hunter2", "hunter2", ""},
	{"x-amz-security-token:hunter2", "hunter2", ""},
	{"curl -H 'Authorization: token hunter2' https://db/x", "hunter2", "https://db/x"},
	{"sending Bearer abcDEF123456 to db", "abcDEF123456", "to db"},
	{"postgres://app:hunter2@db:5432/shop", "hunter2", "@db:5432/shop"},
	{"POSTGRES://u:p4ss@h", "p4ss", "@h"},
	{"postgres://app:p@ss/w:rd#1@db/shop", "ss/w:rd", "@db/shop"},
	{"postgresql+psycopg://app:ge%40heim@db:5432/mydb?sslmode=require", "ge%40heim", "app:****@db:5432/mydb?sslmode=require"},
	{"at postgres://app:geheim@db/x with PASSWORD=geheim and token: abc", "abc", "@db/x with PASSWORD=**** and token: ****"},
	{"redis://:hunter2@cache:6379/0", "hunter2", "cache:6379"},
	{"amqp://guest:hunter2@mq, retry in 5 s", "hunter2", "retry in 5 s"},
	{"mongodb+srv://u:hunter2@a,b/db?w=1", "hunter2", "w=1"},
	{"jdbc:postgresql://db/shop?user=app&password=hunter2&ssl=true", "hunter2", "ssl=true"},
	{"git clone https://x-access-token:hunter2@git.example/a.git", "hunter2", "git.example/a.git"},
	{"https://0123456789abcdef0123@git.example/a.git", "0123456789abcdef", "git.example"},
	{"app:hunter2@tcp(db:3306)/shop", "hunter2", "tcp(db:3306)"},
	{"Server=db;User Id=sa;Password=hun ter2;Encrypt=true", "ter2", "Encrypt=true"},
	{"DefaultEndpointsProtocol=https;AccountKey=abc123==;EndpointSuffix=x", "abc123", "EndpointSuffix=x"},
	{"host=db user=app password='hun ter2' sslmode=require", "ter2", "sslmode=require"},
	{"--password hunter2 --host db", "hunter2", "--host db"},
	{"app --db-password=hunter2 --verbose", "hunter2", "--verbose"},
	{"crane auth login -u bob -p hunter2 registry.example", "hunter2", "registry.example"},
	{"curl -u bob:hunter2 https://db", "hunter2", "https://db"},
	{"mysqldump -u root -phunter2 shop", "hunter2", "shop"},
	{"redis-cli -h cache -a hunter2 ping", "hunter2", "ping"},
	{"CREATE ROLE app LOGIN PASSWORD 'hunter2';", "hunter2", "CREATE ROLE app LOGIN PASSWORD"},
	{"alter user app with encrypted password 'hun''ter2'", "ter2", "alter user app"},
	{"CREATE USER u IDENTIFIED BY 'hunter2'", "hunter2", "CREATE USER u"},
	{"machine db login bob password hunter2", "hunter2", "machine db login bob"},
	{"db.example:5432:shop:app:hunter2", "hunter2", "db.example:5432:shop:app:"},
	{"//registry.example/:_authToken=hunter2", "hunter2", "registry.example"},
	{`{"auths":{"registry.example":{"auth":"Ym9iOmh1bnRlcjI="}}}`, "Ym9iOmh1", "registry.example"},
	{"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nx3Jz\n-----END RSA PRIVATE KEY-----\nnext", "MIIEp", "next"},
	{`"key": "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END PRIVATE KEY-----\n"`, "MIIEp", `"key"`},
	{"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1", "MHcCAQEE", ""},
	{"got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmN", "eyJzdWIi", "got "},
	{"remote: ghp_abcdefghijklmnopqrstuvwxyz0123456789 is no user", "ghp_", "is no user"},
	{"pushing with glpat-abcdefghij0123456789", "glpat-abc", "pushing with "},
	{"the password for bob is: hunter2", "hunter2", "the password for bob"},
	{"password=12345", "12345", ""},
	{`time=1 level=info msg="connected" password=hunter2 port=5432`, "hunter2", "port=5432"},
	{"2026-11-30 INFO settings: token: hunter2", "hunter2", "settings"},
	{"user[password]=hunter2", "hunter2", "user"},
	{"Caused by: {\"api-token\":hunter2}", "hunter2", "Caused by"},
	{"REDIS_AUTH=hunter2", "hunter2", ""},
	{"VAULT secret_id=hunter2", "hunter2", ""},
	{"ENV STRIPE_API_KEY hunter2\nAPI_KEY=hunter3", "hunter3", ""},
	{"WARN password=hunter2, retrying", "hunter2", "retrying"},
	{"wrong passwords: [hunter2, hunter3]", "hunter3", "wrong"},
	{"password:hunter2", "hunter2", ""},
	{"passphrase: hunter2 # for the key", "hunter2", ""},
}

// What a person must still be able to read.
var plainTexts = []string{
	`password authentication failed for user "app"`,
	"FATAL: password authentication failed",
	"password must be at least 8 characters",
	"password: must not be empty",
	"invalid token: expected ',' or '}'",
	"Unexpected token < in JSON at position 0",
	"syntax error, unexpected token '}'",
	"token expired",
	"token: not found",
	"error reading secret: permission denied",
	`secret "postgres-credentials" not found`,
	`secrets "nexus-pull" is forbidden: User "system:serviceaccount:prod:slipway" cannot get resource "secrets"`,
	"secretName: postgres-tls",
	"imagePullSecrets: nexus-pull",
	"imagePullSecret=nexus-pull",
	"secretKeyRef: {name: db, key: login}",
	"PASSWORD_FILE=/run/secrets/db",
	"password_file: /run/secrets/db",
	"password=/run/secrets/db",
	"password_encryption = scram-sha-256",
	"PWD=/app",
	"OLDPWD=/workspace",
	"pwd=/usr/src/app",
	"password: ${DB_PASSWORD}",
	"password={{ .Values.password }}",
	"password: $(DB_PASSWORD)",
	"password=****",
	"password=<redacted>",
	"password: [REDACTED]",
	`password: ""`,
	"password=null",
	"hasPassword=true",
	"ValueError: an address with a tag",
	"unexpected token: ']'",
	"tokens: 512",
	"max_tokens=4096",
	"token_count: 17",
	"token=5",
	"token_type=bearer",
	"token_url=https://login.example/token",
	"token-ttl=3600",
	"tokenizer=bert-base",
	"next_page_token=abc",
	"primary_key=id",
	"foreign_key: users_id",
	"cache_key=users:1",
	"public_key=MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
	"key=value",
	"keyboard=us",
	"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
	"credentialsId: nexus",
	"author=Ada",
	"authority: example",
	"auth_method=scram-sha-256",
	"auth: basic",
	"authorization: failed",
	"--- PASS: TestLogin (0.00s)",
	"PASS: test_login",
	"pass: 12 fail: 0",
	"passed=12",
	"bypass=true",
	"compass: north",
	"passthrough: yes",
	"sha256:9f2c1d0a7b3e5f8a9f2c1d0a7b3e5f8a9f2c1d0a7b3e5f8a9f2c1d0a7b3e5f8a",
	"registry.example:5000/team/app:latest-41@sha256:9f2c1d0a",
	"oci://registry.example:5000/team/app:latest-41@sha256:9f2c",
	"https://example.com:8080/path?email=a@b.example",
	"https://example.com/@scope/package@1.2.3",
	"ssh://git@git.example/team/app.git",
	"https://bob@git.example/a.git",
	"mailto:ada@example.org",
	"http://[::1]:8080/x@y",
	"main.go:12:5: undefined: token",
	"00:11:22:33:44:55",
	"10:20:30",
	"Basic authentication is not supported",
	"Bearer token missing",
	"--password is required",
	"--password-file /run/secrets/db",
	"-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBg\n-----END CERTIFICATE-----",
	"kind: ConfigMap\ndata:\n  level: debug\n",
	"SELECT password FROM users WHERE id = 1",
	"ALTER TABLE users ADD COLUMN password text",
	`<input type="password" name="field">`,
	"commit 4dc1a21 by Ada: fix the token's colour",
	"panic: runtime error: index out of range [3] with length 3",
	"GET /users?page=2&limit=50 200 12ms",
	"cookies=3",
	"level=info msg=\"listening\" port=8000",
	"the password is required",
	"the token is 128 bytes long",
}

func TestMask(t *testing.T) {
	assert.GreaterOrEqual(t, len(secretTexts), 60)
	for _, test := range secretTexts {
		masked := Mask(test.text)
		assert.NotContains(t, masked, test.secret, "%s", test.text)
		assert.Contains(t, masked, mask, "%s", test.text)
		assert.Contains(t, masked, test.kept, "%s", test.text)
		assert.Equal(t, masked, Mask(masked), "masked twice: %s", test.text)
	}
}

func TestMaskLeavesWhatIsNoSecret(t *testing.T) {
	assert.GreaterOrEqual(t, len(plainTexts), 60)
	for _, text := range plainTexts {
		assert.Equal(t, text, Mask(text))
	}
}

func TestASecretIsMaskedInWhateverLine(t *testing.T) {
	before, behind := "2026-11-30T12:00:00Z starting\nlevel=info msg=ready\n", "\nlistening on :8000\nusers: 3"
	for _, test := range secretTexts {
		masked := Mask(before + test.text + behind)
		assert.NotContains(t, masked, test.secret, "%s", test.text)
		assert.True(t, strings.HasPrefix(masked, before), "%s", masked)
		assert.True(t, strings.HasSuffix(masked, "users: 3"), "%s", masked)
	}
}

func FuzzMask(f *testing.F) {
	for _, test := range secretTexts {
		f.Add(test.text)
	}
	f.Fuzz(func(_ *testing.T, text string) { Mask(text) })
}
