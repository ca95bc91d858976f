package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// scanType is the one type whose file is read: a report of Trivy in JSON.
const scanType = "scan"

// Scan is what a report of a scanner says, in short.
type Scan struct {
	Scanner  string         `json:"scanner,omitempty"`  // its name and version
	Database string         `json:"database,omitempty"` // when its database was made, RFC 3339
	Findings map[string]int `json:"findings"`           // per severity; one that is absent had none, or was not looked for

	archives bool      // Java archives were found, and known by the database of the next line
	java     time.Time // when that one was made
}

const scanPrefix = "dev.slipway.scan."

// report is what is read of Trivy's: https://trivy.dev/latest/docs/configuration/reporting/#json
type report struct {
	SchemaVersion int
	ArtifactType  string
	Trivy         struct{ Version string }
	Metadata      struct{ ImageID string }
	Results       []struct {
		Class, Type     string
		Vulnerabilities []struct{ Severity string }
	}
}

// findings counts them per severity, or says why the report is not of an image's
// packages. An image without packages that Trivy knows has no results at all.
func (r report) findings() (map[string]int, error) {
	switch {
	case r.SchemaVersion != 2:
		return nil, errors.New("it is no report of Trivy in JSON (SchemaVersion 2)")
	case r.ArtifactType != "container_image":
		return nil, fmt.Errorf("it is a report about something else than an image (ArtifactType %q): trivy image --input image.tar writes one",
			r.ArtifactType)
	case r.Metadata.ImageID == "":
		return nil, errors.New("it does not say of which image it is (Metadata.ImageID)")
	}
	counts := map[string]int{}
	packages := len(r.Results) == 0
	for _, result := range r.Results {
		packages = packages || result.Class == "os-pkgs" || result.Class == "lang-pkgs"
		for _, found := range result.Vulnerabilities {
			severity := strings.ToUpper(found.Severity)
			if !severityForm.MatchString(severity) {
				return nil, fmt.Errorf("its severity %q is none", found.Severity)
			}
			counts[severity]++
		}
	}
	if !packages {
		return nil, errors.New("none of its results is about packages: Trivy did not look for vulnerabilities (--scanners vuln)")
	}
	return counts, nil
}

// scanner is what trivy version --format json prints.
type scanner struct {
	Version         string
	VulnerabilityDB *struct{ UpdatedAt time.Time }
	JavaDB          *struct{ UpdatedAt time.Time }
}

// readScan reads a report, and from version the scanner's version and its
// database's date, which the report lacks. image is the digest of the scanned
// image's configuration, where the report names it.
func readScan(body []byte, version string) (scan Scan, image string, err error) {
	var r report
	if err := json.Unmarshal(body, &r); err != nil {
		return scan, "", fmt.Errorf("it is no JSON: %w", err)
	}
	if scan.Findings, err = r.findings(); err != nil {
		return scan, "", err
	}
	for _, result := range r.Results {
		scan.archives = scan.archives || result.Type == "jar"
	}
	if r.Trivy.Version != "" {
		scan.Scanner = "trivy " + r.Trivy.Version
	}
	if version == "" {
		return scan, r.Metadata.ImageID, nil
	}
	text, err := os.ReadFile(version)
	if err != nil {
		return scan, "", fmt.Errorf("the file of --scanner cannot be read: %w", err)
	}
	var of scanner
	if err := json.Unmarshal(text, &of); err != nil || of.Version == "" {
		return scan, "", fmt.Errorf("the file of --scanner is not what trivy version --format json prints")
	}
	scan.Scanner = "trivy " + of.Version
	if of.VulnerabilityDB != nil {
		scan.Database = of.VulnerabilityDB.UpdatedAt.UTC().Format(time.RFC3339)
	}
	if of.JavaDB != nil {
		scan.java = of.JavaDB.UpdatedAt
	}
	return scan, r.Metadata.ImageID, nil
}

// javaAge is how much older than the vulnerability database Trivy's Java database may be: it is made once a week, and
// tells which archive a file is, not what is wrong with it.
const javaAge = 4

// fresh refuses a scan whose databases were made longer than maximum before now, or are not named.
func (s Scan) fresh(now time.Time, maximum time.Duration) error {
	made, err := time.Parse(time.RFC3339, s.Database)
	if err != nil {
		return slipway.Errorf(slipway.Unknown, "the scan does not say of when its vulnerability database is").
			Next("give what trivy version --format json prints: --scanner FILE")
	}
	for _, each := range []struct {
		name, artifact string
		made           time.Time
		maximum        time.Duration
	}{{"vulnerability", "trivy-db:2", made, maximum}, {"Java", "trivy-java-db:1", s.java, javaAge * maximum}} {
		if each.name == "Java" && !s.archives {
			continue
		}
		if age := now.Sub(each.made); age > each.maximum {
			return slipway.Errorf(slipway.Unknown, "the scan's %s database is of %s, older than %s: what became known since was not looked for",
				each.name, each.made.UTC().Format(time.DateOnly), each.maximum).Next("renew the registry's mirror of %s, and scan again", each.artifact)
		}
	}
	return nil
}

var severityForm = regexp.MustCompile(`^[A-Z]{1,20}$`)

// facts are the scan as annotations; scanOf is their reverse.
func (s Scan) facts() map[string]string {
	facts := map[string]string{}
	if s.Scanner != "" {
		facts[scanPrefix+"scanner"] = s.Scanner
	}
	if s.Database != "" {
		facts[scanPrefix+"database"] = s.Database
	}
	for severity, count := range s.Findings {
		facts[scanPrefix+"findings."+strings.ToLower(severity)] = strconv.Itoa(count)
	}
	return facts
}

func scanOf(facts map[string]string) *Scan {
	scan := Scan{Scanner: facts[scanPrefix+"scanner"], Database: facts[scanPrefix+"database"], Findings: map[string]int{}}
	for key, value := range facts {
		if severity, found := strings.CutPrefix(key, scanPrefix+"findings."); found {
			if count, err := strconv.Atoi(value); err == nil {
				scan.Findings[strings.ToUpper(severity)] = count
			}
		}
	}
	return &scan
}

// String is the scan on one line.
func (s Scan) String() string {
	var parts []string
	for severity, count := range s.Findings {
		parts = append(parts, fmt.Sprintf("%d %s", count, severity))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		parts = []string{"no findings"}
	}
	if s.Scanner != "" {
		parts = append(parts, "by "+s.Scanner)
	}
	if s.Database != "" {
		parts = append(parts, "database of "+s.Database)
	}
	return strings.Join(parts, ", ")
}

// checkSubject refuses a report about another image than the one it is attached to.
func checkSubject(scanned, id string) error {
	if scanned == "" || scanned == id {
		return nil
	}
	return slipway.Errorf(slipway.Conflict, "the scan is of another image: it names %s, and this one is %s", scanned, id).
		Next("scan the tar that is pushed")
}

// imageID is the digest of the image's configuration, by which Trivy knows it. Of an
// index it is that of its one image: a scan is of one platform.
func (s *session) imageID(ctx context.Context, about *manifest) (string, error) {
	if !about.content.isIndex() {
		return about.content.Config.Digest.String(), nil
	}
	images := about.content.images()
	if len(images) != 1 {
		return fmt.Sprintf("an index of %d images", len(images)), nil
	}
	only, err := s.manifest(ctx, images[0].Digest.String())
	if err != nil {
		return "", err
	}
	return s.imageID(ctx, only)
}
