package sbom

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/assay-registry/assay/store"
)

// Limits of an inventory. What is longer than its limit ends in an ellipsis, so that it equals nothing honest; what is more is an error.
const (
	// MaxPackages is how many packages one document may have.
	MaxPackages = 200_000

	maxEdges     = 2_000_000
	maxText      = 1024
	maxLicense   = 200
	maxLicenses  = 256 // of one package; the rest is left out
	maxLocations = 32  // of one package; the rest is left out
)

// Read reads a document into an inventory: SPDX JSON 2.2, 2.3 and 3.0, SPDX tag-value 2.2 and 2.3, CycloneDX JSON and XML 1.2 to 1.7, syft JSON.
// The content decides about the format; mediaType must not contradict it ("" says nothing). At most MaxDocument bytes and MaxPackages packages. JSON
// is strict (store.StrictJSON), so that nobody reads other packages in it than this does. The root of the document (the image itself), operating
// systems and files are not packages. Malformed package URLs are left out, the package stays.
func Read(mediaType string, b []byte) (*Inventory, error) {
	if len(b) > MaxDocument {
		return nil, fmt.Errorf("the SBOM has %d bytes; at most %d are read", len(b), MaxDocument)
	}
	kind, read, err := detect(b)
	if err != nil {
		return nil, err
	}
	if claimed := formatOf(mediaType); claimed != "" && claimed != kind {
		return nil, fmt.Errorf("the SBOM is labelled %.100q but is %s", mediaType, kind)
	}
	d := &draft{byID: map[uint64]int{}, roots: map[string]bool{}, seed: maphash.MakeSeed()}
	if err := read(d, b); err != nil {
		return nil, fmt.Errorf("the %s document cannot be read: %w", kind, err)
	}
	return d.finish(), nil
}

// detect finds the format by what its specification requires at the top of a document.
func detect(b []byte) (kind string, read func(*draft, []byte) error, err error) {
	text := bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(text, []byte("<")):
		return "cyclonedx", (*draft).cycloneXML, nil
	case !bytes.HasPrefix(text, []byte("{")) && (bytes.HasPrefix(text, []byte("SPDXVersion:")) || bytes.Contains(text[:min(len(text), 64<<10)], []byte("\nSPDXVersion:"))):
		return "spdx", (*draft).tagValue, nil
	}
	if err := store.StrictJSON(b); err != nil {
		return "", nil, fmt.Errorf("the SBOM is not JSON: %w", err)
	}
	p, spdx, context, format, schema := pull{b: b}, "", "", "", ""
	if p.space() == '{' {
		p.object(func(key []byte) {
			switch string(key) {
			case "spdxVersion":
				if spdx = p.scalar(); spdx == "SPDX-2.2" || spdx == "SPDX-2.3" {
					p.i = len(b) // that decides
				}
			case "@context":
				context = p.scalar()
			case "bomFormat":
				format = p.scalar()
			case "schema":
				schema = p.member("version")
			default:
				p.skip()
			}
		})
	}
	switch {
	case spdx == "SPDX-2.2" || spdx == "SPDX-2.3":
		return "spdx", (*draft).spdx2, nil
	case strings.HasPrefix(context, "https://spdx.org/rdf/3.0"):
		return "spdx", (*draft).spdx3, nil
	case format == "CycloneDX":
		return "cyclonedx", (*draft).cyclone, nil
	case schema != "":
		return "syft", (*draft).syft, nil
	}
	return "", nil, errors.New("the SBOM is neither SPDX 2.2, 2.3 or 3.0, nor CycloneDX, nor syft JSON")
}

// scalar reads a string; anything else is "".
func (p *pull) scalar() string {
	if p.space() != '"' {
		p.skip()
		return ""
	}
	return p.text()
}

// member reads one text member of an object; anything else is "".
func (p *pull) member(name string) (value string) {
	if p.space() != '{' {
		p.skip()
		return ""
	}
	p.object(func(key []byte) {
		if string(key) == name {
			value = p.scalar()
			return
		}
		p.skip()
	})
	return value
}

func formatOf(mediaType string) string {
	for _, kind := range [...]string{"spdx", "cyclonedx", "syft"} {
		if strings.Contains(mediaType, kind) {
			return kind
		}
	}
	return ""
}

// draft is an inventory in the making. Packages are known by the document's own ids until all are read.
type draft struct {
	Inventory
	byID  map[uint64]int  // see id
	roots map[string]bool // ids of what the document describes
	edges chunked[edge]
	ties  int // relationships, of whichever kind
	seed  maphash.Seed
}

// edge says that one element needs another. A document has as many as fit into it, so they take 16 bytes each, and what no inventory needs of a relationship is not kept at all.
type edge struct{ from, to uint64 }

// id stands for an element's own: two of one document never share theirs, for nobody knows the seed.
func (d *draft) id(text []byte) uint64 { return maphash.Bytes(d.seed, text) }

// tied counts relationships.
func (d *draft) tied(n int) error {
	if d.ties += n; d.ties > maxEdges {
		return errTooMany
	}
	return nil
}

// describes notes what the document is about.
func (d *draft) describes(id []byte) error {
	if d.roots[string(id)] = true; len(d.roots) > MaxPackages {
		return errTooMany
	}
	return nil
}

var errTooMany = fmt.Errorf("it has more than %d packages or %d relationships; split the image or the document", MaxPackages, maxEdges)

// add appends a package, in clean text, and remembers its id; the first of several with one id is meant by it.
func (d *draft) add(id string, p Package) error {
	if len(d.Packages) == MaxPackages {
		return errTooMany
	}
	manager := p.Type
	if p.Type = unknownType; p.PURL != "" {
		u, err := ParsePURL(p.PURL)
		if p.PURL = ""; err == nil {
			p.PURL, p.Type = u.String(), u.Type
			d.fromPURL(&p, u)
		}
	}
	p.Name, p.Version = clean(p.Name, maxText), clean(p.Version, maxText)
	p.Source, p.SourceVersion = clean(p.Source, maxText), clean(p.SourceVersion, maxText)
	p.installedBy(manager)
	p.Licenses = cleanLicenses(p.Licenses)
	p.Locations = p.Locations[:min(len(p.Locations), maxLocations)]
	for i := range p.Locations {
		p.Locations[i].Path = clean(p.Locations[i].Path, 4*maxText)
	}
	key := maphash.String(d.seed, id)
	if _, taken := d.byID[key]; id != "" && !taken {
		d.byID[key] = len(d.Packages)
	}
	d.Packages = append(d.Packages, p)
	return nil
}

// installedBy gives a package of a system's package manager a package URL where the document has none, as generators do for an image that does not tell its distribution: what is
// known is that one installed it, and not whose it is.
func (p *Package) installedBy(manager string) {
	switch manager {
	case "deb", "rpm", "apk", "alpm":
	default:
		return
	}
	u := PURL{Type: manager, Name: p.Name, Version: p.Version}
	if again, err := ParsePURL(u.String()); p.PURL == "" && err == nil && again.Name == p.Name {
		p.PURL, p.Type = u.String(), manager
	}
}

// managers are the package managers whose databases syft names in "acquired package info from ...: /path".
var managers = map[string]string{"DPKG DB": "deb", "RPM DB": "rpm", "APK DB": "apk", "ALPM DB": "alpm"}

func managerIn(source string) string {
	source, _, _ = strings.Cut(strings.TrimPrefix(source, "acquired package info from "), ":")
	return managers[source]
}

// fromPURL fills what the document says in the package URL alone.
func (d *draft) fromPURL(p *Package, u PURL) {
	if p.Name == "" {
		p.Name = u.Name
	}
	if p.Version == "" {
		p.Version = u.Version
	}
	if upstream := u.Qualifier("upstream"); upstream != "" && p.Source == "" {
		p.Source, p.SourceVersion = sourceOf(u.Type, upstream)
	}
	if d.Distro.ID == "" {
		if id, version, ok := cutLast(u.Qualifier("distro"), '-'); ok {
			d.Distro = Distro{clean(id, maxLicense), clean(version, maxLicense)}
		}
	}
}

// sourceOf reads the qualifier "upstream" as syft writes it: name, name@version, or the file of a source RPM.
func sourceOf(kind, upstream string) (name, version string) {
	if file, ok := strings.CutSuffix(upstream, ".src.rpm"); ok && kind == "rpm" {
		if rest, release, ok := cutLast(file, '-'); ok {
			if name, number, ok := cutLast(rest, '-'); ok {
				return name, number + "-" + release
			}
		}
		return file, ""
	}
	name, version, _ = strings.Cut(upstream, "@")
	return name, version
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i <= 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// need records that one element needs another.
func (d *draft) need(from, to []byte) error {
	if len(from) == 0 || len(to) == 0 {
		return nil
	}
	if d.edges.n == maxEdges {
		return errTooMany
	}
	d.edges.add(edge{d.id(from), d.id(to)})
	return nil
}

// finish resolves the edges. Cycles are as they are: whoever walks them remembers where it was.
func (d *draft) finish() *Inventory {
	for e := range d.edges.all() {
		from, known := d.byID[e.from]
		to, knownToo := d.byID[e.to]
		if known && knownToo && from != to {
			d.Packages[from].Requires = append(d.Packages[from].Requires, to)
		}
	}
	d.edges = chunked[edge]{}
	last := make([]int, len(d.Packages)) // who was last found to need each, and one
	for from := range d.Packages {
		once := d.Packages[from].Requires[:0]
		for _, to := range d.Packages[from].Requires {
			if last[to] != from+1 {
				last[to], once = from+1, append(once, to)
			}
		}
		d.Packages[from].Requires = once
	}
	d.Generator = clean(d.Generator, maxLicense)
	return &d.Inventory
}

// clean makes text safe to store, compare and show: what misleads is U+FFFD, what is longer than max bytes ends in an ellipsis.
func clean(s string, max int) string {
	if hasControl(s) {
		s = strings.Map(func(r rune) rune {
			if misleads(r) {
				return '\uFFFD'
			}
			return r
		}, strings.ToValidUTF8(s, "\uFFFD"))
	}
	if len(s) > max {
		s = strings.ToValidUTF8(s[:max-3], "") + "\u2026"
	}
	return s
}

// cleanLicenses keeps each expression once, on one line, and leaves out those that say nothing. An expression that is too long stands as the licences that it names, as if all held
// together: what is denied does not hide behind its cut.
func cleanLicenses(list []string) []string {
	var out []string
	keep := func(l string) {
		if l = clean(l, maxLicense); len(out) < maxLicenses && !contains(out, l) {
			out = append(out, l)
		}
	}
	for _, l := range list {
		if silent(l) {
			continue
		}
		if strings.ContainsAny(l, "\r\n\t") {
			l = strings.Join(strings.Fields(l), " ")
		}
		if len(l) <= maxLicense || len(l) > maxExpression {
			keep(l)
			continue
		}
		for _, id := range Identifiers(l) {
			keep(id)
		}
	}
	return out
}

// maxExpression is how long a licence expression is taken apart, in bytes: whatever is longer is a licence's text.
const maxExpression = 4 << 10

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// subject is the digest in text that names one: "sha256:..." or a package URL of type oci with such a version.
func subject(texts ...string) store.Digest {
	for _, s := range texts {
		if strings.HasPrefix(s, "pkg:oci/") {
			u, err := ParsePURL(s)
			if err != nil {
				continue
			}
			s = u.Version
		}
		if d, err := store.ParseDigest(s); err == nil {
			return d
		}
	}
	return ""
}
