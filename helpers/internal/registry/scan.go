package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/gate"
)

// scanType is the one type whose file is read: a report of Trivy in JSON.
const scanType = "scan"

// Scan is what a report of a scanner says, in short.
type Scan struct {
	Scanner  string         `json:"scanner,omitempty"`  // its name and version
	Database string         `json:"database,omitempty"` // when its database was made, RFC 3339
	Findings map[string]int `json:"findings"`           // per severity; one that is absent had none, or was not looked for
	Severity string         `json:"severity,omitempty"` // of the findings that would have stopped the image, where that was decided
	Waived   []gate.Waived  `json:"waived,omitempty"`   // of these, those that a waiver covers

	OutOfSupport string `json:"outOfSupport,omitempty"` // the distribution that gets no fixes any more, so that little is known of it

	archives bool      // Java archives were found, and known by the database of the next line
	java     time.Time // when that one was made
}

const scanPrefix = "dev.slipway.scan."

// report is what is read of Trivy's: https://trivy.dev/latest/docs/configuration/reporting/#json
type report struct {
	SchemaVersion int
	ArtifactType  string
	Trivy         struct{ Version string }
	Metadata      struct {
		ImageID string
		OS      struct {
			Family, Name string
			EOSL         bool
		}
	}
	Results []struct {
		Class, Type     string
		Vulnerabilities []struct{ VulnerabilityID, PkgName, InstalledVersion, FixedVersion, Severity string }
	}
}

// each gives all findings.
func (r report) each() []gate.Finding {
	var all []gate.Finding
	for _, result := range r.Results {
		for _, one := range result.Vulnerabilities {
			all = append(all, gate.Finding{ID: one.VulnerabilityID, Package: one.PkgName, Version: one.InstalledVersion, Fixed: one.FixedVersion,
				Severity: strings.ToUpper(one.Severity)})
		}
	}
	return all
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
			if !slices.Contains(gate.Severities, severity) {
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
// database's date, which the report lacks.
func readScan(body []byte, version string) (scan Scan, r report, err error) {
	if err := readOnce(body, &r); err != nil {
		return scan, r, err
	}
	if scan.Findings, err = r.findings(); err != nil {
		return scan, r, err
	}
	if os := r.Metadata.OS; os.EOSL {
		scan.OutOfSupport = os.Family + " " + os.Name
	}
	for _, result := range r.Results {
		scan.archives = scan.archives || result.Type == "jar"
	}
	if r.Trivy.Version != "" {
		scan.Scanner = "trivy " + r.Trivy.Version
	}
	if version == "" {
		return scan, r, nil
	}
	text, err := os.ReadFile(version)
	if err != nil {
		return scan, r, fmt.Errorf("the file of --scanner cannot be read: %w", err)
	}
	var of scanner
	if err := json.Unmarshal(text, &of); err != nil || of.Version == "" {
		return scan, r, fmt.Errorf("the file of --scanner is not what trivy version --format json prints")
	}
	scan.Scanner = "trivy " + of.Version
	if of.VulnerabilityDB != nil && !of.VulnerabilityDB.UpdatedAt.IsZero() {
		scan.Database = of.VulnerabilityDB.UpdatedAt.UTC().Format(time.RFC3339)
	}
	if of.JavaDB != nil {
		scan.java = of.JavaDB.UpdatedAt
	}
	return scan, r, nil
}

// javaAge is how much older than the vulnerability database Trivy's Java database may be: it is made once a week, and
// tells which archive a file is, not what is wrong with it.
const javaAge = 4

// fresh refuses a scan whose databases were made longer than maximum before now, or are not named.
func (s Scan) fresh(now time.Time, maximum time.Duration) error {
	made, err := time.Parse(time.RFC3339, s.Database)
	if err != nil {
		return slipway.Errorf(slipway.Unknown, "the scan does not say of when its vulnerability database is, or had none").
			Next("see why the scanner could not load the mirror of trivy-db:2, and scan again; " +
				"its date is in what trivy version --format json prints: --scanner FILE")
	}
	for _, each := range []struct {
		name, artifact string
		made           time.Time
		maximum        time.Duration
	}{{"vulnerability", "trivy-db:2", made, maximum}, {"Java", "trivy-java-db:1", s.java, javaAge * maximum}} {
		if each.name == "Java" && !s.archives {
			continue
		}
		age := now.Sub(each.made)
		if age < -clockSkew {
			return slipway.Errorf(slipway.Unknown, "the scan's %s database is of %s, which is still to come: how old it is cannot be told",
				each.name, each.made.UTC().Format(time.DateTime)).Next("set the clock of this machine, or of the one that makes %s", each.artifact)
		}
		if age > each.maximum {
			return slipway.Errorf(slipway.Unknown, "the scan's %s database is of %s, older than %s: what became known since was not looked for",
				each.name, each.made.UTC().Format(time.DateOnly), each.maximum).Next("renew the registry's mirror of %s, and scan again", each.artifact)
		}
	}
	return nil
}

// facts are the scan as annotations; scanOf is their reverse.
func (s Scan) facts() map[string]string {
	facts := map[string]string{}
	if s.Scanner != "" {
		facts[scanPrefix+"scanner"] = s.Scanner
	}
	if s.Database != "" {
		facts[scanPrefix+"database"] = s.Database
	}
	if s.Severity != "" {
		facts[scanPrefix+"severity"] = s.Severity
	}
	if s.OutOfSupport != "" {
		facts[scanPrefix+"out-of-support"] = s.OutOfSupport
	}
	if body, err := json.Marshal(s.Waived); err == nil && len(s.Waived) > 0 {
		facts[scanPrefix+"waived"] = string(body)
	}
	for severity, count := range s.Findings {
		facts[scanPrefix+"findings."+strings.ToLower(severity)] = strconv.Itoa(count)
	}
	return facts
}

func scanOf(facts map[string]string) *Scan {
	scan := Scan{Scanner: facts[scanPrefix+"scanner"], Database: facts[scanPrefix+"database"], Severity: facts[scanPrefix+"severity"],
		OutOfSupport: facts[scanPrefix+"out-of-support"], Findings: map[string]int{}}
	if json.Unmarshal([]byte(facts[scanPrefix+"waived"]), &scan.Waived) != nil {
		scan.Waived = nil // written by somebody else
	}
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
	if len(s.Waived) > 0 {
		parts = append(parts, fmt.Sprintf("%d waived", len(s.Waived)))
	}
	if s.Scanner != "" {
		parts = append(parts, "by "+s.Scanner)
	}
	if s.Database != "" {
		parts = append(parts, "database of "+s.Database)
	}
	return strings.Join(parts, ", ")
}

// checkSubject refuses a report or a bill of materials about another image than the one it is attached to.
func checkSubject(kind, scanned, id string) error {
	if scanned == "" || scanned == id {
		return nil
	}
	return slipway.Errorf(slipway.Conflict, "the %s is of another image: it names %s, and this one is %s", kind, scanned, id).
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

// CheckScan says what a scan of the image in the tar file found, and refuses findings that no waiver covers. It sends nothing.
// The tar is not read to its end: a push does that.
func CheckScan(statement Statement, tar string, now time.Time) (Scan, error) {
	if err := statement.Read(now); err != nil {
		return Scan{}, err
	}
	id, err := configOf(tar)
	if err != nil {
		return Scan{}, err
	}
	if err := checkSubject(statement.Type, statement.image, id); err != nil {
		return Scan{}, err
	}
	err = statement.decide()
	return statement.scan, err
}
