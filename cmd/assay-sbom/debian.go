package main

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
)

// debianCataloger is syft's cataloguer of dpkg's database, which merges a package's list of files in quadratic time: packages of ten thousand files
// cost more than all others together. It is shown empty lists, and the real ones are merged afterwards, in linear time. It compares each line of a
// statement of licences with three regular expressions; licences that are known are added afterwards, too. The result is the same.
type debianCataloger struct{ pkg.Cataloger }

// Catalog finds the packages.
func (c debianCataloger) Catalog(ctx context.Context, r file.Resolver) ([]pkg.Package, []artifact.Relationship, error) {
	image, ok := r.(*resolver)
	if !ok {
		return c.Cataloger.Catalog(ctx, r)
	}
	v := &withoutLists{resolver: image, hidden: map[int32]bool{}, stated: map[string]int32{}, names: map[string]pkg.License{}}
	packages, relations, err := c.Cataloger.Catalog(ctx, v)
	if !slices.ContainsFunc(packages, renamed) {
		v.lists = map[artifact.ID]int32{}
	}
	if err != nil || !v.restore(ctx, packages, relations) {
		return c.Cataloger.Catalog(ctx, r)
	}
	image.aside = v.lists
	return packages, relations, nil
}

// renamed reports whether a package will get another name or version, and so another id.
func renamed(p pkg.Package) bool {
	return strings.TrimSpace(p.Name) == "" || strings.TrimSpace(p.Version) == "" || p.ID() == ""
}

// withoutLists is an image whose lists of files below dpkg/info are empty, and without statements of which it is known what licences they name.
type withoutLists struct {
	*resolver
	hidden map[int32]bool
	stated map[string]int32       // statements of licences that were asked for
	names  map[string]pkg.License // what becomes of a licence's name
	lists  map[artifact.ID]int32  // packages whose lists of checksums stay aside, by their new ids; nil: none may
}

// Extensions of the lists, and how much of one is read (as syft reads them).
const (
	md5sumsSuffix   = ".md5sums"
	conffilesSuffix = ".conffiles"
	maxFileRecords  = 200_000
	docsPath        = "/usr/share/doc/" // where statements of licences are, by name of package
)

// RelativeFileByPath finds no statement of licences whose licences are known: restore adds them.
func (v *withoutLists) RelativeFileByPath(l file.Location, p string) *file.Location {
	if strings.HasPrefix(p, docsPath) && strings.HasSuffix(p, copyrightSuffix) {
		if i := v.file(p); i != none && len(v.told(i)) > 0 {
			v.stated[p] = i
			return nil
		}
	}
	return v.resolver.RelativeFileByPath(l, p)
}

// told are the licences that a statement names, or nil if it has to be read.
func (v *withoutLists) told(i int32) []byte {
	n := v.node(i)
	if n.told != nil {
		return n.told
	}
	v.im.mu.Lock()
	defer v.im.mu.Unlock()
	if told := declared(v.im.unpack(n)); len(told) > 0 {
		n.told = told
	}
	return n.told
}

// licences adds what the package's statement says.
func (v *withoutLists) licences(ctx context.Context, p *pkg.Package) {
	m, _ := p.Metadata.(pkg.DpkgDBEntry)
	name := path.Join(docsPath, m.Package, copyrightSuffix)
	i, ok := v.stated[name]
	if !ok {
		return
	}
	l := v.location(i, name)
	for told := range strings.SplitSeq(string(v.node(i).told), "\n") {
		known, ok := v.names[told]
		if !ok {
			known = pkg.NewLicenseWithContext(ctx, told)
			v.names[told] = known
		}
		known.Locations = file.NewLocationSet(l)
		if !known.Empty() {
			p.Licenses.Add(known)
		}
	}
	p.Locations.Add(l.WithAnnotation(pkg.EvidenceAnnotationKey, pkg.SupportingEvidenceAnnotation))
}

// FileContentsByLocation gives lists no content.
func (v *withoutLists) FileContentsByLocation(l file.Location) (io.ReadCloser, error) {
	if p := l.RealPath; strings.HasSuffix(path.Dir(p), infoDirectory) && (strings.HasSuffix(p, md5sumsSuffix) || strings.HasSuffix(p, conffilesSuffix)) {
		v.hidden[v.file(p)] = true
		return inMemory(nil), nil
	}
	return v.resolver.FileContentsByLocation(l)
}

// restore merges the lists into the packages and gives these their new ids, in relations too. False: something is not as expected, and nothing
// of it must be used.
func (v *withoutLists) restore(ctx context.Context, packages []pkg.Package, relations []artifact.Relationship) bool {
	renewed := make(map[artifact.ID]pkg.Package, len(packages))
	for i := range packages {
		p := &packages[i]
		old := p.ID()
		aside, ok := v.merge(p)
		if _, twice := renewed[old]; twice || !ok {
			return false
		}
		v.licences(ctx, p)
		if m, ok := p.Metadata.(pkg.DpkgDBEntry); ok {
			others := uint64(0)
			if aside != none {
				others = v.summary(aside).sum
			}
			p.Metadata = hashed(m, others)
			p.SetID()
			p.Metadata = m
			if aside != none {
				v.lists[p.ID()] = aside
			}
		}
		renewed[old] = *p
	}
	renew := func(i artifact.Identifiable) (artifact.Identifiable, bool) {
		p, ok := i.(pkg.Package)
		if !ok {
			return nil, false
		}
		p, ok = renewed[p.ID()]
		return p, ok
	}
	for i := range relations {
		from, okFrom := renew(relations[i].From)
		to, okTo := renew(relations[i].To)
		if !okFrom || !okTo {
			return false
		}
		relations[i].From, relations[i].To = from, to
	}
	return true
}

// merge adds what the lists of p say to what its entry in the database says. The first to name a path counts. A list of checksums may stay aside: it belongs to the package, and its records
// are not added. False: something is not as expected.
func (v *withoutLists) merge(p *pkg.Package) (aside int32, ok bool) {
	m, ok := p.Metadata.(pkg.DpkgDBEntry)
	if !ok {
		return none, false
	}
	for _, l := range p.Locations.ToUnorderedSlice() {
		if l.Annotations[pkg.EvidenceAnnotationKey] != pkg.PrimaryEvidenceAnnotation {
			continue
		}
		info := path.Dir(l.RealPath)
		sums, conf := info, path.Join(info, "info")
		if !strings.HasSuffix(info, "status.d") {
			sums = conf
		}
		a, b := v.list(sums, m, md5sumsSuffix), v.list(conf, m, conffilesSuffix)
		if a == none && b == none || !v.hidden[a] && !v.hidden[b] {
			return none, true // there are none, or syft has seen them
		}
		if a != none && !v.hidden[a] || b != none && !v.hidden[b] {
			return none, false
		}
		config := v.records(b, configurations)
		if files := joined(m.Files, config); v.lists != nil && a != none {
			if s := v.summary(a); s != nil && s.apart(files) {
				m.Files = files
				p.Metadata = m
				return a, true
			}
		}
		m.Files = joined(joined(m.Files, v.records(a, checksums)), config)
		p.Metadata = m
		return none, true
	}
	return none, false
}

// joined are files and, of more, those of other paths, each once, sorted by path.
func joined(files, more []pkg.DpkgFileRecord) []pkg.DpkgFileRecord {
	if len(more) == 0 {
		return files
	}
	files = slices.Clip(files) // which somebody else has, too
	seen := make(map[string]bool, len(files)+len(more))
	for _, f := range files {
		seen[f.Path] = true
	}
	for _, f := range more {
		if !seen[f.Path] {
			seen[f.Path] = true
			files = append(files, f)
		}
	}
	slices.SortStableFunc(files, func(a, b pkg.DpkgFileRecord) int { return cmp.Compare(a.Path, b.Path) })
	return files
}

// list finds a list by the package's name and architecture, or by its name alone.
func (v *withoutLists) list(dir string, m pkg.DpkgDBEntry, suffix string) int32 {
	if m.Architecture != "" && m.Architecture != "all" {
		if i := v.file(path.Join(dir, m.Package+":"+m.Architecture+suffix)); i != none {
			return i
		}
	}
	return v.file(path.Join(dir, m.Package+suffix))
}

// records reads a list.
func (r *resolver) records(i int32, read func(io.Reader) []pkg.DpkgFileRecord) []pkg.DpkgFileRecord {
	if i == none {
		return nil
	}
	content, err := r.FileContentsByLocation(r.location(i, r.node(i).path))
	if err != nil {
		return nil
	}
	defer content.Close()
	return read(content)
}

// checksums and configurations read such lists line by line, up to a line that is too long.
func checksums(r io.Reader) []pkg.DpkgFileRecord      { return records(r, sumRecord) }
func configurations(r io.Reader) []pkg.DpkgFileRecord { return records(r, confRecord) }

func records(r io.Reader, parse func(string) (pkg.DpkgFileRecord, bool)) (out []pkg.DpkgFileRecord) {
	s := bufio.NewScanner(r)
	for s.Scan() && len(out) < maxFileRecords {
		if f, ok := parse(s.Text()); ok {
			out = append(out, f)
		}
	}
	return out
}

// sumRecord reads a line of a list of checksums (deb-md5sums(5)): "SUM  PATH".
func sumRecord(line string) (pkg.DpkgFileRecord, bool) {
	sum, name, ok := strings.Cut(line, " ")
	if !ok {
		return pkg.DpkgFileRecord{}, false
	}
	return pkg.DpkgFileRecord{Path: rooted(name), Digest: &file.Digest{Algorithm: "md5", Value: strings.TrimSpace(sum)}}, true
}

// confRecord reads a line of a list of configuration files (deb-conffiles(5)): "PATH", or "PATH SUM".
func confRecord(line string) (pkg.DpkgFileRecord, bool) {
	line = strings.Trim(line, " \n")
	if line == "" {
		return pkg.DpkgFileRecord{}, false
	}
	name, sum, ok := strings.Cut(line, " ")
	f := pkg.DpkgFileRecord{Path: rooted(name), IsConfigFile: true}
	if ok {
		f.Digest = &file.Digest{Algorithm: "md5", Value: strings.TrimSpace(sum)}
	}
	return f, true
}

func rooted(name string) string {
	name = strings.TrimSpace(name)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	return name
}
