package vulndbcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulndb"
)

// databaseReading reads the advisories of all files of a database, one file after the other. open begins anew.
type databaseReading struct {
	d       *database
	worker  string
	closers []func() error
	now     *databaseFile // that the last record is from
}

func (r *databaseReading) open(ctx context.Context) (osv.Source, error) {
	if err := r.close(); err != nil {
		return nil, err
	}
	var all []osv.Source
	for i := range r.d.sources {
		f := &r.d.sources[i]
		if f.kind != vulndb.KindOSV && f.kind != vulndb.KindGrype {
			continue
		}
		s, err := r.source(ctx, f)
		if err != nil {
			return nil, err
		}
		f.origin.Count, f.spoken = 0, map[string]bool{}
		if f.kind == vulndb.KindOSV {
			f.origin.Built = time.Time{}
		}
		all = append(all, &counted{s, r, f})
	}
	return osv.Join(all...), nil
}

func (r *databaseReading) close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c())
	}
	r.closers = nil
	return errors.Join(errs...)
}

func (r *databaseReading) source(ctx context.Context, f *databaseFile) (osv.Source, error) {
	if f.kind == vulndb.KindGrype {
		return r.grype(ctx, f)
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		all := osv.Tree(os.DirFS(f.path))
		r.closers = append(r.closers, all.Close)
		return all, nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, file.Close)
	return osv.Open(f.origin.Name, file, info.Size())
}

// grype has a worker write the advisories of a database of grype. It begins when the first is asked for, so that one worker runs at a time.
func (r *databaseReading) grype(ctx context.Context, f *databaseFile) (osv.Source, error) {
	w, err := grypeWorker(r.worker)
	if err != nil {
		return nil, err
	}
	s := &grypeSource{ended: make(chan struct{}), stop: func() {}}
	ctx, cancel := context.WithCancel(ctx)
	s.begin = func() (osv.Source, error) {
		in, out := io.Pipe()
		s.stop = func() {
			cancel()
			in.CloseWithError(context.Canceled)
			<-s.ended
		}
		go func() {
			defer close(s.ended)
			report, err := w.Grype(ctx, f.path, sbom.GrypeAdvisories, out)
			if err == nil {
				f.origin.Built, r.d.grype[f.path] = report.Built, report
			} else if ctx.Err() == nil {
				s.failed = fmt.Errorf("%s: %w", f.path, err)
			}
			out.CloseWithError(err)
		}()
		return osv.Stream(f.origin.Name, in)
	}
	r.closers = append(r.closers, func() error {
		cancel()
		s.stop()
		return nil
	})
	return s, nil
}

// grypeSource is what a worker writes.
type grypeSource struct {
	osv.Source
	begin  func() (osv.Source, error)
	stop   func() // returns when the worker has ended
	ended  chan struct{}
	failed error // why the worker failed; to be read when it has ended
}

// Next is [osv.Source].
func (s *grypeSource) Next() (e osv.Entry, err error) {
	if s.Source == nil {
		s.Source, err = s.begin()
	}
	if err == nil {
		e, err = s.Source.Next()
	}
	if err != nil && err != io.EOF {
		if s.stop(); s.failed != nil { // what it wrote so far is no matter
			return e, s.failed
		}
	}
	return e, err
}

// Whole is [osv.Source]: the worker's end says that all was written.
func (s *grypeSource) Whole() bool { return true }

// see notes what a record tells of the file that it is from. A database of grype says itself when it was made.
func (r *databaseReading) see(modified time.Time, ecosystems []string) {
	f := r.now
	if f.kind == vulndb.KindOSV {
		f.origin.Built = later(f.origin.Built, modified)
	}
	for _, name := range ecosystems {
		f.spoken[name] = true
	}
}

// counted counts the records of a source, and says whose they are.
type counted struct {
	osv.Source
	r *databaseReading
	f *databaseFile
}

// Next is [osv.Source].
func (c *counted) Next() (osv.Entry, error) {
	e, err := c.Source.Next()
	if err == nil {
		c.f.origin.Count++
		c.r.now = c.f
	}
	return e, err
}
