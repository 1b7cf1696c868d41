package vulndb

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/store"
)

// The types of the artifact and of its parts.
const (
	ArtifactType   = "application/vnd.assay.vulndb.v1"
	TypeConfig     = "application/vnd.assay.vulndb.v1.config+json"
	TypeAdvisories = "application/vnd.assay.vulndb.v1.osv+jsonl+zstd"
	TypeEPSS       = "application/vnd.assay.vulndb.v1.epss+csv+zstd"
	TypeKEV        = "application/vnd.assay.vulndb.v1.kev+json+zstd"
)

// The limits of an artifact.
const (
	MaxConfig  = 1 << 20 // bytes of the description
	MaxLayer   = 2 << 30 // bytes of a layer, compressed
	MaxSide    = 1 << 30 // bytes of a side file, unpacked
	maxSources = 256

	maxEcosystems = 4096 // of a source
	maxText       = 300  // bytes of a source's name
)

// Description is the config of an artifact: what is in it, and how one sees what is newer.
type Description struct {
	Name string `json:"name"`
	// Built is when the data was current, in UTC: the newest change in it, unless whoever made it knew better.
	Built time.Time `json:"built"`
	// Revision only rises: an artifact with a lower one is older, whenever it was pushed.
	Revision uint64         `json:"revision"`
	Count    int            `json:"count"` // advisories
	Sources  []Origin       `json:"sources,omitempty"`
	Exploits int            `json:"kev,omitempty"`  // CVEs known to be exploited
	Scores   int            `json:"epss,omitempty"` // CVEs with a score
	LeftOut  map[string]int `json:"left_out,omitempty"`
}

// Origin is a file that an artifact was made of.
type Origin struct {
	Name   string       `json:"name"`
	Kind   Kind         `json:"kind"`
	Digest store.Digest `json:"digest,omitempty"` // of the file; none of a directory
	Built  time.Time    `json:"built,omitzero"`   // as the file says; of advisories the newest change in it
	Count  int          `json:"count"`
	// Ecosystems are those that it speaks of, with their releases, as vulns.Speaks names them; of advisories.
	Ecosystems []string `json:"ecosystems,omitempty"`
}

// namePattern is what a database may be called: vulns' pattern.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// CheckName refuses what cannot name a database. Errors: CodeInvalid.
func CheckName(name string) error {
	if name == NameEPSS || name == NameKEV {
		return store.Errorf(store.CodeInvalid, "%q is what scores and the catalogue of exploited vulnerabilities are called; name the database otherwise", name)
	}
	if !namePattern.MatchString(name) {
		return store.Errorf(store.CodeInvalid, "%.80q cannot name a database; use lower-case letters, digits, '-' and '_', 64 at most, with a letter or digit in front", name)
	}
	return nil
}

// Check refuses a description that says too little, or too much. Errors: CodeInvalid.
func (d *Description) Check() error {
	if err := CheckName(d.Name); err != nil {
		return err
	}
	switch {
	case d.Revision == 0:
		return store.Errorf(store.CodeInvalid, "the database %s has no revision: a number of 1 and up, by which one sees what is newer", d.Name)
	case d.Built.IsZero() || d.Built.Year() < 2000 || d.Built.Year() > 9999:
		return store.Errorf(store.CodeInvalid, "the database %s does not say when it was built", d.Name)
	case d.Count < 0 || d.Count > osv.MaxRecords:
		return store.Errorf(store.CodeInvalid, "the database %s claims to have %d advisories; at most %d are taken", d.Name, d.Count, osv.MaxRecords)
	case len(d.Sources) > maxSources:
		return store.Errorf(store.CodeInvalid, "the database %s was made of more than %d files", d.Name, maxSources)
	}
	for i := range d.Sources {
		if d.Sources[i].Name = clip(d.Sources[i].Name); len(d.Sources[i].Ecosystems) > maxEcosystems {
			return store.Errorf(store.CodeInvalid, "the file %s of the database %s speaks of more than %d ecosystems and releases", d.Sources[i].Name, d.Name, maxEcosystems)
		}
	}
	d.Built = d.Built.UTC()
	return nil
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "") }

// Succeeds reports why a database must not take the place of the one with the revision and digest that are installed (0 and "": none). Whoever holds an old artifact with a good
// signature would otherwise take away what was found since. Errors: CodeConflict.
func (d *Description) Succeeds(revision uint64, installed, own store.Digest) error {
	switch {
	case installed == "" || installed == own:
		return nil
	case d.Revision < revision:
		return store.Errorf(store.CodeConflict, "the database %s has revision %d, and revision %d is installed; to go back on purpose: assay vulndb remove %s, and import it again", d.Name, d.Revision, revision, d.Name)
	case d.Revision == revision:
		return store.Errorf(store.CodeConflict, "the database %s has revision %d, as another that is installed; give it a higher one", d.Name, d.Revision)
	}
	return nil
}

// Part is a layer of an artifact. The zero Part is none.
type Part = store.Descriptor

// Manifest is the artifact's manifest, read.
type Manifest struct {
	Config                Part
	Advisories, EPSS, KEV Part
}

// titles are the names under which clients save the parts.
var titles = map[string]string{TypeAdvisories: "advisories.jsonl.zst", TypeEPSS: "epss.csv.zst", TypeKEV: "kev.json.zst"}

// Layers are the parts that are there, in the order of the manifest.
func (m *Manifest) Layers() []Part {
	return slices.DeleteFunc([]Part{m.Advisories, m.EPSS, m.KEV}, func(p Part) bool { return p.Digest == "" })
}

// Encode writes the manifest: the same bytes for the same parts.
func (m *Manifest) Encode(built time.Time) ([]byte, error) {
	layers := m.Layers()
	for i := range layers {
		layers[i].Annotations = map[string]string{"org.opencontainers.image.title": titles[layers[i].MediaType]}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        Part              `json:"config"`
		Layers        []Part            `json:"layers"`
		Annotations   map[string]string `json:"annotations"`
	}{2, store.TypeImage, ArtifactType, m.Config, layers, map[string]string{"org.opencontainers.image.created": built.UTC().Format(time.RFC3339)}}); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// ParseManifest reads the manifest of an artifact. Errors: CodeInvalid.
func ParseManifest(content []byte) (*Manifest, error) {
	p, err := store.ParseManifest(store.TypeImage, content)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "this is no manifest of a database of vulnerabilities; make one with assay vulndb push")
	}
	if p.ArtifactType != ArtifactType || p.Config == nil || p.Config.MediaType != TypeConfig || p.Config.Size > MaxConfig {
		return nil, store.Errorf(store.CodeInvalid, "this is an artifact of type %.100q, and no database of vulnerabilities (%s); make one with assay vulndb push", p.ArtifactType, ArtifactType)
	}
	m := &Manifest{Config: *p.Config}
	for _, l := range p.Layers {
		to := map[string]*Part{TypeAdvisories: &m.Advisories, TypeEPSS: &m.EPSS, TypeKEV: &m.KEV}[l.MediaType]
		switch {
		case to == nil:
			return nil, store.Errorf(store.CodeInvalid, "the database holds a layer of type %.100q, which is not known here; update this registry, or make the database anew", l.MediaType)
		case to.Digest != "":
			return nil, store.Errorf(store.CodeInvalid, "the database holds two layers of type %s", l.MediaType)
		case l.Size > MaxLayer:
			return nil, store.Errorf(store.CodeManifestTooBig, "a layer of the database has %d bytes; at most %d are taken", l.Size, int64(MaxLayer))
		}
		*to = Part{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}
	}
	if len(m.Layers()) == 0 {
		return nil, store.Errorf(store.CodeInvalid, "the database holds nothing")
	}
	return m, nil
}

// ParseDescription reads a config of at most MaxConfig bytes. Errors: CodeInvalid.
func ParseDescription(content []byte) (*Description, error) {
	d := new(Description)
	if len(content) > MaxConfig {
		return nil, store.Errorf(store.CodeInvalid, "the description of the database has more than %d bytes", MaxConfig)
	}
	if err := errors.Join(store.StrictJSON(content), json.Unmarshal(content, d)); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the description of the database is not readable: %w", err)
	}
	return d, d.Check()
}

// Encode writes the description, and the part that it is.
func (d *Description) Encode() ([]byte, Part, error) {
	if err := d.Check(); err != nil {
		return nil, Part{}, err
	}
	content, err := json.Marshal(d)
	return content, Part{MediaType: TypeConfig, Digest: store.DigestOf(digest.SHA256, content), Size: int64(len(content))}, err
}
