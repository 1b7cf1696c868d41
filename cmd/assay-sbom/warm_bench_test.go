package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"

	"github.com/assay-registry/assay/sbom"
)

// BenchmarkWarm is the warm case, layers read ahead, in this process, for profiles: ASSAY_PROFILE names a file for one.
func BenchmarkWarm(b *testing.B) {
	r := realisticLayout(b)
	ctx, p := prepared(b)
	j := r.job(b, r.first)
	im, _, err := newImage(j)
	if err != nil {
		b.Fatal(err)
	}
	var views []layerView
	for _, l := range im.blobs {
		view, alone, err := indexLayer(ctx, p, l, j.limits)
		if err != nil {
			b.Fatal(err)
		}
		view = append(view, findInFiles(ctx, alone)...)
		views = append(views, layerView{stored: bytes.NewReader(view), size: int64(len(view))})
	}
	runtime.GC()
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
	start := cpu()
	for b.Loop() {
		j := r.job(b, r.first)
		j.formats, j.views = []sbom.Format{sbom.SPDX, sbom.CycloneDX}, views
		if _, err := generate(ctx, p, j); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpu()-start).Seconds()/float64(b.N), "cpu-s/op")
}
