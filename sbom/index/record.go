package index

import (
	"crypto/sha256"
	"strings"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// ID numbers a package version. Numbers rise in the order in which versions were first seen and are never given twice.
type ID uint32

// PackageVersion is a package in one version, with all that tells it apart from others: qualifiers of its URL, source package, distribution, licences.
type PackageVersion struct {
	ID            ID          `json:"-"` // 0 while the image is queued
	Name          string      `json:"name"`
	PURL          string      `json:"purl,omitempty"` // empty where the document has none; Name is "pkg:unknown/..." then
	Version       string      `json:"version,omitempty"`
	Type          string      `json:"type"`
	Source        string      `json:"source,omitempty"`
	SourceVersion string      `json:"source_version,omitempty"`
	Distro        sbom.Distro `json:"distro,omitzero"` // of a distribution's packages only
	Licenses      []string    `json:"licenses,omitempty"`
}

// Origin says where an inventory comes from.
type Origin struct {
	Document store.Digest `json:"document,omitempty"` // of the document's bytes
	Evidence store.Digest `json:"evidence,omitempty"` // manifest that carries it
	Kind     string       `json:"kind"`               // "generated" or "ingested"
	Signer   string       `json:"signer,omitempty"`   // who is trusted for it
}

// versionOf derives what is indexed of a package. Where there is a package URL, it alone decides about name and version: a document that says two
// things is found by the one that advisories speak of.
func versionOf(p *sbom.Package, distro sbom.Distro) PackageVersion {
	v := PackageVersion{Version: p.Version, Type: "unknown", Source: p.Source, SourceVersion: p.SourceVersion, Licenses: p.Licenses}
	u, err := sbom.ParsePURL(p.PURL)
	if err != nil {
		v.Name = short(p.Base(), maxName)
	} else {
		v.Type, v.Name = u.Type, short(u.Base(), maxName)
		if u.Version != "" {
			v.Version = u.Version
		}
		if epoch := u.Qualifier("epoch"); epoch != "" && epoch != "0" && !strings.Contains(v.Version, ":") {
			v.Version = epoch + ":" + v.Version
		}
		switch u.Type {
		case "deb", "rpm", "apk", "alpm":
			if v.Distro = distro; distro.ID == "" {
				v.Distro.ID = u.Namespace
			}
		}
		v.PURL = u.String()
	}
	v.Version = short(v.Version, maxName/2)
	return v
}

// sum tells apart versions that have name and version in common.
func (v *PackageVersion) sum() []byte {
	w := writer{}
	for _, s := range [...]string{v.PURL, v.Source, v.SourceVersion, v.Distro.ID, v.Distro.Version} {
		w.text(s)
	}
	for _, l := range v.Licenses {
		w.text(strings.ToLower(l)) // as they are numbered
	}
	s := sha256.Sum256(w.b)
	return s[:8]
}

// stored is a package version as it is kept.
type stored struct {
	name     uint32
	version  PackageVersion // without ID, Name and Licenses
	licenses []uint32       // numbers of the texts of Licenses
	members  []uint32       // numbers of the licences in them, rising
	chunks   []uint32
}

func (s *stored) encode() []byte {
	w := writer{}
	v := &s.version
	w.ascending(s.chunks) // first: it is what most readers want
	w.number(uint64(s.name))
	for _, text := range [...]string{v.PURL, v.Version, v.Type, v.Source, v.SourceVersion, v.Distro.ID, v.Distro.Version} {
		w.text(text)
	}
	w.number(uint64(len(s.licenses)))
	for _, n := range s.licenses {
		w.number(uint64(n))
	}
	w.ascending(s.members)
	return w.b
}

func decodeStored(b []byte) (*stored, error) {
	r, s := reader{b: b}, &stored{}
	v := &s.version
	s.chunks = r.ascending()
	s.name = r.small()
	for _, text := range [...]*string{&v.PURL, &v.Version, &v.Type, &v.Source, &v.SourceVersion, &v.Distro.ID, &v.Distro.Version} {
		*text = r.text()
	}
	for range r.count() {
		s.licenses = append(s.licenses, r.small())
	}
	s.members = r.ascending()
	if !r.done() {
		return nil, damaged("package version")
	}
	return s, nil
}

// forward is what is known of an indexed image.
type forward struct {
	number    uint32
	set       string // its sum
	origin    Origin
	format    string
	generator string
	distro    sbom.Distro
}

func (f *forward) texts() []*string {
	return []*string{&f.set, (*string)(&f.origin.Document), (*string)(&f.origin.Evidence), &f.origin.Kind, &f.origin.Signer, &f.format, &f.generator, &f.distro.ID, &f.distro.Version}
}

func (f *forward) encode() []byte {
	w := writer{}
	w.number(uint64(f.number))
	for _, s := range f.texts() {
		w.text(*s)
	}
	return w.b
}

func decodeForward(b []byte) (*forward, error) {
	r, f := reader{b: b}, &forward{}
	f.number = r.small()
	for _, s := range f.texts() {
		*s = r.text()
	}
	if !r.done() || len(f.set) != sumSize {
		return nil, damaged("image")
	}
	return f, nil
}

// queued is an inventory on its way into the index.
type queued struct {
	forward  // without number and set
	versions []PackageVersion
}

func (q *queued) encode() []byte {
	w := writer{b: make([]byte, 0, 128*len(q.versions))}
	w.text(string(q.forward.encode()))
	w.number(uint64(len(q.versions)))
	for i := range q.versions {
		v := &q.versions[i]
		for _, s := range v.texts() {
			w.text(*s)
		}
		w.number(uint64(len(v.Licenses)))
		for _, l := range v.Licenses {
			w.text(l)
		}
	}
	return pack(w.b)
}

func (v *PackageVersion) texts() []*string {
	return []*string{&v.Name, &v.PURL, &v.Version, &v.Type, &v.Source, &v.SourceVersion, &v.Distro.ID, &v.Distro.Version}
}

func decodeQueued(b []byte) (*queued, error) {
	plain, err := unpack(b)
	if err != nil {
		return nil, err
	}
	r, q := reader{b: plain}, &queued{}
	head := reader{b: []byte(r.text())}
	head.small()
	for _, s := range q.forward.texts() {
		*s = head.text()
	}
	q.versions = make([]PackageVersion, r.count())
	for i := range q.versions {
		v := &q.versions[i]
		for _, s := range v.texts() {
			*s = r.text()
		}
		for range r.count() {
			v.Licenses = append(v.Licenses, r.text())
		}
	}
	if !r.done() || !head.done() {
		return nil, damaged("queued inventory")
	}
	return q, nil
}
