package vulndb

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// Importer takes what an artifact holds. Implementation: *vulns.Matcher.
type Importer interface {
	Import(ctx context.Context, info vulns.Info, source vulns.Source) (vulns.Delta, error)
	ImportEPSS(ctx context.Context, info vulns.Info, r io.Reader) (vulns.Delta, error)
	ImportKEV(ctx context.Context, info vulns.Info, r io.Reader) (vulns.Delta, error)
	Remove(ctx context.Context, name string) (vulns.Delta, error)
}

var _ Importer = (*vulns.Matcher)(nil)

// The suffixes of the databases that the side files of an artifact become.
const (
	suffixEPSS = ".epss"
	suffixKEV  = ".kev"
)

// Names are the databases that an artifact of this name can become.
func Names(name string) []string { return []string{name, name + suffixEPSS, name + suffixKEV} }

// Artifact is a database that was found to be whole: the digest of its manifest, and its parts by open.
type Artifact struct {
	Digest      store.Digest
	Manifest    *Manifest
	Description *Description
	Open        func(Part) (io.ReadCloser, error)
	MayShrink   bool // take it although it has much fewer advisories than what is installed
}

// Installed are the names of the databases that there are now.
type Installed func(name string) bool

// Install imports the parts of an artifact under the name, side files first: what the database's own entry says is there, is. A part that it no longer has is removed. Errors: those of the importer;
// what was imported before one stays, and is imported again by the next try.
func Install(ctx context.Context, to Importer, a Artifact, name string, installed Installed) (vulns.Delta, error) {
	var all vulns.Delta
	info := vulns.Info{Built: a.Description.Built, Digest: a.Digest, Revision: strconv.FormatUint(a.Description.Revision, 10), MayShrink: a.MayShrink}
	for _, p := range []struct {
		name  string
		part  Part
		count int
		take  func(vulns.Info, io.Reader) (vulns.Delta, error)
	}{
		{name + suffixEPSS, a.Manifest.EPSS, 0, func(i vulns.Info, r io.Reader) (vulns.Delta, error) { return to.ImportEPSS(ctx, i, r) }},
		{name + suffixKEV, a.Manifest.KEV, 0, func(i vulns.Info, r io.Reader) (vulns.Delta, error) { return to.ImportKEV(ctx, i, r) }},
		{name, a.Manifest.Advisories, a.Description.Count, func(i vulns.Info, r io.Reader) (vulns.Delta, error) {
			s, err := vulns.Stream(name, r)
			if err != nil {
				return vulns.Delta{}, err
			}
			return to.Import(ctx, i, s)
		}},
	} {
		delta, err := vulns.Delta{}, error(nil)
		switch info.Name, info.Count = p.name, p.count; {
		case p.part.Digest != "":
			delta, err = installPart(a, p.part, info, p.take)
		case installed(p.name):
			delta, err = to.Remove(ctx, p.name)
		}
		if err != nil {
			return all, err
		}
		all.Added, all.Removed, all.Changed = all.Added+delta.Added, all.Removed+delta.Removed, all.Changed+delta.Changed
	}
	return all, nil
}

func installPart(a Artifact, p Part, info vulns.Info, take func(vulns.Info, io.Reader) (vulns.Delta, error)) (d vulns.Delta, err error) {
	r, err := a.Open(p)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return take(info, r)
}
