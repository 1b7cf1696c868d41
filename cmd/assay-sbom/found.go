package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/cataloging/pkgcataloging"
	"github.com/anchore/syft/syft/cpe"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/license"
	"github.com/anchore/syft/syft/pkg"
	"github.com/anchore/syft/syft/pkg/cataloger/golang"
	"github.com/anchore/syft/syft/pkg/cataloger/java"
	"github.com/klauspost/compress/zstd"
)

// Some cataloguers read one file at a time and look at nothing else: what they find in a Java archive or a Go program is a function of its content and path. A process that reads a
// single layer ahead of its image (indexLayer) runs them on each file alone, and what they found goes to the end of that layer's view. It is used where the file is seen in an image
// under its own path, from that layer. Never does a process that has seen another layer's content write such findings.

// maxFound is what the findings of one layer may amount to, in bytes, before compression.
const maxFound = 16 << 20

// maxFinding is how long a layer may take: an image may wait for this process to end.
const maxFinding = 10 * time.Second

// maxAbsent is how many other patterns a cataloguer may ask for because of one file.
const maxAbsent = 1000

// findings are what was found in single files of an image, by where that was.
type findings map[foundAt]*foundIn

// foundAt is a file and who looked into it.
type foundAt struct {
	content
	cataloger, path string
}

// foundIn is what a cataloguer found in one file.
type foundIn struct {
	Cataloger string         `json:"cataloger"`
	Path      string         `json:"path"`
	Ordinal   int32          `json:"ordinal"`
	Packages  []foundPackage `json:"packages,omitempty"`
	Absent    []string       `json:"absent,omitempty"` // patterns of what the cataloguer looked for besides: it holds for images without
	Relations []foundTie     `json:"relations,omitempty"`
}

// foundTie relates two of the packages, by their places.
type foundTie struct {
	From, To int
	Type     artifact.RelationshipType
}

// foundPackage is a package without what its image gives it: the layer's name is filled in.
type foundPackage struct {
	ID                           artifact.ID
	Name, Version, FoundBy, PURL string
	Language                     pkg.Language
	Type                         pkg.Type
	Locations                    []foundLocation
	Licenses                     []foundLicense `json:",omitempty"`
	CPEs                         []cpe.CPE
	Java                         *pkg.JavaArchive                `json:",omitempty"`
	Go                           *pkg.GolangBinaryBuildinfoEntry `json:",omitempty"`
	Matches                      []foundMatch                    `json:",omitempty"`
	NoCrypto                     bool                            `json:",omitempty"` // Go has an empty list, which JSON leaves out
}

type foundLocation struct {
	Real, Access string
	Annotations  map[string]string
}

type foundLicense struct {
	Value, SPDX, Contents string
	Type                  license.Type
	URLs                  []string
	Locations             []foundLocation
}

// locations are all in the layer of the given name, or none are taken.
func locations(s file.LocationSet, layer string) (out []foundLocation, ok bool) {
	for _, l := range s.ToSlice() {
		if l.FileSystemID != layer {
			return nil, false
		}
		out = append(out, foundLocation{l.RealPath, l.AccessPath, l.Annotations})
	}
	return out, true
}

func locationSet(list []foundLocation, layer string) (s file.LocationSet) {
	for _, f := range list {
		s.Add(f.whole(layer))
	}
	return s
}

func (f foundLocation) whole(layer string) file.Location {
	l := file.NewVirtualLocationFromCoordinates(file.NewCoordinates(f.Real, layer), f.Access)
	l.Annotations = maps.Clone(f.Annotations) // which syft adds to
	return l
}

// keepPackage takes a package apart. False: put together again it would be another one.
func keepPackage(p pkg.Package, layer string) (f foundPackage, ok bool) {
	f = foundPackage{ID: p.ID(), Name: p.Name, Version: p.Version, FoundBy: p.FoundBy, PURL: p.PURL, Language: p.Language, Type: p.Type, CPEs: p.CPEs}
	if f.Locations, ok = locations(p.Locations, layer); !ok {
		return f, false
	}
	for _, l := range p.Licenses.ToSlice() {
		at, ok := locations(l.Locations, layer)
		if !ok {
			return f, false
		}
		f.Licenses = append(f.Licenses, foundLicense{l.Value, l.SPDXExpression, l.Contents, l.Type, l.URLs, at})
	}
	switch m := p.Metadata.(type) {
	case pkg.JavaArchive:
		m.Parent = nil // which only the cataloguer itself asks for
		p.Metadata, f.Java = m, &m
	case pkg.GolangBinaryBuildinfoEntry:
		f.Go, f.NoCrypto = &m, m.GoCryptoSettings != nil && len(m.GoCryptoSettings) == 0
	case pkg.BinarySignature:
		if f.Matches, ok = keepMatches(m, layer); !ok {
			return f, false
		}
	default:
		return f, false
	}
	b, err := json.Marshal(f)
	if err != nil {
		return f, false
	}
	var again foundPackage
	return f, json.Unmarshal(b, &again) == nil && reflect.DeepEqual(again.whole(layer), p)
}

// whole puts a package together again.
func (f *foundPackage) whole(layer string) pkg.Package {
	p := pkg.Package{Name: f.Name, Version: f.Version, FoundBy: f.FoundBy, PURL: f.PURL, Language: f.Language, Type: f.Type, CPEs: slices.Clip(f.CPEs), Locations: locationSet(f.Locations, layer)}
	var list []pkg.License
	for _, l := range f.Licenses {
		list = append(list, pkg.License{Value: l.Value, SPDXExpression: l.SPDX, Contents: l.Contents, Type: l.Type, URLs: l.URLs, Locations: locationSet(l.Locations, layer)})
	}
	p.Licenses = pkg.NewLicenseSet(list...)
	switch {
	case f.Java != nil:
		p.Metadata = *f.Java
	case f.Go != nil:
		m := *f.Go
		if f.NoCrypto {
			m.GoCryptoSettings = []string{}
		}
		p.Metadata = m
	case f.Matches != nil:
		p.Metadata = wholeMatches(f.Matches, layer)
	}
	p.OverrideID(f.ID)
	return p
}

// imageResolver is an image, or a part of it.
type imageResolver interface {
	file.Resolver
	image() *resolver
}

func (r *resolver) image() *resolver { return r }

// fileCataloger is a cataloguer of single files. What is known of some is not looked for again.
type fileCataloger struct {
	pkg.Cataloger
	marks marks // of the programs that it is shown; 0: it asks for no programs
}

// fileCatalogers are those of syft that are run on single files ahead of an image.
func fileCatalogers(c *syft.CreateSBOMConfig) []fileCataloger {
	return []fileCataloger{{java.NewArchiveCataloger(c.Packages.JavaArchive), 0}, {golang.NewGoModuleBinaryCataloger(c.Packages.Golang), markGo}}
}

// view is what the cataloguer sees of an image.
func (c fileCataloger) view(r *resolver) imageResolver {
	if c.marks != 0 {
		return &programView{r, c.marks}
	}
	return r
}

// Catalog finds the packages of all files.
func (c fileCataloger) Catalog(ctx context.Context, r file.Resolver) ([]pkg.Package, []artifact.Relationship, error) {
	image, ok := r.(*resolver)
	if !ok {
		return c.Cataloger.Catalog(ctx, r)
	}
	k := &knownFiles{imageResolver: c.view(image), cataloger: c.Name()}
	packages, relations, err := c.Cataloger.Catalog(ctx, k)
	for _, f := range k.known {
		layer := image.im.diffIDs[f.layer]
		var found []pkg.Package
		for i := range f.Packages {
			found = append(found, f.Packages[i].whole(layer))
		}
		for _, e := range f.Relations {
			relations = append(relations, artifact.Relationship{From: found[e.From], To: found[e.To], Type: e.Type})
		}
		packages = append(packages, found...)
	}
	return packages, relations, err
}

// knownFiles is an image without the files of which it is known what a cataloguer finds in them.
type knownFiles struct {
	imageResolver
	cataloger string
	known     []knownFile
}

type knownFile struct {
	*foundIn
	layer int16
}

// FilesByGlob finds the other files.
func (k *knownFiles) FilesByGlob(patterns ...string) ([]file.Location, error) {
	list, err := k.imageResolver.FilesByGlob(patterns...)
	return slices.DeleteFunc(list, k.knows), err
}

// FilesByMIMEType finds the other files.
func (k *knownFiles) FilesByMIMEType(types ...string) ([]file.Location, error) {
	list, err := k.imageResolver.FilesByMIMEType(types...)
	return slices.DeleteFunc(list, k.knows), err
}

func (k *knownFiles) knows(l file.Location) bool {
	if l.AccessPath != l.RealPath {
		return false
	}
	f, layer := k.image().known(k.cataloger, &l)
	if f != nil && !slices.ContainsFunc(k.known, func(o knownFile) bool { return o.foundIn == f }) {
		k.known = append(k.known, knownFile{f, layer})
	}
	return f != nil
}

// nameOf is the path of a file, and by which other it was found, if that is so.
func nameOf(l *file.Location) string {
	if l.AccessPath == l.RealPath {
		return l.RealPath
	}
	return l.RealPath + "\x00" + l.AccessPath // no path has this byte
}

// known is what is known of a file of the image, and the layer that it is in; nil: nothing, or it does not hold in this image.
func (r *resolver) known(cataloger string, l *file.Location) (*foundIn, int16) {
	i := r.im.tree.lookup(l.RealPath)
	if i == none {
		return nil, 0
	}
	at := r.node(i).content()
	f := r.im.found[foundAt{at, cataloger, nameOf(l)}]
	if f == nil || slices.ContainsFunc(f.Absent, r.has) {
		return nil, 0
	}
	return f, at.layer
}

// has reports whether some file matches a pattern.
func (r *resolver) has(pattern string) bool {
	list, err := r.FilesByGlob(pattern)
	return err != nil || len(list) > 0
}

// finder is a cataloguer that runs others on the files of a layer, each alone, whatever image it is run on itself. It reports nothing.
type finder struct {
	layer *resolver
	with  []fileCataloger
	found []*foundIn

	classifiers classifierCataloger
}

// Name names it.
func (f *finder) Name() string { return "files" }

// Catalog fills found.
func (f *finder) Catalog(ctx context.Context, _ file.Resolver) ([]pkg.Package, []artifact.Relationship, error) {
	for _, c := range f.with {
		if err := f.find(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	_, _, _ = f.classifiers.Catalog(ctx, &classifying{f.layer, f}) // what fails is not kept
	return nil, nil, ctx.Err()
}

// find runs one cataloguer. It first hears what that looks for, and then shows it one file after the other. Where it asks for anything else, nothing is kept.
func (f *finder) find(ctx context.Context, c fileCataloger) error {
	all := &loneFile{imageResolver: c.view(f.layer), answers: map[string][]file.Location{}}
	if _, _, err := c.Cataloger.Catalog(ctx, all); err != nil || all.more {
		return err
	}
	for _, l := range all.seen {
		one := &loneFile{imageResolver: all.imageResolver, answers: all.answers, only: l.RealPath, asked: map[string]bool{}}
		packages, relations, err := c.Cataloger.Catalog(ctx, one)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || one.more {
			continue
		}
		f.add(c.Name(), nameOf(&l), one, packages, relations)
	}
	return nil
}

// add takes what was found in one file.
func (f *finder) add(cataloger, name string, one *loneFile, packages []pkg.Package, relations []artifact.Relationship) {
	in := &foundIn{Cataloger: cataloger, Path: name, Ordinal: f.layer.node(f.layer.im.tree.lookup(one.only)).ordinal, Absent: one.absent}
	if in.keep(packages, relations, f.layer.im.diffIDs[0]) {
		f.found = append(f.found, in)
	}
}

// keep takes what was found, all or nothing.
func (in *foundIn) keep(packages []pkg.Package, relations []artifact.Relationship, layer string) bool {
	places := map[artifact.ID]int{}
	for i, p := range packages {
		f, ok := keepPackage(p, layer)
		if _, twice := places[p.ID()]; !ok || twice || p.ID() == "" {
			return false
		}
		places[p.ID()] = i
		in.Packages = append(in.Packages, f)
	}
	for _, e := range relations {
		from, ok := places[e.From.ID()]
		to, okTo := places[e.To.ID()]
		if !ok || !okTo || e.Data != nil {
			return false
		}
		in.Relations = append(in.Relations, foundTie{from, to, e.Type})
	}
	return true
}

// loneFile is a layer of which a cataloguer sees one file, or none. more says that it asked for something else.
type loneFile struct {
	imageResolver
	answers map[string][]file.Location // to what it looks for, from the first run
	seen    []file.Location            // all of them, in the first run
	only    string
	asked   map[string]bool
	absent  []string // what it asked for besides, and there is none of
	more    bool
}

func (o *loneFile) answer(question string, ask func() ([]file.Location, error)) ([]file.Location, error) {
	if o.only == "" {
		list, err := ask()
		for _, l := range list {
			if l.RealPath == l.AccessPath && !slices.ContainsFunc(o.seen, func(s file.Location) bool { return s.RealPath == l.RealPath }) {
				o.seen = append(o.seen, l)
			}
		}
		o.answers[question] = list
		return nil, err
	}
	list, known := o.answers[question]
	if !known || o.asked[question] {
		o.more = true
	}
	o.asked[question] = true
	var out []file.Location
	for _, l := range list {
		if l.RealPath == o.only && l.AccessPath == o.only {
			out = append(out, l)
		}
	}
	return out, nil
}

// FilesByGlob finds the file, or notes that there are none of others.
func (o *loneFile) FilesByGlob(patterns ...string) ([]file.Location, error) {
	if _, known := o.answers["glob\n"+strings.Join(patterns, "\n")]; !known && o.only != "" && len(patterns) == 1 && len(o.absent) < maxAbsent {
		list, err := o.imageResolver.FilesByGlob(patterns...)
		o.more = o.more || err != nil || len(list) > 0
		if !slices.Contains(o.absent, patterns[0]) {
			o.absent = append(o.absent, patterns[0])
		}
		return list, err
	}
	return o.answer("glob\n"+strings.Join(patterns, "\n"), func() ([]file.Location, error) { return o.imageResolver.FilesByGlob(patterns...) })
}

// FilesByMIMEType finds the file.
func (o *loneFile) FilesByMIMEType(types ...string) ([]file.Location, error) {
	return o.answer("type\n"+strings.Join(types, "\n"), func() ([]file.Location, error) { return o.imageResolver.FilesByMIMEType(types...) })
}

// FileContentsByLocation opens the file; opening another one is noticed.
func (o *loneFile) FileContentsByLocation(l file.Location) (io.ReadCloser, error) {
	o.more = o.more || l.RealPath != o.only
	return o.imageResolver.FileContentsByLocation(l)
}

// HasPath is noticed.
func (o *loneFile) HasPath(p string) bool {
	o.more = true
	return o.imageResolver.HasPath(p)
}

// FilesByPath finds nothing: by their paths, before anything else, files are looked for that tell the distribution, of which these cataloguers make no use.
func (o *loneFile) FilesByPath(paths ...string) ([]file.Location, error) {
	return o.answer("path\n"+strings.Join(paths, "\n"), func() ([]file.Location, error) { return nil, nil })
}

// RelativeFileByPath is noticed.
func (o *loneFile) RelativeFileByPath(l file.Location, p string) *file.Location {
	o.more = true
	return o.imageResolver.RelativeFileByPath(l, p)
}

// AllLocations is noticed.
func (o *loneFile) AllLocations(ctx context.Context) <-chan file.Location {
	o.more = true
	return o.imageResolver.AllLocations(ctx)
}

// FileMetadataByLocation is noticed.
func (o *loneFile) FileMetadataByLocation(l file.Location) (file.Metadata, error) {
	o.more = true
	return o.imageResolver.FileMetadataByLocation(l)
}

// findInFiles makes the findings of the only layer of im. What goes wrong costs the findings and nothing else.
func findInFiles(ctx context.Context, im *image) (out []byte) {
	defer func() {
		if recover() != nil { // a cataloguer on hostile content
			out = nil
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, maxFinding)
	defer cancel()
	c := settings(nil)
	f := &finder{layer: newResolver(im), with: fileCatalogers(c), classifiers: newClassifierCataloger(c)}
	c = c.WithCatalogers(pkgcataloging.NewAlwaysEnabledCatalogerReference(f)) // by syft, which brings what cataloguers need
	if _, err := syft.CreateSBOM(ctx, &imageSource{resolver: &recorder{}, name: "empty"}, c); err != nil || len(f.found) == 0 {
		return nil
	}
	b, err := json.Marshal(f.found)
	if err != nil || len(b) > maxFound {
		return nil
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil
	}
	return z.EncodeAll(b, nil)
}

// readFindings takes the findings at the end of the view of layer i. What is not readable is not there.
func (im *image) readFindings(i int, b []byte) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFound+(1<<20)))
	if err != nil || len(b) == 0 {
		return
	}
	defer z.Close()
	if plain, err := z.DecodeAll(b, nil); err == nil {
		im.takeFindings(i, plain)
	}
}

// takeFindings takes the findings of layer i, all or none.
func (im *image) takeFindings(i int, plain []byte) {
	var all []*foundIn
	if json.Unmarshal(plain, &all) != nil {
		return
	}
	for _, f := range all {
		if f == nil {
			return
		}
		for _, e := range f.Relations {
			if n := len(f.Packages); e.From < 0 || e.To < 0 || e.From >= n || e.To >= n {
				return
			}
		}
	}
	for _, f := range all {
		im.found[foundAt{content{int16(i), f.Ordinal}, f.Cataloger, f.Path}] = f
	}
}
