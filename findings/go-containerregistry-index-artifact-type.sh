#!/usr/bin/env bash
# go-containerregistry 0.22.1: an index that mutate.AppendManifests makes (crane index append, ko)
# names an artifactType for each plain image.
#
# The descriptor of an ordinary image gets "artifactType" with the media type of the image's
# configuration, though the image's own manifest has no artifactType. The image specification
# has that field for artifacts, and BuildKit and Buildah leave it out of the images' descriptors.
# A reader that tells images from signatures or bills of materials by whether the field is there
# finds no image in such an index. What counts is its value.
#
# Seen:
# Docker: manifest "", descriptor "application/vnd.docker.container.image.v1+json"
# OCI: manifest "", descriptor "application/vnd.oci.image.config.v1+json"
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func main() {
	docker, err := random.Image(10, 1)
	if err != nil {
		panic(err)
	}
	oci := mutate.ConfigMediaType(mutate.MediaType(docker, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, each := range []struct {
		name  string
		image v1.Image
	}{{"Docker", docker}, {"OCI", oci}} {
		body, err := each.image.RawManifest()
		if err != nil {
			panic(err)
		}
		var manifest struct{ ArtifactType string }
		if err := json.Unmarshal(body, &manifest); err != nil {
			panic(err)
		}
		index, err := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: each.image}).IndexManifest()
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: manifest %q, descriptor %q\n", each.name, manifest.ArtifactType, index.Manifests[0].ArtifactType)
	}
}
GO
export GOFLAGS=-mod=mod
go mod init finding >/dev/null 2>&1
go get github.com/google/go-containerregistry@v0.22.1 >/dev/null 2>&1
seen=$(go run .)
echo "$seen"
grep -qF 'Docker: manifest "", descriptor "application/vnd.docker.container.image.v1+json"' <<<"$seen"
grep -qF 'OCI: manifest "", descriptor "application/vnd.oci.image.config.v1+json"' <<<"$seen"
