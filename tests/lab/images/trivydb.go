package images

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.etcd.io/bbolt"
)

// advisory is one entry of advisories.json: a real one of GitHub's database.
type advisory struct {
	ID         string
	Package    string
	Vulnerable []string
	Patched    []string
	Severity   string
	Title      string
}

var severities = map[string]int{"LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}

const source = "GitHub Security Advisory Pip"

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
	metadata, err := json.Marshal(map[string]any{"Version": 2, "UpdatedAt": time.Now().UTC(), "NextUpdate": time.Now().UTC().AddDate(1, 0, 0), "DownloadedAt": time.Time{}})
	if err != nil {
		return nil, err
	}
	packed, err := os.Create(filepath.Join(dir, "db.tar.gz"))
	if err != nil {
		return nil, err
	}
	defer packed.Close()
	compressed := gzip.NewWriter(packed)
	out := tar.NewWriter(compressed)
	for _, write := range []tree{program("trivy.db", filepath.Join(dir, "trivy.db")), text("metadata.json", 0o644, string(metadata))} {
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
	blob, err := os.ReadFile(packed.Name())
	if err != nil {
		return nil, err
	}
	artifact := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	artifact = mutate.ConfigMediaType(artifact, "application/vnd.aquasec.trivy.config.v1+json")
	return mutate.Append(artifact, mutate.Addendum{
		Layer:       static.NewLayer(blob, "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"),
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
		if err := put("pip::"+source, map[string]string{"ID": "ghsa", "Name": source, "URL": "https://github.com/advisories?query=type%3Areviewed+ecosystem%3Apip"}, "data-source"); err != nil {
			return err
		}
		for _, a := range advisories {
			if err := put(a.ID, map[string]any{"PatchedVersions": a.Patched, "VulnerableVersions": a.Vulnerable}, "pip::"+source, a.Package); err != nil {
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
