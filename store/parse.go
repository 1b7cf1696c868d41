package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits of what a manifest may say, so that nothing after the parser needs its own.
const (
	MaxLayers  = 1000
	MaxEntries = 10_000 // of an index
	// MaxAnnotations is the most entries of one annotations object.
	MaxAnnotations = 4096
	// MaxReferrerAnnotations is the most bytes of keys and values on a manifest with a subject: the referrers API repeats them,
	// and a page of it is at most 4 MiB even when each byte is escaped.
	MaxReferrerAnnotations = 512 << 10

	maxURLs     = 64
	maxURL      = 4096
	maxPlatform = 255
)

// ParseManifest reads the manifest b, which came with the given Content-Type (parameters are ignored; empty: the body decides), once and
// strictly, as the OCI image specification 1.1 and Docker's image manifest version 2, schema 2, describe it. The stored type is the body's
// mediaType, or the Content-Type where the body has none; where both are there they agree, and the body has the members of that type only.
// Unknown fields are ignored. Inline data is checked against its digest and dropped.
//
// Errors: CodeManifestTooBig, CodeMediaType for a type that the registry does not take, CodeManifestInvalid.
func ParseManifest(contentType string, b []byte) (*Parsed, error) {
	if len(b) > MaxManifest {
		return nil, Errorf(CodeManifestTooBig, "a manifest has at most %d bytes, this one has %d; move large content into a layer", MaxManifest, len(b))
	}
	contentType, _, _ = strings.Cut(contentType, ";")
	contentType = strings.ToLower(strings.TrimSpace(contentType))
	if strings.HasPrefix(contentType, typeDockerPrefix) {
		return nil, errSchema1()
	}
	var m manifestJSON
	if err := DecodeJSON(b, &m); err != nil {
		return nil, syntaxError(err)
	}
	if m.FSLayers.present || string(m.SchemaVersion) == "1" || strings.HasPrefix(m.MediaType, typeDockerPrefix) {
		return nil, errSchema1()
	}
	t, err := manifestType(contentType, m.MediaType)
	if err != nil {
		return nil, err
	}
	if string(m.SchemaVersion) != "2" {
		return nil, invalid("schemaVersion is not 2; every manifest that the registry takes has \"schemaVersion\": 2")
	}
	p := &Parsed{MediaType: t}
	if err := m.shape(p.Index()); err != nil {
		return nil, err
	}
	if err := m.common(p); err != nil {
		return nil, err
	}
	fill := m.image
	if p.Index() {
		fill = m.index
	}
	if err := fill(p); err != nil {
		return nil, err
	}
	return p, nil
}

// ReadManifest reads a manifest that is stored: ParseManifest took these bytes under this type before, so that they need not be proven strict again.
// Errors: CodeInternal where they are not what was stored.
func ReadManifest(mediaType string, b []byte) (*Parsed, error) {
	var j storedJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, Errorf(CodeInternal, "a stored manifest is damaged; run assay check: %w", err)
	}
	m := manifestJSON{MediaType: mediaType, ArtifactType: j.ArtifactType, Config: j.Config, Layers: descriptorList{true, j.Layers}, Manifests: descriptorList{true, j.Manifests}, Subject: j.Subject, Annotations: j.Annotations}
	p := &Parsed{MediaType: mediaType}
	fill := m.image
	if p.Index() {
		fill = m.index
	} else if m.Config == nil {
		return nil, Errorf(CodeInternal, "a stored manifest has no config; run assay check")
	}
	if err := errors.Join(m.common(p), fill(p)); err != nil {
		return nil, Errorf(CodeInternal, "a stored manifest is damaged; run assay check: %w", err)
	}
	return p, nil
}

// storedJSON is manifestJSON without what tells types apart.
type storedJSON struct {
	ArtifactType string            `json:"artifactType"`
	Config       *descriptorJSON   `json:"config"`
	Layers       []descriptorJSON  `json:"layers"`
	Manifests    []descriptorJSON  `json:"manifests"`
	Subject      *descriptorJSON   `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

func invalid(format string, args ...any) *Error { return Errorf(CodeManifestInvalid, format, args...) }

func errSchema1() error {
	return invalid("this is a Docker schema 1 manifest, which is not taken because it has no stable digest; " +
		"convert it with: skopeo copy --format v2s2 SOURCE DESTINATION, or push it again with a current client")
}

// syntaxError says what is wrong without the names of our types.
func syntaxError(err error) error {
	if e, ok := typeError(err); ok && e.Field == "" {
		return invalid("the manifest is no JSON object; compare it with the OCI image specification")
	} else if ok {
		return invalid("the manifest's field %.100q cannot be a JSON %.40s; compare it with the OCI image specification", e.Field, e.Value)
	}
	return invalid("the manifest is not strict JSON (%.150s); push one UTF-8 document in which no key is repeated", err.Error())
}

func typeError(err error) (*json.UnmarshalTypeError, bool) {
	return errors.AsType[*json.UnmarshalTypeError](err)
}

// manifestType decides the stored type: the two statements agree, or only one is there.
func manifestType(contentType, body string) (string, error) {
	t := body
	switch {
	case body == "" && contentType == "":
		return "", Errorf(CodeMediaType, "neither the Content-Type nor the body's mediaType says what the manifest is; send one of them")
	case body == "":
		t = contentType
	case contentType != "" && contentType != body:
		return "", invalid("the Content-Type is %.80q and the body's mediaType is %.80q; send the same in both", contentType, body)
	}
	if !ManifestType(t) {
		return "", Errorf(CodeMediaType, "a manifest of type %.80q is not taken; push an OCI image manifest or index (an artifact sets artifactType) or Docker schema 2", t)
	}
	return t, nil
}

// manifestJSON is the body of every manifest type together: shape refuses what does not belong to the type.
type manifestJSON struct {
	SchemaVersion json.RawMessage   `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *descriptorJSON   `json:"config"`
	Layers        descriptorList    `json:"layers"`
	Manifests     descriptorList    `json:"manifests"`
	FSLayers      descriptorList    `json:"fsLayers"`
	Subject       *descriptorJSON   `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// descriptorList knows that its key was there, even as null.
type descriptorList struct {
	present bool
	items   []descriptorJSON
}

// UnmarshalJSON keeps the exactness of DecodeJSON, which does not look inside types that decode themselves.
func (l *descriptorList) UnmarshalJSON(b []byte) error {
	l.present = true
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	return DecodeJSON(b, &l.items)
}

type descriptorJSON struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         *int64            `json:"size"`
	URLs         []string          `json:"urls"`
	Annotations  map[string]string `json:"annotations"`
	Data         []byte            `json:"data"`
	Platform     *ocispec.Platform `json:"platform"`
	ArtifactType string            `json:"artifactType"`
}

// shape refuses a body that two readers could take for two things (CVE-2021-41190).
func (m *manifestJSON) shape(index bool) error {
	image := m.Config != nil || m.Layers.present
	switch {
	case image && m.Manifests.present:
		return invalid("the body has both manifests and config or layers; an index has manifests only, an image manifest has config and layers only")
	case index && image:
		return invalid("the type is an index but the body has config or layers; send the type of an image manifest")
	case index && !m.Manifests.present:
		return invalid("an index needs a manifests array, which may be empty")
	case !index && m.Manifests.present:
		return invalid("the type is an image manifest but the body has manifests; send the type of an index")
	case !index && (m.Config == nil || !m.Layers.present):
		return invalid("an image manifest needs config and layers; an artifact without content has the empty descriptor as config and layers []")
	}
	return nil
}

func (m *manifestJSON) common(p *Parsed) (err error) {
	docker := p.MediaType == TypeDockerImage || p.MediaType == TypeDockerList
	if docker && m.Subject != nil {
		return invalid("a Docker manifest has no subject; push it as an OCI image manifest or index")
	}
	if m.ArtifactType != "" && !ValidMediaType(m.ArtifactType) {
		return invalid("artifactType is not a media type such as application/vnd.example.report.v1+json")
	}
	if err := checkAnnotations("annotations", m.Annotations); err != nil {
		return err
	}
	p.ArtifactType, p.Annotations = m.ArtifactType, m.Annotations
	if m.Subject == nil {
		return nil
	}
	size := 0
	for k, v := range m.Annotations {
		size += len(k) + len(v)
	}
	if size > MaxReferrerAnnotations {
		return invalid("the annotations of a manifest with a subject have at most %d bytes, because every list of referrers repeats them; move them into a layer", MaxReferrerAnnotations)
	}
	p.Subject, err = m.Subject.descriptor("subject")
	return err
}

func (m *manifestJSON) image(p *Parsed) (err error) {
	if p.Config, err = m.Config.descriptor("config"); err != nil {
		return err
	}
	if p.ArtifactType == "" {
		p.ArtifactType = p.Config.MediaType
	}
	if len(m.Layers.items) > MaxLayers {
		return invalid("an image manifest has at most %d layers, this one has %d; merge some", MaxLayers, len(m.Layers.items))
	}
	p.Layers, err = descriptors("layers", m.Layers.items)
	return err
}

func (m *manifestJSON) index(p *Parsed) error {
	if len(m.Manifests.items) > MaxEntries {
		return invalid("an index has at most %d entries, this one has %d; nest indexes", MaxEntries, len(m.Manifests.items))
	}
	all, err := descriptors("manifests", m.Manifests.items)
	if err != nil {
		return err
	}
	for i, d := range all {
		switch {
		case strings.HasPrefix(d.MediaType, typeDockerPrefix):
			return invalid("manifests[%d] is a Docker schema 1 manifest, which is not taken; convert it with: skopeo copy --format v2s2 SOURCE DESTINATION", i)
		case ManifestType(d.MediaType):
			p.Manifests = append(p.Manifests, d)
		default:
			p.Blobs = append(p.Blobs, d)
		}
	}
	return nil
}

func descriptors(field string, items []descriptorJSON) ([]Descriptor, error) {
	out := make([]Descriptor, 0, len(items))
	for i := range items {
		d, err := items[i].descriptor("")
		if err != nil {
			_, err = items[i].descriptor(fmt.Sprintf("%s[%d]", field, i)) // the place is formatted only for a refusal
			return nil, err
		}
		out = append(out, *d)
	}
	return out, nil
}

// descriptor checks one descriptor; where names it in errors.
func (j *descriptorJSON) descriptor(where string) (*Descriptor, error) {
	if !ValidMediaType(j.MediaType) {
		return nil, invalid("%s has no valid mediaType; write one such as application/vnd.oci.image.layer.v1.tar+gzip", where)
	}
	if j.ArtifactType != "" && !ValidMediaType(j.ArtifactType) {
		return nil, invalid("the artifactType of %s is not a media type such as application/vnd.example.report.v1+json", where)
	}
	d, err := ParseDigest(j.Digest)
	if err != nil {
		e, _ := errors.AsType[*Error](err)
		return nil, invalid("the digest of %s is not valid: %s", where, e.Message)
	}
	if j.Size == nil || *j.Size < 0 {
		return nil, invalid("%s has no valid size; write the number of bytes as an integer of at least 0", where)
	}
	if j.Data != nil && (int64(len(j.Data)) != *j.Size || DigestOf(d.Algorithm(), j.Data) != d) {
		return nil, invalid("the data of %s does not have its digest and size; leave data out or correct it", where)
	}
	if err := checkAnnotations(where+".annotations", j.Annotations); err != nil {
		return nil, err
	}
	if err := j.checkBounds(where); err != nil {
		return nil, err
	}
	return &Descriptor{
		MediaType: j.MediaType, Digest: d, Size: *j.Size, URLs: j.URLs, Annotations: j.Annotations, Platform: j.Platform, ArtifactType: j.ArtifactType,
	}, nil
}

func (j *descriptorJSON) checkBounds(where string) error {
	if len(j.URLs) > maxURLs {
		return invalid("%s has more than %d urls; keep the best ones", where, maxURLs)
	}
	for _, u := range j.URLs {
		if u == "" || len(u) > maxURL {
			return invalid("%s has a url that is empty or longer than %d characters; shorten it", where, maxURL)
		}
	}
	if p := j.Platform; p != nil && max(len(p.OS), len(p.Architecture), len(p.Variant), len(p.OSVersion), len(p.OSFeatures)) > maxPlatform {
		return invalid("the platform of %s has a value of more than %d characters; use the names of the Go project, such as linux and amd64", where, maxPlatform)
	}
	return nil
}

func checkAnnotations(where string, a map[string]string) error {
	if len(a) > MaxAnnotations {
		return invalid("%s has %d entries, at most %d are taken; move them into a layer", where, len(a), MaxAnnotations)
	}
	for k, v := range a {
		if k == "" || strings.IndexByte(v, 0) >= 0 {
			return invalid("%s has an empty key or a value with a NUL; name it, in reverse domain notation, and write text", where)
		}
	}
	return nil
}
