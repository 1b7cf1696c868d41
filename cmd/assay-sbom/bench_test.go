package main

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// cpu is what this process and the children that it waited for have used.
func cpu() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		_ = syscall.Getrusage(who, &u)
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// BenchmarkRealistic compares, in one run, CPU seconds of: the floor (gunzip and tar), stock syft on the layout, the worker on layers never seen,
// the worker on its layers one by one, on a second image that shares four of them, and on the same image again. ASSAY_PROFILE names a file for a profile of the cold case.
func BenchmarkRealistic(b *testing.B) {
	if layout := os.Getenv("ASSAY_STOCK"); layout != "" { // the child that measures stock syft
		_ = stock(b, b.Context(), layout)
		return
	}
	r := realisticLayout(b)
	measure := func(name string, f func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			start := cpu()
			for range b.N {
				f(b)
			}
			b.ReportMetric((cpu()-start).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
	worker(b) // built before anything is measured
	measure("floor", func(b *testing.B) { floor(b, r.job(b, r.first)) })
	measure("stock", func(b *testing.B) {
		c := exec.Command(os.Args[0], "-test.run", "^$", "-test.bench", "Realistic", "-test.benchtime", "1x")
		c.Env = append(os.Environ(), "ASSAY_STOCK="+filepath.Join(r.dir, "first"))
		if out, err := c.CombinedOutput(); err != nil {
			b.Fatalf("%v %s", err, out)
		}
	})
	measure("cold without views", func(b *testing.B) { r.generate(b, r.first, nil) })
	var views *sbom.Views
	outer := b
	measure("cold", func(b *testing.B) {
		views = newViews(b, outer.TempDir())
		r.generate(b, r.first, views)
	})
	measure("layers ahead", func(b *testing.B) { r.index(b, r.first, views) })
	measure("second image on the same base", func(b *testing.B) {
		b.StopTimer()
		var m struct{ Layers []store.Descriptor }
		if err := json.Unmarshal(r.job(b, r.second).manifest, &m); err != nil {
			b.Fatal(err)
		}
		views.Drop(m.Layers[4].Digest)
		b.StartTimer()
		r.generate(b, r.second, views)
	})
	measure("warm", func(b *testing.B) { r.generate(b, r.first, views) })
}

func newViews(t testing.TB, dir string) *sbom.Views {
	t.Helper()
	v, err := sbom.OpenViews(dir, 0, func() time.Time { return time.Unix(1_700_000_000, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// generate runs the real worker.
func (r *realistic) generate(b *testing.B, d store.Descriptor, views *sbom.Views) {
	w, err := sbom.NewWorker(sbom.WorkerOptions{Path: worker(b), Scratch: b.TempDir(), Views: views})
	if err != nil {
		b.Fatal(err)
	}
	result, err := w.Generate(b.Context(), sbom.Request{
		Repository: "bench/app", Subject: d, Manifest: r.job(b, d).manifest, Formats: []sbom.Format{sbom.SPDX, sbom.CycloneDX},
		Open: r.open,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(result.Summary.Packages), "packages")
}

// index reads the layers of an image ahead, each alone, as they are when they are uploaded.
func (r *realistic) index(b *testing.B, d store.Descriptor, views *sbom.Views) {
	w, err := sbom.NewWorker(sbom.WorkerOptions{Path: worker(b), Scratch: b.TempDir(), Views: views})
	if err != nil {
		b.Fatal(err)
	}
	var m struct{ Layers []store.Descriptor }
	if err := json.Unmarshal(r.job(b, d).manifest, &m); err != nil {
		b.Fatal(err)
	}
	for _, l := range m.Layers {
		views.Drop(l.Digest)
		if err := w.Index(b.Context(), l, r.open); err != nil {
			b.Fatal(err)
		}
	}
}

// open opens a blob.
func (r *realistic) open(_ context.Context, d store.Digest) (*store.Blob, error) {
	f, err := os.Open(filepath.Join(r.dir, "blobs", "sha256", d.Encoded()))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return &store.Blob{Descriptor: store.Descriptor{Digest: d, Size: info.Size()}, ReadSeekCloser: f}, err
}

// floor is the least that must be done: inflate and find the files.
func floor(b *testing.B, j job) {
	im, _, err := newImage(j)
	if err != nil {
		b.Fatal(err)
	}
	for _, l := range im.blobs {
		z, err := gzip.NewReader(bufio.NewReaderSize(io.NewSectionReader(l.content, 0, l.size), 128<<10))
		if err != nil {
			b.Fatal(err)
		}
		for a := tar.NewReader(z); ; {
			if _, err := a.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkGenerate is the cold case in this process, for profiles.
func BenchmarkGenerate(b *testing.B) {
	r := realisticLayout(b)
	ctx, p := prepared(b)
	if name := os.Getenv("ASSAY_PROFILE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			b.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	for range b.N {
		j := r.job(b, r.first)
		j.formats = []sbom.Format{sbom.SPDX, sbom.CycloneDX}
		if _, err := generate(ctx, p, j); err != nil {
			b.Fatal(err)
		}
	}
}
