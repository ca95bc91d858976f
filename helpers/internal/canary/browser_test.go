package canary

import (
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What Jenkins sends with each file that a build archived: hudson.model.DirectoryBrowserSupport's default.
const jenkinsPolicy = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self';"

// The page looks the same in a browser where Jenkins serves it with its policy, elsewhere, and as a single file.
func TestTheReportLooksTheSameUnderJenkinsPolicy(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("there is no chromium: make setup installs it")
	}
	dir := t.TempDir()
	begin := time.Unix(1700000000, 0)
	analysis := Analysis{App: "app", Namespace: "prod", Verdict: Unhealthy, Why: "it fails", Begin: begin, Criteria: standard}
	for look := 1; look <= 4; look++ {
		n, at := float64(look), begin.Add(time.Duration(look)*time.Minute)
		analysis.Looks = append(analysis.Looks, Look{At: at, Canary: Sample{100 * n, 5 * n, 0.2}, Stable: Sample{900 * n, n, 0.1}, P: 0.01})
	}
	require.NoError(t, WriteReport(filepath.Join(dir, "canary-report.html"), analysis))
	shot := func(policy string, sheet int) image.Image {
		files := http.FileServer(http.Dir(dir))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if policy != "" {
				w.Header().Set("Content-Security-Policy", policy)
			}
			if filepath.Ext(r.URL.Path) == ".css" && sheet != http.StatusOK {
				w.WriteHeader(sheet)
				return
			}
			files.ServeHTTP(w, r)
		}))
		defer server.Close()
		return screenshot(t, server.URL+"/canary-report.html")
	}
	elsewhere := shot("", http.StatusOK)
	require.Greater(t, colours(elsewhere), 20, "there is something to see")
	assert.True(t, same(elsewhere, shot(jenkinsPolicy, http.StatusOK)), "under Jenkins' policy")
	assert.True(t, same(elsewhere, shot("", http.StatusNotFound)), "as a single file")
	bare := shot(jenkinsPolicy, http.StatusNotFound)
	assert.False(t, same(elsewhere, bare), "the policy of this test takes the style away")
	for name, colour := range map[string][3]uint32{"canary": {0xeb, 0x68, 0x34}, "stable": {0x2a, 0x78, 0xd6}} {
		assert.True(t, has(bare, colour), "even without its style the page shows the %s's line", name)
	}
}

func screenshot(t *testing.T, url string) image.Image {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.png")
	command := exec.CommandContext(t.Context(), "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--hide-scrollbars", "--user-data-dir="+t.TempDir(), "--window-size=900,1400", "--screenshot="+file, url)
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	opened, err := os.Open(file)
	require.NoError(t, err)
	defer opened.Close()
	picture, err := png.Decode(opened)
	require.NoError(t, err)
	return picture
}

func each(picture image.Image, see func(x, y int, r, g, b uint32)) {
	bounds := picture.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, b, _ := picture.At(x, y).RGBA()
			see(x, y, r>>8, g>>8, b>>8)
		}
	}
}

func same(one, other image.Image) bool {
	equal := one.Bounds() == other.Bounds()
	each(one, func(x, y int, r, g, b uint32) {
		r2, g2, b2, _ := other.At(x, y).RGBA()
		equal = equal && r == r2>>8 && g == g2>>8 && b == b2>>8
	})
	return equal
}

func colours(picture image.Image) int {
	seen := map[[3]uint32]bool{}
	each(picture, func(_, _ int, r, g, b uint32) { seen[[3]uint32{r, g, b}] = true })
	return len(seen)
}

func has(picture image.Image, colour [3]uint32) bool {
	found := false
	each(picture, func(_, _ int, r, g, b uint32) { found = found || [3]uint32{r, g, b} == colour })
	return found
}
