package referrers

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/assay-registry/assay/store"
)

// The limits of evidence, in bytes where they are sizes. What is larger is ordinary content.
const (
	MaxLayers    = 64
	MaxConfig    = 64 << 10
	MaxTotal     = 16 << 20 // config and layers together, SBOM formats aside
	MaxSBOMTotal = 40 << 20 // config and layers together
	MaxPayload   = 1 << 20  // a simple signing payload
)

// Source is what Classify reads from: one repository, before the manifest is stored.
type Source struct {
	// Open opens a blob of the repository. CodeBlobUnknown where it is absent.
	Open func(ctx context.Context, d store.Digest) (*store.Blob, error)
	// Evidence reports whether the manifest d is in the repository and is evidence. Only an index needs it; nil means that nothing is.
	Evidence func(ctx context.Context, d store.Digest) (bool, error)
}

// Class is what a manifest turned out to be.
type Class struct {
	Evidence bool
	Why      string // if it is not evidence: a sentence for a person
	Config   []byte // the config's bytes; nil for an index
	Parts    []Part // one for each layer, in order; nil for an index
}

// Part is one layer of evidence, read and parsed as the type it claims.
type Part struct {
	Format        Format
	PredicateType string // of an in-toto statement, also inside an envelope or bundle: as claimed, not verified
	Bytes         []byte
}

// Classify decides by bytes whether p is evidence: it has a subject or stands under the reserved tag (nil if none), and its config and every
// layer are what they claim to be and nothing that a runtime unpacks. An index is evidence if it stands under a reserved tag and
// every entry is. All bytes are checked against their digests. An error means that the store could not answer, never that p is not evidence.
func Classify(ctx context.Context, p *store.Parsed, reserved *Tag, src Source) (*Class, error) {
	if p.Index() {
		return classifyIndex(ctx, p, reserved, src)
	}
	if p.Subject == nil && reserved == nil {
		return not("the manifest has no subject and stands under no reserved tag"), nil
	}
	if why := declared(p); why != "" {
		return not("%s", why), nil
	}
	r := reading{src: src, seen: map[store.Digest][]byte{}}
	config, err := r.read(ctx, "config", *p.Config)
	if err != nil || r.why != "" {
		return not("%s", r.why), err
	}
	if why := checkConfig(p.Config.MediaType, config, reserved); why != "" {
		return not("%s", why), nil
	}
	c := &Class{Evidence: true, Config: config, Parts: make([]Part, 0, len(p.Layers))}
	for i, d := range p.Layers {
		where := fmt.Sprintf("layers[%d]", i)
		b, err := r.read(ctx, where, d)
		if err != nil || r.why != "" {
			return not("%s", r.why), err
		}
		part, err := parsePart(layerType(p, d), b)
		if err != nil {
			return not("%s is not what its type %.80q says: %.120s", where, d.MediaType, err.Error()), nil
		}
		c.Parts = append(c.Parts, part)
	}
	return c, nil
}

func not(format string, args ...any) *Class { return &Class{Why: fmt.Sprintf(format, args...)} }

// declared judges what the manifest says of its parts before anything is read, so that a large one costs nothing.
func declared(p *store.Parsed) string {
	if len(p.Layers) > MaxLayers {
		return fmt.Sprintf("evidence has at most %d layers, this manifest has %d", MaxLayers, len(p.Layers))
	}
	if p.Config.Size > MaxConfig {
		return fmt.Sprintf("the config of evidence has at most %d bytes, this one has %d", MaxConfig, p.Config.Size)
	}
	plain, total, content := p.Config.Size, p.Config.Size, false
	for i, d := range p.Layers {
		f := formatOf(layerType(p, d))
		switch {
		case f == formatUnknown:
			return fmt.Sprintf("layers[%d] has the type %.80q, which is no format of evidence", i, d.MediaType)
		case d.Size > MaxSBOMTotal, f == SimpleSigning && d.Size > MaxPayload:
			return fmt.Sprintf("layers[%d] is larger than its format may be", i)
		case !f.SBOM():
			plain += d.Size
		}
		total += d.Size // no overflow: 64 times 40 MiB
		content = content || f != Empty
	}
	if plain > MaxTotal || total > MaxSBOMTotal {
		return fmt.Sprintf("evidence has at most %d bytes in all, with SBOMs %d", MaxTotal, MaxSBOMTotal)
	}
	if !content && !evidenceType(p.ArtifactType) {
		return fmt.Sprintf("the manifest has no content and its artifact type %.80q is none of evidence", p.ArtifactType)
	}
	return ""
}

// reading reads each blob once. why is set where a blob is not what the manifest says.
type reading struct {
	src  Source
	seen map[store.Digest][]byte
	why  string
}

func (r *reading) read(ctx context.Context, where string, d store.Descriptor) ([]byte, error) {
	b, ok := r.seen[d.Digest]
	if !ok {
		var err error
		if b, err = r.open(ctx, where, d); err != nil || r.why != "" {
			return nil, err
		}
		if as := Disguise(b); as != "" {
			r.why = fmt.Sprintf("%s begins as %s does, so that a runtime could unpack it", where, as)
			return nil, nil
		}
		r.seen[d.Digest] = b
	}
	if int64(len(b)) != d.Size {
		r.why = where + " is stored with another size than the manifest says"
	}
	return b, nil
}

func (r *reading) open(ctx context.Context, where string, d store.Descriptor) ([]byte, error) {
	blob, err := r.src.Open(ctx, d.Digest)
	if store.CodeOf(err) == store.CodeBlobUnknown {
		r.why = where + " is not stored"
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer blob.Close() // read only
	if blob.Size != d.Size {
		r.why = where + " is stored with another size than the manifest says"
		return nil, nil
	}
	b := make([]byte, d.Size)
	if _, err := io.ReadFull(blob, b); err != nil {
		return nil, store.Errorf(store.CodeUnavailable, "the content %s cannot be read; try again, and let an administrator run assay check: %w", d.Digest, err)
	}
	if store.DigestOf(d.Digest.Algorithm(), b) != d.Digest {
		return nil, store.Errorf(store.CodeUnavailable, "the content stored as %s is damaged; let an administrator run assay check", d.Digest)
	}
	return b, nil
}

// checkConfig holds the rule for configs: "{}", a known evidence type, or the image config for nothing that cosign writes.
func checkConfig(mediaType string, b []byte, reserved *Tag) string {
	if string(b) == "{}" {
		return ""
	}
	cosign := strings.HasPrefix(mediaType, typeCosignArtifact) || reserved != nil && reserved.Suffix != SuffixNone && store.ImageConfigType(mediaType)
	if !cosign && !evidenceType(mediaType) {
		return fmt.Sprintf("the config is not {} and its type %.80q is none of evidence", mediaType)
	}
	got, err := fields(b, "os", "architecture")
	if err != nil {
		return fmt.Sprintf("the config is not a strict JSON object: %.120s", err.Error())
	}
	for _, name := range []string{"os", "architecture"} {
		if raw, ok := got[name]; ok && string(raw) != `""` {
			return "the config names the platform of an image that runs"
		}
	}
	return ""
}

func classifyIndex(ctx context.Context, p *store.Parsed, reserved *Tag, src Source) (*Class, error) {
	switch {
	case reserved == nil:
		return not("an index is evidence only under a reserved tag"), nil
	case len(p.Blobs) > 0:
		return not("an entry of the index has the type %.80q, which is no manifest", p.Blobs[0].MediaType), nil
	}
	for i, d := range p.Manifests {
		ok := false
		if src.Evidence != nil {
			var err error
			if ok, err = src.Evidence(ctx, d.Digest); err != nil {
				return nil, err
			}
		}
		if !ok {
			return not("manifests[%d] of the index is not in the repository, or is no evidence", i), nil
		}
	}
	return &Class{Evidence: true}, nil
}
