package parsed

import (
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// Describe adds what a manifest's bytes say.
func Describe(in *contract.Input, p *store.Parsed) {
	in.Subject.MediaType, in.Subject.ArtifactType = p.MediaType, p.ArtifactType
	if p.Index() {
		in.Index = &contract.IndexInput{Manifests: []contract.IndexEntryInput{}}
		for _, m := range p.Manifests {
			in.Index.Manifests = append(in.Index.Manifests, contract.IndexEntryInput{Digest: m.Digest, Platform: platform(m)})
		}
		return
	}
	in.Manifest = &contract.ManifestInput{Layers: []contract.DescriptorInput{}, Annotations: p.Annotations}
	for _, l := range p.Layers {
		in.Manifest.Layers = append(in.Manifest.Layers, contract.DescriptorInput{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size})
	}
	if p.Config != nil {
		in.Manifest.Config = &contract.DescriptorInput{MediaType: p.Config.MediaType, Digest: p.Config.Digest, Size: p.Config.Size}
	}
}

func platform(m store.Descriptor) *contract.Platform {
	if m.Platform == nil {
		return nil
	}
	return &contract.Platform{OS: m.Platform.OS, Architecture: m.Platform.Architecture, Variant: m.Platform.Variant}
}

// Config adds what the image config says; one that does not parse adds nothing, and policies that need it deny.
func Config(in *contract.Input, b []byte, p *store.Parsed) {
	c, err := store.ParseImageConfig(b)
	if err != nil {
		return
	}
	in.Subject.Platform = &contract.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
	in.Config = &contract.ConfigInput{User: c.User, Entrypoint: c.Entrypoint, Cmd: c.Cmd, EnvNames: c.EnvNames, Labels: c.Labels, ExposedPorts: c.ExposedPorts}
	if !c.Created.IsZero() {
		in.Config.Created = c.Created.UTC().Format(time.RFC3339)
	}
	base := contract.BaseInput{Name: p.Annotations["org.opencontainers.image.base.name"], Digest: store.Digest(p.Annotations["org.opencontainers.image.base.digest"])}
	if base != (contract.BaseInput{}) {
		in.Config.Base = &base
	}
}
