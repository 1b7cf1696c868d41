package vulndbcmd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulndb"
	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// buildOptions say what a database is made of.
type buildOptions struct {
	name, revision, built, worker string
	from                          []string
}

// The limits of a worker that reads a database of grype, which is larger than any image.
const (
	grypeMemory  = 1 << 30
	grypeScratch = 8 << 30
	grypeTime    = 30 * time.Minute
)

// database is an artifact that was made: its parts lie in files.
type database struct {
	description *vulndb.Description
	manifest    []byte
	config      []byte
	parts       vulndb.Manifest
	files       map[store.Digest]*os.File
	dir         string
	sources     []databaseFile // in the order given
	grype       map[string]*sbom.GrypeReport
	newest      time.Time // of advisories
	sideTime    time.Time // of scores and catalogues
}

// databaseFile is one file that a database is made of.
type databaseFile struct {
	path   string
	kind   vulndb.Kind
	origin vulndb.Origin
	spoken map[string]bool // ecosystems of its advisories
}

// close removes what was made.
func (d *database) close() error {
	var errs []error
	for _, f := range d.files {
		errs = append(errs, f.Close())
	}
	return cli.JoinErrors(append(errs, os.RemoveAll(d.dir))...)
}

func (d *database) digest() store.Digest { return store.DigestOf(digest.SHA256, d.manifest) }

// buildDatabase makes an artifact of files.
func buildDatabase(a *cli.App, ctx context.Context, o *buildOptions) (d *database, err error) {
	d = &database{files: map[store.Digest]*os.File{}, grype: map[string]*sbom.GrypeReport{}, description: &vulndb.Description{Name: o.name}}
	if d.dir, err = os.MkdirTemp("", "assay-vulndb-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d, err = nil, cli.JoinErrors(err, d.close())
		}
	}()
	if d.sources, err = databaseFiles(a, o.from); err != nil {
		return d, err
	}
	if err := vulndb.CheckName(o.name); err != nil {
		return d, cli.Usage("--name: %s", cli.Sentence(err))
	}
	for _, make := range []func(context.Context, *buildOptions) error{d.makeAdvisories, d.makeScores, d.makeExploited} {
		if err := make(ctx, o); err != nil {
			return d, err
		}
	}
	if err := d.date(o, a.Clock()); err != nil {
		return d, err
	}
	for _, f := range d.sources {
		f.origin.Ecosystems = slices.Sorted(maps.Keys(f.spoken))
		if o.built != "" && f.spoken != nil { // whoever makes it knows better, of all of it
			f.origin.Built = d.description.Built
		}
		d.description.Sources = append(d.description.Sources, f.origin)
	}
	return d, d.seal()
}

// seal writes config and manifest.
func (d *database) seal() (err error) {
	if d.config, d.parts.Config, err = d.description.Encode(); err != nil {
		return err
	}
	d.manifest, err = d.parts.Encode(d.description.Built)
	return err
}

// date finds out when the data was current, and numbers it. A file may claim a change in the future; that counts for nothing.
func (d *database) date(o *buildOptions, now time.Time) (err error) {
	d.description.Built = d.newest
	if d.newest.IsZero() {
		d.description.Built = d.sideTime
	}
	if o.built != "" {
		if d.description.Built, err = time.Parse(time.RFC3339, o.built); err != nil {
			return cli.Usage("--built is no time; write one such as %s", now.UTC().Format(time.RFC3339))
		}
	}
	d.description.Built = d.description.Built.UTC().Truncate(time.Second)
	switch {
	case d.description.Built.IsZero():
		return cli.Usage("no file says when it was made; say it with --built")
	case d.description.Built.After(now.Add(24 * time.Hour)):
		return cli.Usage("the newest change in the files is in the future (%s); say with --built when the data was current", cli.Moment(d.description.Built))
	}
	d.description.Revision = uint64(d.description.Built.Unix())
	if o.revision != "" {
		if d.description.Revision, err = strconv.ParseUint(o.revision, 10, 63); err != nil || d.description.Revision == 0 {
			return cli.Usage("--revision is a number of 1 and up")
		}
	}
	return nil
}

// databaseFiles finds out what the files are.
func databaseFiles(a *cli.App, from []string) ([]databaseFile, error) {
	if len(from) == 0 {
		return nil, cli.Usage("--from is missing: name the files that the database is made of")
	}
	var list []databaseFile
	for _, name := range from {
		f := databaseFile{path: name}
		for _, k := range []vulndb.Kind{vulndb.KindOSV, vulndb.KindGrype, vulndb.KindEPSS, vulndb.KindKEV} {
			if rest, ok := strings.CutPrefix(name, string(k)+":"); ok {
				f.kind, f.path = k, rest
			}
		}
		f.path = a.Path(f.path)
		info, err := os.Stat(f.path)
		if err != nil {
			return nil, err
		}
		f.origin = vulndb.Origin{Name: filepath.Base(f.path)}
		if info.IsDir() {
			f.kind = vulndb.KindOSV
		} else if err := f.look(); err != nil {
			return nil, err
		}
		f.origin.Kind = f.kind
		list = append(list, f)
	}
	return list, nil
}

// look sums a file, and tells what it is.
func (f *databaseFile) look() (err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer func() { err = cli.JoinErrors(err, file.Close()) }()
	if f.kind == "" {
		if f.kind, err = vulndb.Detect(f.path, file); err != nil {
			return err
		}
		if f.kind == vulndb.KindBuilt {
			return cli.Usage("%s is a database already; import or push it alone", f.path)
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return err
	}
	f.origin.Digest = digest.NewDigest(digest.SHA256, h)
	return nil
}

// partFile is a part on its way into a file.
type partFile struct {
	*os.File
	hash hash.Hash
	size int64
}

func (d *database) newPart() (*partFile, error) {
	f, err := os.CreateTemp(d.dir, "part-*")
	if err != nil {
		return nil, err
	}
	return &partFile{File: f, hash: sha256.New()}, nil
}

// Write writes and sums.
func (p *partFile) Write(b []byte) (int, error) {
	n, err := p.File.Write(b)
	p.hash.Write(b[:n])
	if p.size += int64(n); err == nil && p.size > vulndb.MaxLayer {
		err = store.Errorf(store.CodeInvalid, "the database has more than %d bytes; make several of it", int64(vulndb.MaxLayer))
	}
	return n, err
}

// keep takes a part into the artifact.
func (d *database) keep(p *partFile, mediaType string) vulndb.Part {
	part := vulndb.Part{MediaType: mediaType, Digest: digest.NewDigest(digest.SHA256, p.hash), Size: p.size}
	d.files[part.Digest] = p.File
	return part
}

// makeAdvisories merges the advisories of all files.
func (d *database) makeAdvisories(ctx context.Context, o *buildOptions) error {
	any := false
	for _, f := range d.sources {
		any = any || f.kind == vulndb.KindOSV || f.kind == vulndb.KindGrype
	}
	if !any {
		return nil
	}
	var part *partFile
	reading := &databaseReading{d: d, worker: o.worker}
	written, err := vulndb.WriteAdvisories(ctx, func() (osv.Source, error) { return reading.open(ctx) }, func() (_ io.Writer, err error) {
		if part != nil {
			err = cli.JoinErrors(part.Close(), os.Remove(part.Name()))
		}
		if err == nil {
			part, err = d.newPart()
		}
		return part, err
	}, reading.see)
	err = cli.JoinErrors(err, reading.close())
	if err != nil {
		if part != nil {
			err = cli.JoinErrors(err, part.Close())
		}
		return err
	}
	if written.Count == 0 {
		return cli.JoinErrors(store.Errorf(store.CodeInvalid, "the files hold no advisory"), part.Close())
	}
	d.parts.Advisories = d.keep(part, vulndb.TypeAdvisories)
	d.description.Count = written.Count
	d.newest = written.Newest
	for _, r := range d.grype {
		d.newest = later(d.newest, r.Built)
		for reason, n := range r.LeftOut {
			if d.description.LeftOut == nil {
				d.description.LeftOut = map[string]int{}
			}
			d.description.LeftOut[reason] += n
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// side makes the part of one side file: of a file of that kind, else of what a database of grype has.
func (d *database) side(ctx context.Context, o *buildOptions, kind vulndb.Kind, grypePart, mediaType string, write func(string, io.Reader, io.Writer) (int, time.Time, error)) (vulndb.Part, int, error) {
	var chosen *databaseFile
	for i := range d.sources {
		f := &d.sources[i]
		switch {
		case f.kind == kind && chosen != nil && chosen.kind == kind:
			return vulndb.Part{}, 0, cli.Usage("%s and %s are of the same kind, %s, of which there can be one", path.Base(chosen.path), path.Base(f.path), kind)
		case f.kind == kind, f.kind == vulndb.KindGrype && chosen == nil:
			chosen = f
		}
	}
	if chosen == nil {
		return vulndb.Part{}, 0, nil
	}
	from, err := openSide(ctx, o.worker, chosen, grypePart)
	if err != nil {
		return vulndb.Part{}, 0, err
	}
	defer from.Close()
	if info, err := from.Stat(); err == nil && info.Size() == 0 && chosen.kind == vulndb.KindGrype {
		return vulndb.Part{}, 0, nil // an older database of grype has none
	}
	part, err := d.newPart()
	if err != nil {
		return vulndb.Part{}, 0, err
	}
	n, built, err := write(chosen.path, from, part)
	if err != nil {
		return vulndb.Part{}, 0, cli.JoinErrors(err, part.Close())
	}
	if chosen.kind == kind {
		chosen.origin.Count, chosen.origin.Built = n, built
		d.sideTime = later(d.sideTime, built)
	}
	return d.keep(part, mediaType), n, nil
}

func (d *database) makeScores(ctx context.Context, o *buildOptions) (err error) {
	d.parts.EPSS, d.description.Scores, err = d.side(ctx, o, vulndb.KindEPSS, sbom.GrypeEPSS, vulndb.TypeEPSS, vulndb.WriteEPSS)
	return err
}

func (d *database) makeExploited(ctx context.Context, o *buildOptions) (err error) {
	d.parts.KEV, d.description.Exploits, err = d.side(ctx, o, vulndb.KindKEV, sbom.GrypeKEV, vulndb.TypeKEV, vulndb.WriteKEV)
	return err
}

// openSide opens a side file, or has the one in a database of grype written.
func openSide(ctx context.Context, worker string, f *databaseFile, grypePart string) (*os.File, error) {
	if f.kind != vulndb.KindGrype {
		return os.Open(f.path)
	}
	w, err := grypeWorker(worker)
	if err != nil {
		return nil, err
	}
	out, err := os.CreateTemp("", "assay-vulndb-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(out.Name()); err != nil {
		return nil, cli.JoinErrors(err, out.Close())
	}
	if _, err := w.Grype(ctx, f.path, grypePart, out); err != nil {
		return nil, cli.JoinErrors(fmt.Errorf("%s: %w", f.path, err), out.Close())
	}
	_, err = out.Seek(0, io.SeekStart)
	return out, err
}

func grypeWorker(path string) (*sbom.Worker, error) {
	w, err := sbom.NewWorker(sbom.WorkerOptions{Path: path, Memory: grypeMemory, Timeout: grypeTime, MaxOutput: osv.MaxSource, Scratch: os.TempDir(), MaxScratch: grypeScratch})
	if err != nil {
		return nil, fmt.Errorf("databases of grype are read by assay-sbom: %w", err)
	}
	return w, nil
}
