package registry

import (
	"errors"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// bomType is a bill of materials: CycloneDX, as Trivy writes it, or SPDX.
const bomType = "sbom"

// bom is what is read of it. https://cyclonedx.org/docs/1.6/json/
type bom struct {
	Format   string `json:"bomFormat"`
	SPDX     string `json:"spdxVersion"`
	Metadata struct {
		Component struct {
			Properties []struct {
				Name  string `json:"name"`
				Value string `json:"value"`
			} `json:"properties"`
		} `json:"component"`
	} `json:"metadata"`

	mediaType types.MediaType
}

func readBOM(body []byte) (bom, error) {
	var b bom
	if err := readOnce(body, &b); err != nil {
		return b, err
	}
	switch {
	case b.Format == "CycloneDX":
		b.mediaType = "application/vnd.cyclonedx+json"
	case b.SPDX != "":
		b.mediaType = "application/spdx+json"
	default:
		return b, errors.New("it is no bill of materials: neither CycloneDX nor SPDX in JSON")
	}
	return b, nil
}

// image is the digest of the configuration that Trivy names, or empty where another tool wrote it.
func (b bom) image() string {
	for _, one := range b.Metadata.Component.Properties {
		if one.Name == "aquasecurity:trivy:ImageID" {
			return one.Value
		}
	}
	return ""
}
