package referrers

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
)

// What clients attach without saying its type is judged by the manifest's type: oras attach without a type behind the file's name, and Harbor.
func TestAnSBOMInALayerWithoutATypeOfItsOwn(t *testing.T) {
	const harborConfig = `{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"author":"harbor","created":"0001-01-01T00:00:00Z","created_by":"harbor"}],"os":"","rootfs":{"type":"layers","diff_ids":["sha256:00"]},"config":{}}`
	cases := []struct {
		name, artifactType, configType, config, content string
		layers                                          int
		want                                            bool
	}{
		{"oras, SPDX", TypeSPDX, store.TypeEmpty, "{}", goodSPDX, 1, true},
		{"oras, CycloneDX", TypeCycloneDX, store.TypeEmpty, "{}", goodCycloneDX, 1, true},
		{"oras, another content", TypeCycloneDX, store.TypeEmpty, "{}", goodSPDX, 1, false},
		{"oras, another type", "application/vnd.example", store.TypeEmpty, "{}", goodSPDX, 1, false},
		{"oras, a report", "application/sarif+json", store.TypeEmpty, "{}", goodSARIF, 1, false},
		{"oras, two files", TypeSPDX, store.TypeEmpty, "{}", goodSPDX, 2, false},
		{"Harbor", "", TypeHarborSBOM, harborConfig, goodSPDX, 1, true},
		{"Harbor's type on a runnable config", "", TypeHarborSBOM, replaced(harborConfig, `"os":""`, `"os":"linux"`), goodSPDX, 1, false},
		{"Harbor's type on a layer", "", TypeHarborSBOM, harborConfig, "\x1f\x8b a layer", 1, false},
		{"an image", TypeSPDX, store.TypeImageConfig, harborConfig, goodSPDX, 1, false},
	}
	for _, k := range cases {
		c := newContent()
		layers := make([]store.Descriptor, k.layers)
		for i := range layers {
			layers[i] = c.add(ocispec.MediaTypeImageLayer, k.content)
		}
		p := c.artifact(layers...)
		config := c.add(k.configType, k.config)
		p.ArtifactType, p.Config = k.artifactType, &config
		class := classify(t, c, p, nil)
		if class.Evidence != k.want {
			t.Errorf("%s: %v %s", k.name, class.Evidence, class.Why)
		}
		if class.Evidence && (!class.Parts[0].Format.SBOM() || !class.Parts[0].Scan()) {
			t.Errorf("%s: %+v", k.name, class.Parts)
		}
	}
}
