package images

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.etcd.io/bbolt"
)

// advisory is one entry of advisories.json: a real one of GitHub's database. Without an ecosystem it is pip's.
type advisory struct {
	ID         string
	Ecosystem  string // as Trivy's buckets have it
	Package    string
	Vulnerable []string
	Patched    []string
	Severity   string
	Title      string
}

var severities = map[string]int{"LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}

// sources are GitHub's, by ecosystem.
var sources = map[string]string{"pip": "GitHub Security Advisory Pip", "maven": "GitHub Security Advisory Maven"}

// trivyDatabase is a small vulnerability database in the form of Trivy's own:
// https://github.com/aquasecurity/trivy-db, schema 2, as an OCI artifact.
func trivyDatabase(list string) (v1.Image, error) {
	body, err := os.ReadFile(list)
	if err != nil {
		return nil, err
	}
	var advisories []advisory
	if err := json.Unmarshal(body, &advisories); err != nil {
		return nil, fmt.Errorf("reading %s: %w", list, err)
	}
	dir, err := os.MkdirTemp("", "trivy-db")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := writeDatabase(filepath.Join(dir, "trivy.db"), advisories); err != nil {
		return nil, fmt.Errorf("writing Trivy's database: %w", err)
	}
	return databaseArtifact("application/vnd.aquasec.trivy.db.layer.v1.tar+gzip", filepath.Join(dir, "trivy.db"), 2)
}

// jars are the files that Trivy's Java database of the lab knows by their content: an empty archive is log4j-core 2.14.1.
const jars = `
CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);
CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, foreign key (artifact_id) references artifacts(id));
CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id);
CREATE INDEX indices_artifact_idx ON indices(artifact_id);
CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1);
INSERT INTO artifacts VALUES (1, 'org.apache.logging.log4j', 'log4j-core');
INSERT INTO indices VALUES (1, '2.14.1', x'b04f3ee8f5e43fa3b162981b50bb72fe1acabb33', 'jar');
`

// trivyJavaDatabase is a small index of Java archives in the form of Trivy's own:
// https://github.com/aquasecurity/trivy-java-db, schema 1, as an OCI artifact.
func trivyJavaDatabase(ctx context.Context) (v1.Image, error) {
	dir, err := os.MkdirTemp("", "trivy-java-db")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "trivy-java.db")
	const program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.stdin.read())"
	write := exec.CommandContext(ctx, "python3", "-c", program, file)
	write.Stdin = strings.NewReader(jars)
	if out, err := write.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("writing Trivy's Java database: %w: %s", err, out)
	}
	return databaseArtifact("application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip", file, 1)
}

// databaseArtifact packs a database of today as Trivy downloads it.
func databaseArtifact(media types.MediaType, file string, schema int) (v1.Image, error) {
	now := time.Now().UTC()
	metadata, err := json.Marshal(map[string]any{
		"Version": schema, "UpdatedAt": now, "NextUpdate": now.AddDate(1, 0, 0), "DownloadedAt": time.Time{},
	})
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	compressed := gzip.NewWriter(&packed)
	out := tar.NewWriter(compressed)
	for _, write := range []tree{program(filepath.Base(file), file), text("metadata.json", 0o644, string(metadata))} {
		if err := write(out); err != nil {
			return nil, err
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	if err := compressed.Close(); err != nil {
		return nil, err
	}
	artifact := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	artifact = mutate.ConfigMediaType(artifact, "application/vnd.aquasec.trivy.config.v1+json")
	return mutate.Append(artifact, mutate.Addendum{
		Layer:       static.NewLayer(packed.Bytes(), media),
		Annotations: map[string]string{"org.opencontainers.image.title": "db.tar.gz"},
	})
}

func writeDatabase(path string, advisories []advisory) error {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bbolt.Tx) error {
		put := func(key string, value any, buckets ...string) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte(buckets[0]))
			for _, name := range buckets[1:] {
				if err == nil {
					bucket, err = bucket.CreateBucketIfNotExists([]byte(name))
				}
			}
			if err != nil {
				return err
			}
			encoded, err := json.Marshal(value)
			if err != nil {
				return err
			}
			return bucket.Put([]byte(key), encoded)
		}
		for ecosystem, source := range sources {
			about := map[string]string{"ID": "ghsa", "Name": source, "URL": "https://github.com/advisories?query=type%3Areviewed+ecosystem%3A" +
				ecosystem}
			if err := put(ecosystem+"::"+source, about, "data-source"); err != nil {
				return err
			}
		}
		for _, a := range advisories {
			ecosystem := cmp.Or(a.Ecosystem, "pip")
			versions := map[string]any{"PatchedVersions": a.Patched, "VulnerableVersions": a.Vulnerable}
			if err := put(a.ID, versions, ecosystem+"::"+sources[ecosystem], a.Package); err != nil {
				return err
			}
			detail := map[string]any{"Title": a.Title, "Severity": a.Severity, "VendorSeverity": map[string]int{"ghsa": severities[a.Severity]}}
			if err := put(a.ID, detail, "vulnerability"); err != nil {
				return err
			}
		}
		return nil
	})
}
