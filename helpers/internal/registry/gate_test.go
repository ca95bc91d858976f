package registry

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/gate"
)

// reported is a file with Trivy's report about the image of that configuration.
func reported(t *testing.T, id, vulnerabilities string) string {
	t.Helper()
	return written(t, `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"ImageID":"`+id+
		`"},"Results":[{"Class":"lang-pkgs","Vulnerabilities":[`+vulnerabilities+`]}]}`)
}

func written(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.json")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

const high = `{"VulnerabilityID":"CVE-2026-1","PkgName":"starlette","InstalledVersion":"0.1","FixedVersion":"0.2","Severity":"HIGH"}`

func TestTheGateDecidesBeforeAnythingIsPushed(t *testing.T) {
	image, tar := imageTar(t, "c1")
	config, err := image.ConfigName()
	require.NoError(t, err)
	own, fresh := config.String(), `{"UpdatedAt":"`+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)+`"}`
	waived := []gate.Waiver{{ID: "CVE-2026-1", Reason: "is not reached", Owner: "ada", Until: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}}
	other := "sha256:" + strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		report  string
		version string
		waivers []gate.Waiver
		code    int
		says    string
	}{
		"clean":                    {reported(t, own, ""), fresh, nil, 0, ""},
		"findings":                 {reported(t, own, high), fresh, nil, slipway.No, "the image has 1 findings of HIGH,CRITICAL"},
		"findings that are waived": {reported(t, own, high), fresh, waived, 0, ""},
		"findings of less":         {reported(t, own, strings.Replace(high, "HIGH", "LOW", 1)), fresh, nil, 0, ""},
		"findings hidden by a second list": {written(t, `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"ImageID":"`+own+
			`"},"Results":[{"Class":"lang-pkgs","Vulnerabilities":[`+high+`]}],"Results":[{"Class":"lang-pkgs"}]}`), fresh, nil,
			slipway.Usage, `duplicate field "Results"`},
		"findings hidden by another spelling": {written(t, `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"ImageID":"`+own+
			`"},"Results":[{"Class":"lang-pkgs","Vulnerabilities":[`+high+`]}],"results":[{"Class":"lang-pkgs"}]}`), fresh, nil,
			slipway.No, "the image has 1 findings"},
		"a severity that is none": {reported(t, own, strings.Replace(high, "HIGH", "BAD", 1)), fresh, nil, slipway.Usage,
			`severity "BAD" is none`},
		"a scanner that failed":      {written(t, ""), fresh, nil, slipway.Unknown, "the scanner failed: it wrote no report"},
		"a report that is cut off":   {written(t, `{"SchemaVersion":2,`), fresh, nil, slipway.Usage, "cannot be evidence of a scan"},
		"two reports":                {written(t, "{}{}"), fresh, nil, slipway.Usage, "cannot be evidence of a scan"},
		"an old database":            {reported(t, own, ""), `{"UpdatedAt":"2026-01-01T00:00:00Z"}`, nil, slipway.Unknown, "older than 168h0m0s"},
		"no database":                {reported(t, own, ""), `null`, nil, slipway.Unknown, "or had none"},
		"an empty database":          {reported(t, own, ""), `{"UpdatedAt":"0001-01-01T00:00:00Z"}`, nil, slipway.Unknown, "or had none"},
		"a database of next year":    {reported(t, own, ""), `{"UpdatedAt":"2099-01-01T00:00:00Z"}`, nil, slipway.Unknown, "still to come"},
		"a report of another image":  {reported(t, other, ""), fresh, nil, slipway.Conflict, "the scan is of another image"},
		"another image and findings": {reported(t, other, high), fresh, nil, slipway.Conflict, "the scan is of another image"},
	} {
		t.Run(name, func(t *testing.T) {
			client, host := serve(t)
			tag, err := client.Tag(host + "/app:latest-1")
			require.NoError(t, err)
			decides, err := gate.New("HIGH,CRITICAL", test.waivers)
			require.NoError(t, err)
			statement := Statement{Type: scanType, File: test.report, MaxAge: 7 * 24 * time.Hour, Gate: decides,
				Scanner: written(t, `{"Version":"0.74.0","VulnerabilityDB":`+test.version+`}`)}
			pushed, pushErr := client.Push(t.Context(), tag, PushOptions{Tar: tar, Evidence: []Statement{statement}})
			scan, checkErr := CheckScan(statement, tar, time.Now())
			if test.code == 0 {
				require.NoError(t, pushErr)
				require.NoError(t, checkErr)
				assert.Len(t, scan.Waived, len(test.waivers))
				found, err := client.List(t.Context(), tag.Digest(pushed.Digest), nil)
				require.NoError(t, err)
				assert.Equal(t, "HIGH,CRITICAL", found.Evidence[0].Scan.Severity)
				assert.Equal(t, scan.Waived, found.Evidence[0].Scan.Waived)
				return
			}
			for _, err := range []error{pushErr, checkErr} {
				assert.ErrorContains(t, err, test.says)
				assert.Equal(t, test.code, slipway.AsError(err).Code, err)
			}
			_, err = client.Tags(t.Context(), tag.Context())
			assert.Error(t, err, "there is no repository: nothing was sent")
		})
	}
}

func TestABillOfMaterialsIsOfThisImage(t *testing.T) {
	client, host := serve(t)
	key := newKey(t)
	pushed := push(t, client, host+"/app:latest-1", "c1")
	digest, err := client.Digest(host + "/app@" + pushed.Digest)
	require.NoError(t, err)
	opened, err := client.open(t.Context(), digest.Context(), "pull,push")
	require.NoError(t, err)
	about, err := opened.manifest(t.Context(), pushed.Digest)
	require.NoError(t, err)
	of := func(id string) string {
		return `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"properties":[` +
			`{"name":"aquasecurity:trivy:ImageID","value":"` + id + `"}]}}}`
	}
	own := about.content.Config.Digest.String()
	for i, test := range []struct {
		body, mediaType, says string
		code                  int
	}{
		{of(own), "application/vnd.cyclonedx+json", "", 0},
		{`{"bomFormat":"CycloneDX"}`, "application/vnd.cyclonedx+json", "", 0}, // of another tool, which names no image
		{`{"spdxVersion":"SPDX-2.3"}`, "application/spdx+json", "", 0},
		{of("sha256:" + strings.Repeat("0", 64)), "", "the sbom is of another image", slipway.Conflict},
		{`{}`, "", "neither CycloneDX nor SPDX", slipway.Usage},
		{`packages`, "", "it is no JSON", slipway.Usage},
		{`{"bomFormat":"CycloneDX","bomFormat":"CycloneDX"}`, "", "duplicate field", slipway.Usage},
	} {
		added, err := client.AddEvidence(t.Context(), digest,
			Statement{Type: bomType, File: written(t, test.body), Key: key, Build: fmt.Sprint(i)})
		if test.says != "" {
			assert.ErrorContains(t, err, test.says)
			assert.Equal(t, test.code, slipway.AsError(err).Code)
			continue
		}
		require.NoError(t, err)
		got, err := opened.manifest(t.Context(), added.Digest)
		require.NoError(t, err)
		assert.Equal(t, test.mediaType, string(got.content.Layers[0].MediaType))
	}
	list, err := client.Verify(t.Context(), digest, []string{bomType}, key.public(), 0)
	require.NoError(t, err)
	assert.Len(t, list.Evidence, 3)
	body := []byte(of("sha256:" + strings.Repeat("1", 64))) // signed by staging, and of another image all the same
	s := &scene{t: t, client: client, host: host}
	made, blobs := statement(key, digest.Context(), about.Digest, body, map[string]string{annotationType: bomType})
	s.put(digest, made, nil, blobs...)
	list, err = client.List(t.Context(), digest, key.public())
	require.NoError(t, err)
	assert.Len(t, list.Rejected, 1)
	assert.Contains(t, list.Rejected[0].Why, "it is a sbom of another image")
}
