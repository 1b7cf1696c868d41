// Package document writes what was found in an image as SPDX 2.3 and CycloneDX 1.6, both JSON. The documents are those that syft's own encoders write, byte by byte
// (TestWritersEqualSyft; but for licences and names of elements that syft gets wrong, see hostile_test.go), made without syft's models in between: packages are collected, ordered and looked at once for both. Files are those that packages or errors
// name; nothing else of files is written, and contents that hold more are refused.
package document

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/linux"
	"github.com/anchore/syft/syft/pkg"
	"github.com/anchore/syft/syft/sbom"
	"github.com/anchore/syft/syft/source"

	"github.com/assay-registry/assay/cmd/assay-sbom/structhash"
)

// ErrTooLarge says that a document would have more bytes than it may have.
var ErrTooLarge = errors.New("the document is too large")

// Identity is what a document says about itself.
type Identity struct {
	Namespace string    // URI of the SPDX document
	Serial    string    // serial number of the CycloneDX document, an URN
	Created   time.Time // in UTC, whole seconds
	Tool      string    // name of what made the document, besides syft
	Version   string    // its version
}

// Contents are what was found in an image. Writing orders what must be in order; a value is written by one goroutine at a time.
type Contents struct {
	Source        source.Description
	Tool, Version string        // syft's
	Packages      []pkg.Package // each id once
	Relationships []artifact.Relationship
	Files         []file.Coordinates // that are named though no package and no relationship does
	Distribution  *linux.Release
	Evident       bool // each package is related to the files that tell of it, whatever Relationships say

	items    []item
	elements names                 // SPDX identifiers of the packages, of the image and of the document
	index    map[artifact.ID]int32 // package -> item
	persons  map[string]string     // as they are written -> as SPDX has them
	cpe      []byte                // for one name
	at       []file.Location
	props    properties
}

// Collect takes what syft found. The packages are copied once.
func Collect(s *sbom.SBOM) (*Contents, error) {
	a := &s.Artifacts
	if len(a.FileMetadata)+len(a.FileDigests)+len(a.FileContents) > 0 {
		return nil, errors.New("properties of files were collected, which are not written")
	}
	if _, ok := s.Source.Metadata.(source.ImageMetadata); !ok {
		return nil, errors.New("what was looked at is no image")
	}
	c := &Contents{Source: s.Source, Tool: s.Descriptor.Name, Version: s.Descriptor.Version, Relationships: s.Relationships, Distribution: a.LinuxDistribution}
	c.Packages = make([]pkg.Package, 0, a.Packages.PackageCount())
	for p := range a.Packages.Enumerate() {
		c.Packages = append(c.Packages, p)
	}
	for f := range a.Unknowns {
		c.Files = append(c.Files, f)
	}
	return c, nil
}

// item is a package and what both documents say of it.
type item struct {
	*pkg.Package
	element   string // SPDX identifier, without its prefix
	ref       string // CycloneDX reference
	cpes      []string
	licenses  []pkg.License
	locations []file.Location
}

// prepare orders the packages and looks at each once.
func (c *Contents) prepare() {
	if c.index != nil || len(c.Packages) == 0 {
		return
	}
	order(c.Packages)
	// Packages that a document within the image tells of may have any id.
	c.elements = names{"DOCUMENT": 1, c.root(): 1}
	refs := names{}
	if image, ok := c.Source.Metadata.(source.ImageMetadata); ok {
		if ref, err := artifact.IDByHash(image.ID); err == nil {
			refs[string(ref)] = 1
		}
	}
	if c.Distribution != nil {
		refs[systemRef(c.Distribution)] = 1
	}
	c.items, c.index = make([]item, len(c.Packages)), make(map[artifact.ID]int32, len(c.Packages))
	for i := range c.Packages {
		p := &c.Packages[i]
		it := item{Package: p, element: c.elements.take(packageElement(p)), ref: refs.take(packageRef(p.PURL, string(p.ID()))), locations: p.Locations.ToSlice()}
		if !p.Licenses.Empty() {
			it.licenses = p.Licenses.ToSlice()
		}
		it.cpes = make([]string, len(p.CPEs))
		for k := range p.CPEs {
			c.cpe = appendCPE(c.cpe[:0], &p.CPEs[k].Attributes)
			it.cpes[k] = string(c.cpe)
		}
		c.items[i] = it
		c.index[p.ID()] = int32(i)
	}
}

// root names the package in an SPDX document that is the image.
func (c *Contents) root() string { return elementID("DocumentRoot-Image-" + c.Source.Name) }

// names are those that are taken, with the number that the next of the same name tries.
type names map[string]int

// take is a name, or if that is taken, the name with a number.
func (n names) take(name string) string {
	again := n[name]
	if again == 0 {
		n[name] = 1
		return name
	}
	for {
		again++
		other := name + "-" + strconv.Itoa(again)
		if n[other] == 0 {
			n[name], n[other] = again, 1
			return other
		}
	}
}

// order sorts packages as syft does: by name, version, type, locations, and then by what %#v makes of the metadata. That has addresses, which are no order; where nothing
// else tells two packages apart their ids do.
func order(packages []pkg.Package) {
	slices.SortStableFunc(packages, func(a, b pkg.Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version), strings.Compare(string(a.Type), string(b.Type)), compareDeep(&a, &b))
	})
}

func compareDeep(a, b *pkg.Package) int {
	at, bt := a.Locations.ToSlice(), b.Locations.ToSlice()
	for i := range max(len(at), len(bt)) {
		if i >= len(at) || i >= len(bt) {
			return cmp.Compare(len(at), len(bt))
		}
		if c := strings.Compare(at[i].RealPath, bt[i].RealPath); c != 0 {
			return c
		}
	}
	plain := func(p *pkg.Package) string { return address.ReplaceAllString(fmt.Sprintf("%#v", p.Metadata), "") }
	return cmp.Or(strings.Compare(plain(a), plain(b)), strings.Compare(string(a.ID()), string(b.ID())))
}

var address = regexp.MustCompile(`\(0x[0-9a-f]+\)`)

// packageElement names a package in an SPDX document.
func packageElement(p *pkg.Package) string {
	id := string(p.ID())
	if after, ok := strings.CutPrefix(id, "SPDXRef-"); ok {
		return elementID(after)
	}
	if strings.HasPrefix(id, "Package-") {
		return elementID(id)
	}
	switch {
	case p.Type != "" && p.Name != "":
		id = "Package-" + string(p.Type) + "-" + p.Name + "-" + id
	case p.Name != "":
		id = "Package-" + p.Name + "-" + id
	case p.Type != "":
		id = "Package-" + string(p.Type) + "-" + id
	default:
		id = "Package-" + id
	}
	return elementID(id)
}

// fileID is what syft calls a file (file.Coordinates.ID).
func fileID(f file.Coordinates) artifact.ID {
	const digits = 16
	h := structhash.Field(structhash.Field(hashCoordinates, hashRealPath, structhash.Text(f.RealPath)), hashFileSystem, structhash.Text(f.FileSystemID))
	var b [digits]byte
	for i := range b {
		b[digits-1-i] = hex[h&0xf]
		h >>= 4
	}
	return artifact.ID(b[:])
}

var hashCoordinates, hashRealPath, hashFileSystem = structhash.Text("Coordinates"), structhash.Text("RealPath"), structhash.Text("FileSystemID")

// fileElement names a file in an SPDX document: by the last parts of its path, about 40 bytes of them, and its id.
func fileElement(f file.Coordinates, id artifact.ID) string {
	const most = 40
	if after, ok := strings.CutPrefix(string(id), "SPDXRef-"); ok {
		return elementID(after)
	}
	name, rest := "", f.RealPath
	for last := true; rest != ""; last = false {
		at := strings.LastIndexByte(rest, '/')
		part := rest[at+1:]
		rest = rest[:max(at, 0)]
		if part == "" {
			continue
		}
		if !last && len(name)+len(part)+3 > most {
			name = "..." + name
			break
		}
		name = path.Join(part, name)
	}
	return elementID("File-" + name + "-" + string(id))
}

// ranks are the places of strings in their order; equal ones have the same.
func ranks(list []string) []uint32 {
	by := make([]int32, len(list))
	for i := range by {
		by[i] = int32(i)
	}
	sort.Slice(by, func(a, b int) bool { return list[by[a]] < list[by[b]] })
	out := make([]uint32, len(list))
	n := uint32(0)
	for i, k := range by {
		if i > 0 && list[k] != list[by[i-1]] {
			n++
		}
		out[k] = n
	}
	return out
}
