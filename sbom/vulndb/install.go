package vulndb

import (
	"context"
	"io"
	"strconv"

	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// Importer takes what an artifact holds. Implementation: *vulns.Matcher.
type Importer interface {
	Import(ctx context.Context, info vulns.Info, source osv.Source) (vulns.Delta, error)
	ImportEPSS(ctx context.Context, info vulns.Info, r io.Reader) (vulns.Delta, error)
	ImportKEV(ctx context.Context, info vulns.Info, r io.Reader) (vulns.Delta, error)
	Remove(ctx context.Context, name string) (vulns.Delta, error)
}

var _ Importer = (*vulns.Matcher)(nil)

// The names under which side files are installed. There is one of each kind: of several databases that bring scores, the newest counts.
const (
	NameEPSS = "epss"
	NameKEV  = "kev"
)

// Artifact is a database that was found to be whole: the digest of its manifest, and its parts by open.
type Artifact struct {
	Digest      store.Digest
	Manifest    *Manifest
	Description *Description
	Open        func(Part) (io.ReadCloser, error)
	MayShrink   bool // take it although it has much fewer advisories than what is installed
}

// Install imports the parts of an artifact under the name, side files first: what the database's own entry says is there, is. A side file that is older than the installed one is passed over. A part
// that it no longer has, and that owned says came from the database before, is removed. The delta is that of the advisories. Errors: those of the importer; what was imported before one stays, and is
// imported again by the next try; CodeInvalid for an artifact without advisories in the place of one that has some.
func Install(ctx context.Context, to Importer, a Artifact, name string, owned func(name string) bool) (vulns.Delta, error) {
	var last vulns.Delta
	if a.Manifest.Advisories.Digest == "" && !a.MayShrink && owned(name) {
		return last, store.Errorf(store.CodeInvalid, "this artifact has no advisories, and the database %s that is installed has some: images would be free of what it knew; if it may shrink so much, say so", name)
	}
	var sources []vulns.Source
	for _, o := range a.Description.Sources {
		if len(o.Ecosystems) > 0 {
			sources = append(sources, vulns.Source{Name: o.Name, Built: o.Built, Ecosystems: o.Ecosystems})
		}
	}
	info := vulns.Info{Built: a.Description.Built, Digest: a.Digest, Revision: strconv.FormatUint(a.Description.Revision, 10), MayShrink: a.MayShrink}
	for _, p := range []struct {
		name  string
		part  Part
		count int
		take  func(vulns.Info, io.Reader) (vulns.Delta, error)
	}{
		{NameEPSS, a.Manifest.EPSS, 0, func(i vulns.Info, r io.Reader) (vulns.Delta, error) { return to.ImportEPSS(ctx, i, r) }},
		{NameKEV, a.Manifest.KEV, 0, func(i vulns.Info, r io.Reader) (vulns.Delta, error) { return to.ImportKEV(ctx, i, r) }},
		{name, a.Manifest.Advisories, a.Description.Count, func(i vulns.Info, r io.Reader) (vulns.Delta, error) {
			s, err := osv.Stream(name, r)
			if err != nil {
				return vulns.Delta{}, err
			}
			i.Sources = sources
			return to.Import(ctx, i, s)
		}},
	} {
		delta, err := vulns.Delta{}, error(nil)
		switch info.Name, info.Count = p.name, p.count; {
		case p.part.Digest != "":
			delta, err = installPart(a, p.part, info, p.take)
		case owned(p.name):
			delta, err = to.Remove(ctx, p.name)
		}
		if p.name != name && store.CodeOf(err) == store.CodeConflict {
			continue
		}
		if err != nil {
			return last, err
		}
		last = delta
	}
	return last, nil
}

func installPart(a Artifact, p Part, info vulns.Info, take func(vulns.Info, io.Reader) (vulns.Delta, error)) (d vulns.Delta, err error) {
	r, err := a.Open(p)
	if err != nil {
		return d, err
	}
	defer func() {
		if closed := r.Close(); err == nil {
			err = closed
		}
	}()
	return take(info, r)
}
