package document

import (
	"cmp"
	"slices"
	"strings"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
)

// graph is what an SPDX document relates: elements, by number, and edges between them.
type graph struct {
	elements []string // their names, without the prefix
	taken    names    // those of packages, of the image and of the document
	own      names    // those of files
	edges    []edge
	files    map[file.Coordinates]int32 // -> element
	others   map[artifact.ID]int32      // elements that are neither a package of the contents nor a file
}

type edge struct {
	from, to int32
	relation uint8
}

// graph relates packages, files, the image's own package and the document.
func (c *Contents) graph() *graph {
	g := &graph{taken: c.elements, own: names{}, files: make(map[file.Coordinates]int32, len(c.Relationships)/2), others: map[artifact.ID]int32{}}
	g.elements = make([]string, len(c.items), len(c.items)+len(c.Relationships)+2)
	g.edges = make([]edge, 0, len(c.items)+len(c.Relationships)+1)
	for i := range c.items {
		g.elements[i] = c.items[i].element
	}
	image := g.add(c.root())
	for i := range c.items {
		g.edges = append(g.edges, edge{image, int32(i), contains})
	}
	g.edges = append(g.edges, edge{g.add("DOCUMENT"), image, describes})
	for i := range c.Relationships {
		r := &c.Relationships[i]
		for _, end := range [...]artifact.Identifiable{r.From, r.To} {
			if f, ok := end.(file.Coordinates); ok {
				g.file(f)
			}
		}
		relation, known := relations[r.Type]
		if from, ok := r.From.(pkg.Package); ok && known {
			g.edges = append(g.edges, edge{c.packageElement(g, &from), c.element(g, r.To), relation})
		}
	}
	for i := range c.items {
		for k := range c.items[i].locations {
			if c.Evident {
				g.edges = append(g.edges, edge{int32(i), g.file(c.items[i].locations[k].Coordinates), evidentBy})
			}
		}
	}
	for _, f := range c.Files {
		g.file(f)
	}
	g.order()
	return g
}

func (g *graph) add(name string) int32 {
	g.elements = append(g.elements, name)
	return int32(len(g.elements) - 1)
}

func (g *graph) file(f file.Coordinates) int32 {
	at, known := g.files[f]
	if !known {
		name := fileElement(f, fileID(f))
		for _, there := g.taken[name]; there; _, there = g.taken[name] {
			name += "-file"
		}
		at = g.add(g.own.take(name))
		g.files[f] = at
	}
	return at
}

// packageElement is a package's. One that is not among the contents has a name all the same.
func (c *Contents) packageElement(g *graph, p *pkg.Package) int32 {
	if at, ok := c.index[p.ID()]; ok {
		return at
	}
	return g.other(p.ID(), packageElement(p))
}

func (c *Contents) element(g *graph, i artifact.Identifiable) int32 {
	switch e := i.(type) {
	case pkg.Package:
		return c.packageElement(g, &e)
	case file.Coordinates:
		return g.file(e)
	}
	return g.other(i.ID(), elementID(strings.TrimPrefix(string(i.ID()), "SPDXRef-")))
}

func (g *graph) other(id artifact.ID, name string) int32 {
	at, known := g.others[id]
	if !known {
		at = g.add(name)
		g.others[id] = at
	}
	return at
}

// order sorts the edges by what will be written, and keeps one of those that are the same.
func (g *graph) order() {
	rank := ranks(g.elements)
	// CONTAINS, DEPENDENCY_OF, DESCRIBES, OTHER: the two relations of that name differ in their comment, which comes last.
	name := func(r uint8) uint8 { return min(r, evidentBy) }
	slices.SortFunc(g.edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(rank[a.from], rank[b.from]), cmp.Compare(name(a.relation), name(b.relation)), cmp.Compare(rank[a.to], rank[b.to]),
			cmp.Compare(a.relation, b.relation), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	g.edges = slices.Compact(g.edges)
}

func (g *graph) write(t *text) {
	t.raw(`,"relationships":[`)
	for i, e := range g.edges {
		if t.full() {
			return
		}
		t.between(i)
		t.raw(`{"spdxElementId":"SPDXRef-`)
		t.raw(g.elements[e.from])
		t.raw(`","relatedSpdxElement":"SPDXRef-`)
		t.raw(g.elements[e.to])
		t.raw(`"`)
		t.raw(relationTexts[e.relation])
	}
	t.raw(`]`)
}

// writeFiles writes the files by path. Their content was not looked at: SPDX wants a checksum all the same.
func (g *graph) writeFiles(t *text) {
	type named struct {
		file.Coordinates
		path, element string
	}
	list := make([]named, 0, len(g.files))
	for f, at := range g.files {
		list = append(list, named{f, strings.TrimPrefix(f.RealPath, "/"), g.elements[at]})
	}
	slices.SortFunc(list, func(a, b named) int {
		return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(a.element, b.element))
	})
	for i := range list {
		f := &list[i]
		if t.full() {
			return
		}
		if i == 0 {
			t.raw(`,"files":[`)
		}
		t.between(i)
		t.raw(`{"fileName":`)
		t.str(f.path)
		t.raw(`,"SPDXID":"SPDXRef-`)
		t.raw(f.element)
		t.raw(`","checksums":[{"algorithm":"SHA1","checksumValue":"0000000000000000000000000000000000000000"}],"licenseConcluded":"NOASSERTION",` +
			`"licenseInfoInFiles":["NOASSERTION"],"copyrightText":"NOASSERTION"`)
		if f.FileSystemID != "" {
			t.field(`,"comment":`, "layerID: "+f.FileSystemID)
		}
		t.raw(`}`)
	}
	if len(list) > 0 {
		t.raw(`]`)
	}
}
