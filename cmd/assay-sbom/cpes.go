package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"sync"
	_ "unsafe" // for linkname

	"github.com/anchore/syft/syft/cpe"
	"github.com/anchore/syft/syft/pkg"
	cpenames "github.com/anchore/syft/syft/pkg/cataloger/common/cpe"
)

// syft makes CPE names of a package's name, version and metadata, checks each against the grammar of names by a regular expression, parses it again, and looks at a list of known ones that
// every process decodes first. Candidates are syft's here, too; names of characters that are harmless everywhere need no proof, and the list is searched where it lies.

//go:linkname candidateVendors github.com/anchore/syft/syft/pkg/cataloger/internal/cpegenerate.candidateVendors
func candidateVendors(pkg.Package) []string

//go:linkname candidateProducts github.com/anchore/syft/syft/pkg/cataloger/internal/cpegenerate.candidateProducts
func candidateProducts(pkg.Package) []string

//go:linkname knownNames github.com/anchore/syft/syft/pkg/cataloger/internal/cpegenerate.indexedCPEDictionaryData
var knownNames []byte

// cpeNamer makes CPE names. Nothing of one package tells about another: a value may serve any number of images.
type cpeNamer struct {
	known func() *dictionary
	key   []byte
}

func newCPENamer() *cpeNamer {
	return &cpeNamer{known: sync.OnceValue(func() *dictionary { return openDictionary(knownNames) })}
}

// names are the CPE names that a package may have.
func (n *cpeNamer) names(p pkg.Package) []cpe.CPE {
	if found, sure := n.lookUp(&p); len(found) > 0 {
		return found
	} else if !sure {
		if found, ok := cpenames.DictionaryFind(p); ok {
			return found
		}
	}
	if made, ok := n.make(p); ok {
		return made
	}
	return cpenames.Generate(p)
}

// make makes names of the package's. False: they need a closer look.
func (n *cpeNamer) make(p pkg.Package) ([]cpe.CPE, bool) {
	switch p.Type {
	case pkg.ModelPkg, pkg.JenkinsPluginPkg, pkg.WordpressPluginPkg, pkg.RustPkg: // which have rules of their own
		return nil, false
	}
	if !harmless(p.Version) {
		return nil, false
	}
	vendors, products := candidateVendors(p), candidateProducts(p)
	for _, v := range vendors {
		if !harmless(v) {
			return nil, false
		}
	}
	for _, v := range products {
		if !harmless(v) || v == "jira" || v == "jenkins" {
			return nil, false
		}
	}
	type candidate struct{ vendor, product string }
	list := make([]candidate, 0, len(vendors)*len(products))
	for _, product := range products {
		for _, vendor := range vendors {
			list = append(list, candidate{vendor, product})
		}
	}
	// The longest first, then by the names that they will have.
	slices.SortFunc(list, func(a, b candidate) int {
		if d := len(b.vendor) + len(b.product) - len(a.vendor) - len(a.product); d != 0 {
			return d
		}
		n.key = append(append(append(append(n.key[:0], a.vendor...), ':'), a.product...), ':')
		middle := len(n.key)
		n.key = append(append(append(append(n.key, b.vendor...), ':'), b.product...), ':')
		return bytes.Compare(n.key[:middle], n.key[middle:])
	})
	list = slices.Compact(list)
	var out []cpe.CPE
	for _, c := range list {
		out = append(out, cpe.CPE{Attributes: cpe.Attributes{Part: "a", Vendor: c.vendor, Product: c.product, Version: p.Version}, Source: cpe.GeneratedSource})
	}
	return out, true
}

// harmless reports whether a part of a CPE name begins with a letter, a digit or "@" and is made of characters that mean nothing in the grammar, so that it is valid as it is or with a quote
// before some.
func harmless(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '@', i > 0 && (c == '.' || c == '_' || c == '-' || c == '+' || c == '~' || c == ':' || c == '/'):
		default:
			return false
		}
	}
	return s != ""
}

// dictionary is syft's list of known names, by ecosystem and package: JSON as json.MarshalIndent writes it, sorted, one name to a line.
type dictionary struct {
	data  []byte
	lines map[string][]int32 // by ecosystem: where the lines with names of packages begin, in their order
}

// openDictionary finds the lines. nil: the list has another form.
func openDictionary(data []byte) *dictionary {
	const ecosystem, entry = "\n    \"", "\n      \""
	d := &dictionary{data: data, lines: map[string][]int32{}}
	var name string
	for at := 0; ; {
		next := bytes.IndexByte(data[at:], '\n')
		if next < 0 {
			return d
		}
		at += next
		switch line := data[at:]; {
		case bytes.HasPrefix(line, []byte(entry)):
			list := d.lines[name]
			key, ok := d.key(int32(at + len(entry)))
			if n := len(list); !ok || name == "" || n > 0 {
				if last, fine := d.key(lastOf(list)); !ok || name == "" || !fine || bytes.Compare(last, key) >= 0 {
					return nil
				}
			}
			d.lines[name] = append(list, int32(at+len(entry)))
		case bytes.HasPrefix(line, []byte(ecosystem)):
			key, ok := d.key(int32(at + len(ecosystem)))
			if name = string(key); !ok {
				return nil
			}
		}
		at++
	}
}

func lastOf(list []int32) int32 {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1]
}

// key is the string that begins at a place; false: it has characters that JSON writes in another way, or no end.
func (d *dictionary) key(at int32) ([]byte, bool) {
	end := bytes.IndexByte(d.data[at:], '"')
	if end < 0 || bytes.IndexByte(d.data[at:int(at)+end], '\\') >= 0 {
		return nil, false
	}
	return d.data[at : int(at)+end], true
}

// find returns the JSON list behind a name; nil: it is not there.
func (d *dictionary) find(ecosystem, name string) []byte {
	list := d.lines[ecosystem]
	i := sort.Search(len(list), func(i int) bool {
		key, _ := d.key(list[i])
		return string(key) >= name
	})
	if i == len(list) {
		return nil
	}
	if key, _ := d.key(list[i]); string(key) != name {
		return nil
	}
	rest := d.data[list[i]:]
	if i+1 < len(list) {
		rest = d.data[list[i]:list[i+1]]
	}
	from, to := bytes.IndexByte(rest, '['), bytes.IndexByte(rest, ']')
	if from < 0 || to < from {
		return nil
	}
	return rest[from : to+1]
}

var ecosystems = map[pkg.Type]string{
	pkg.NpmPkg: "npm", pkg.GemPkg: "rubygems", pkg.PythonPkg: "pypi", pkg.JenkinsPluginPkg: "jenkins_plugins", pkg.RustPkg: "rust_crates", pkg.PhpComposerPkg: "php_composer",
	pkg.PhpPeclPkg: "php_pecl", pkg.GoModulePkg: "go_modules",
}

// lookUp finds the known names of a package. Not sure: syft must be asked.
func (n *cpeNamer) lookUp(p *pkg.Package) (found []cpe.CPE, sure bool) {
	ecosystem, some := ecosystems[p.Type]
	switch {
	case p.Type == pkg.WordpressPluginPkg:
		return nil, false
	case !some:
		return nil, true
	}
	d := n.known()
	if d == nil || strings.ContainsAny(p.Name, "\"\\<>&\u2028\u2029") || strings.ContainsFunc(p.Name, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, false
	}
	list := d.find(ecosystem, p.Name)
	if list == nil {
		return nil, true
	}
	var texts []string
	if json.Unmarshal(list, &texts) != nil {
		return nil, false
	}
	slices.Sort(texts)
	for _, s := range slices.Compact(texts) {
		if c, err := cpe.New(s, cpe.NVDDictionaryLookupSource); err == nil {
			c.Attributes.Version = p.Version
			found = append(found, c)
		}
	}
	sort.Sort(cpe.BySourceThenSpecificity(found))
	return found, true
}
