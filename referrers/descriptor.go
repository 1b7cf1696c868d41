package referrers

import (
	"bytes"
	"encoding/json"

	"github.com/assay-registry/assay/store"
)

// MaxPage is the most bytes of a page of the referrers API: clients read no larger index.
const MaxPage = store.MaxManifest

// Descriptor is the entry of the referrers API for the manifest p, stored as d: distribution-spec, "Listing Referrers". Its annotations are
// the manifest's, whole: store.ParseManifest bounds them.
func Descriptor(p *store.Parsed, d store.Descriptor) store.Descriptor {
	return store.Descriptor{MediaType: p.MediaType, Digest: d.Digest, Size: d.Size, ArtifactType: p.ArtifactType, Annotations: p.Annotations}
}

// ParseFallback lists the entries of an index that stands under a referrers tag, each digest once. They are hints: whether an entry is a
// referrer, only its own subject says. For anything but an index it is empty.
func ParseFallback(p *store.Parsed) []store.Descriptor {
	seen := make(map[store.Digest]bool, len(p.Manifests))
	var out []store.Descriptor
	for _, d := range p.Manifests {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			out = append(out, store.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, ArtifactType: d.ArtifactType, Annotations: d.Annotations})
		}
	}
	return out
}

// Encode renders a descriptor once, for storing and for [Listing]. HTML characters stay as they are.
func Encode(d store.Descriptor) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return nil, store.Errorf(store.CodeInternal, "a descriptor cannot be written: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

const (
	listingHead = `{"schemaVersion":2,"mediaType":"` + store.TypeIndex + `","manifests":[`
	listingTail = `]}`
)

// Listing is a page of the referrers API under construction: an image index made of encoded descriptors, at most MaxPage bytes.
// The zero value is an empty page.
type Listing struct {
	b []byte
	n int
}

// Add appends an encoded descriptor. It reports false, and changes nothing, when the page would grow beyond MaxPage. A first entry always
// fits, so that paging ends: ParseManifest bounds what a referrer's entry repeats.
func (l *Listing) Add(encoded []byte) bool {
	if l.n > 0 && l.size()+1+len(encoded) > MaxPage {
		return false
	}
	if l.n == 0 {
		l.b = append(l.b, listingHead...)
	} else {
		l.b = append(l.b, ',')
	}
	l.b = append(l.b, encoded...)
	l.n++
	return true
}

func (l *Listing) size() int { return len(l.b) + len(listingTail) }

// Len is the number of entries.
func (l *Listing) Len() int { return l.n }

// Bytes is the index. Add after Bytes starts from where it was.
func (l *Listing) Bytes() []byte {
	if l.n == 0 {
		return []byte(listingHead + listingTail)
	}
	return append(l.b[:len(l.b):len(l.b)], listingTail...)
}
