package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"

	"github.com/assay-registry/assay/sbom"
)

// BenchmarkWarm is the warm case in this process, for profiles: ASSAY_PROFILE names a file for one.
func BenchmarkWarm(b *testing.B) {
	r := realisticLayout(b)
	ctx, p := prepared(b)
	j := r.job(b, r.first)
	j.formats = []sbom.Format{sbom.SPDX, sbom.CycloneDX}
	views := make([]layerView, len(j.layers))
	j.views = make([]layerView, len(j.layers))
	for i := range j.views {
		j.views[i].wanted = true
	}
	j.emit = func(i int, v []byte) error {
		views[i] = layerView{stored: bytes.NewReader(bytes.Clone(v)), size: int64(len(v))}
		return nil
	}
	if _, err := generate(ctx, p, j); err != nil {
		b.Fatal(err)
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
