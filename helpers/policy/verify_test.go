package policy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/policy"
	"slipway.dev/slipway/helpers/internal/registry"
)

// keyPair writes a signing key, and gives the files of its halves.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	folder := t.TempDir()
	private, public = filepath.Join(folder, "production.key"), filepath.Join(folder, "production.pub")
	half, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: half}), 0o600))
	half, err = x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: half}), 0o600))
	return private, public
}

// signedRecord is a run's record as the pipeline archives it.
func signedRecord(t *testing.T, private string, subject policy.Subject, answers ...policy.Answer) map[string]any {
	t.Helper()
	key, err := registry.ReadPrivateKey(private)
	require.NoError(t, err)
	signed, err := policy.Approved{Build: "https://jenkins.example/7/", Image: subject.Image, Plan: subject.Plan, Verdict: subject.Verdict,
		Policy: subject.Policy, Approvals: answers}.Sign(key)
	require.NoError(t, err)
	record := map[string]any{"version": 1, "build": "https://jenkins.example/7/", "image": subject.Image, "policy": subject.Policy,
		"migration": map[string]any{"planId": subject.Plan}, "canary": map[string]any{"verdict": subject.Verdict, "weight": 10},
		"approvals": answers, "signed": signed, "outcome": "done"}
	body, err := json.Marshal(record)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &record))
	return record
}

func verifying(t *testing.T, record map[string]any, keys ...string) (code int, out, complaint string) {
	t.Helper()
	body, err := json.Marshal(record)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "slipway-record.json")
	require.NoError(t, os.WriteFile(file, body, 0o600))
	arguments := []string{"verify"}
	for _, key := range keys {
		arguments = append(arguments, "--key", key)
	}
	return run(t, append(arguments, file)...)
}

func TestASignedRecordIsVerifiedAndAChangedOneIsNot(t *testing.T) {
	private, public := keyPair(t)
	otherPrivate, otherPublic := keyPair(t)
	subject := policy.Subject{Image: "r/app:2@sha256:" + strings.Repeat("2", 64), Plan: "298c81cd24e14ee2", Verdict: "canary healthy",
		Policy: "aa"}
	migration := policy.Answer{What: policy.Migration, By: "dba", At: "2026-11-30T22:00:00Z", Hash: "another", As: "user"}
	ada := policy.Answer{What: policy.Promotion, By: "ada", At: "2026-11-30T22:01:00Z", Hash: subject.Hash(), Comment: "fine", As: "user"}
	bob := policy.Answer{What: policy.Promotion, By: "bob", At: "2026-11-30T22:02:00Z", Hash: subject.Hash(), As: "group"}
	whole := func() map[string]any { return signedRecord(t, private, subject, migration, ada, bob) }

	code, out, complaint := verifying(t, whole(), public)
	assert.Equal(t, slipway.Done, code, complaint)
	assert.Equal(t, subject.Image+"\n  approved by ada, bob\n", out)
	code, _, complaint = verifying(t, whole(), otherPublic, public)
	assert.Equal(t, slipway.Done, code, "while a key is replaced, two are good: %s", complaint)

	approvals := func(record map[string]any, i int) map[string]any {
		return record["approvals"].([]any)[i].(map[string]any)
	}
	first := signedRecord(t, private, policy.Subject{Image: subject.Image}, policy.Answer{What: policy.Promotion, By: "ada",
		Hash: policy.Subject{Image: subject.Image}.Hash()})
	delete(first, "migration")
	delete(first, "canary")
	code, _, complaint = verifying(t, first, public)
	assert.Equal(t, slipway.Done, code, "a first release has no canary: %s", complaint)

	for name, c := range map[string]struct {
		change func(record map[string]any)
		says   string
	}{
		"unsigned":         {func(r map[string]any) { delete(r, "signed") }, "the record is not signed"},
		"null":             {func(r map[string]any) { r["signed"] = nil }, "the record is not signed"},
		"empty":            {func(r map[string]any) { r["signed"] = map[string]any{} }, "not verified"},
		"another image":    {func(r map[string]any) { r["image"] = "r/app:3@sha256:" + strings.Repeat("3", 64) }, "image is"},
		"another tag":      {func(r map[string]any) { r["image"] = "r/app:3@sha256:" + strings.Repeat("2", 64) }, "image is"},
		"another build":    {func(r map[string]any) { r["build"] = "https://jenkins.example/8/" }, "build is"},
		"another plan":     {func(r map[string]any) { r["migration"] = map[string]any{"planId": "x"} }, "migration.planId is"},
		"another verdict":  {func(r map[string]any) { r["canary"] = map[string]any{"verdict": "x"} }, "canary.verdict is"},
		"another policy":   {func(r map[string]any) { r["policy"] = "" }, "policy is"},
		"another approver": {func(r map[string]any) { approvals(r, 1)["by"] = "eve" }, "the approvals are other ones"},
		"another time":     {func(r map[string]any) { approvals(r, 2)["at"] = "2026-11-30T23:02:00Z" }, "the approvals are other ones"},
		"one more":         {func(r map[string]any) { r["approvals"] = append(r["approvals"].([]any), r["approvals"].([]any)[1]) }, "other ones"},
		"one less":         {func(r map[string]any) { r["approvals"] = r["approvals"].([]any)[:2] }, "the approvals are other ones"},
		"the order":        {func(r map[string]any) { a := r["approvals"].([]any); a[0], a[1] = a[1], a[0] }, "the approvals are other ones"},
		"another's payload": {func(r map[string]any) {
			r["signed"].(map[string]any)["payload"] = base64.StdEncoding.EncodeToString([]byte("{}"))
		}, "does not match"},
		"no base64": {func(r map[string]any) { r["signed"].(map[string]any)["signature"] = "!" }, "not base64"},
		"signed by another": {func(r map[string]any) {
			r["signed"] = signedRecord(t, otherPrivate, subject, migration, ada, bob)["signed"]
		}, "not signed by this key"},
		"nobody": {func(r map[string]any) { maps.Copy(r, signedRecord(t, private, subject, migration)) }, "nobody approved"},
		"of another subject": {func(r map[string]any) {
			maps.Copy(r, signedRecord(t, private, policy.Subject{Image: subject.Image}, ada))
		}, "approved another promotion"},
	} {
		record := whole()
		c.change(record)
		code, _, complaint := verifying(t, record, public)
		assert.Equal(t, slipway.No, code, "%s: %s", name, complaint)
		assert.Contains(t, complaint, c.says, name)
	}
	changed := whole()
	approvals(changed, 1)["comment"] = "other words"
	code, _, _ = verifying(t, changed, public)
	assert.Equal(t, slipway.Done, code, "comments are no part of it")
	for _, arguments := range [][]string{{"verify"}, {"verify", "record.json"}, {"verify", "--key", public},
		{"verify", "--key", public, "absent.json"},
		{"verify", "--key", private, private}, {"verify", "--key", public, public}} {
		code, _, _ := run(t, arguments...)
		assert.Equal(t, slipway.Usage, code, arguments)
	}
}

// Whoever has no slipway verifies it with openssl.
func TestTheSignatureIsOpensslsToo(t *testing.T) {
	private, public := keyPair(t)
	subject := policy.Subject{Image: "r/app:2@sha256:" + strings.Repeat("2", 64)}
	signed := signedRecord(t, private, subject,
		policy.Answer{What: policy.Promotion, By: "ada", Hash: subject.Hash()})["signed"].(map[string]any)
	for _, name := range []string{"payload", "signature"} {
		body, err := base64.StdEncoding.DecodeString(signed[name].(string))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(public), name), body, 0o600))
	}
	command := exec.CommandContext(t.Context(), "openssl", "dgst", "-sha256", "-verify", public, "-signature", "signature", "payload")
	command.Dir = filepath.Dir(public)
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
}
