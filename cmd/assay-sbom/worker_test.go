package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// opener serves a picture's blobs: as files if dir is set, else from memory.
func opener(t *testing.T, p *picture, dir string) func(context.Context, store.Digest) (*store.Blob, error) {
	return func(_ context.Context, d store.Digest) (*store.Blob, error) {
		b, ok := p.blobs[d]
		if !ok {
			return nil, store.Errorf(store.CodeBlobUnknown, "the blob is not here")
		}
		out := &store.Blob{Descriptor: store.Descriptor{Digest: d, Size: int64(len(b))}}
		if dir == "" {
			out.ReadSeekCloser = inMemory(b)
			return out, nil
		}
		f, err := os.Open(filepath.Join(dir, "blobs", "sha256", d.Encoded()))
		out.ReadSeekCloser = f
		return out, err
	}
}

func request(t *testing.T, p *picture, dir string, formats ...sbom.Format) sbom.Request {
	j := p.finish(t)
	return sbom.Request{Repository: "acme/app", Subject: j.subject, Manifest: j.manifest, Formats: formats, Open: opener(t, p, dir)}
}

func newWorker(t *testing.T, o sbom.WorkerOptions) (*sbom.Worker, string) {
	t.Helper()
	if o.Path == "" {
		o.Path = worker(t)
	}
	o.Scratch = t.TempDir()
	w, err := sbom.NewWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	return w, o.Scratch
}

func left(t *testing.T, scratch string) {
	t.Helper()
	entries, err := os.ReadDir(scratch)
	if err != nil || len(entries) > 0 {
		t.Errorf("temporary files remain: %v %v", entries, err)
	}
}

// TestWorkerMakesDocuments compares the sandboxed child with the generator in this process, for blobs in files and in memory. Java archives and
// the RPM database need the scratch directory.
func TestWorkerMakesDocuments(t *testing.T) {
	large := regular("srv/data", strings.Repeat("0123456789abcdef", 200_000))
	p := newPicture().layer(t, debian(3)...).layer(t, languages(t)...)
	plain := pack(t, large)
	p.add("application/vnd.oci.image.layer.v1.tar", plain, plain)
	want, err := generateOne(t, p.finish(t))
	if err != nil {
		t.Fatal(err)
	}
	w, scratch := newWorker(t, sbom.WorkerOptions{})
	for name, dir := range map[string]string{"files": p.save(t, p.finish(t)), "memory": ""} {
		got, err := w.Generate(t.Context(), request(t, p, dir, sbom.SPDX, sbom.CycloneDX))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(got.Documents) != 2 || got.Documents[0].Format != sbom.SPDX || !bytes.Equal(got.Documents[0].Bytes, want.documents[0]) ||
			!bytes.Equal(got.Documents[1].Bytes, want.documents[1]) {
			t.Errorf("%s: the child's documents differ: %s", name, firstDifference(want.documents[0], got.Documents[0].Bytes))
		}
		if got.Summary.Packages != want.summary.Packages || got.Summary.DiffIDs != "match" {
			t.Errorf("%s: summary %+v, want %+v", name, got.Summary, want.summary)
		}
		left(t, scratch)
	}
}

// TestD9_WorkerGivesReasons checks that a hostile layer is a final reason, with the worker's own limits.
func TestD9_WorkerGivesReasons(t *testing.T) {
	w, scratch := newWorker(t, sbom.WorkerOptions{})
	for i, h := range hostiles(t) {
		if i%5 != 0 { // TestD9_HostileLayers runs them all
			continue
		}
		result, err := w.Generate(t.Context(), request(t, h.picture, ""))
		switch {
		case h.want == "" && (err != nil || !slices.Contains(result.Summary.ByType, store.Count{Name: "apk", N: 2})):
			t.Errorf("%s: %v %+v", h.name, err, result)
		case h.want != "" && (err == nil || errors.Is(err, sbom.ErrRetry) || !strings.Contains(err.Error(), h.want)):
			t.Errorf("%s: %v, want a final reason with %q", h.name, err, h.want)
		}
	}
	left(t, scratch)
}

func TestWorkerRefuses(t *testing.T) {
	w, _ := newWorker(t, sbom.WorkerOptions{})
	missing := newPicture().layer(t, alpine()...)
	r := request(t, missing, "")
	delete(missing.blobs, missing.manifest.Layers[0].Digest)
	if _, err := w.Generate(t.Context(), r); err == nil || errors.Is(err, sbom.ErrRetry) || !strings.Contains(err.Error(), "not stored here") {
		t.Errorf("a missing layer: %v", err)
	}
	other := newPicture().layer(t, alpine()...)
	r = request(t, other, "")
	r.Manifest = bytes.Replace(r.Manifest, []byte("application/vnd.oci.image.config.v1+json"), []byte("application/vnd.cncf.helm.config.v1+json"), 1)
	if _, err := w.Generate(t.Context(), r); err == nil || errors.Is(err, sbom.ErrRetry) || !strings.Contains(err.Error(), "no container image") {
		t.Errorf("an artifact: %v", err)
	}
	r = request(t, other, "", "text")
	if _, err := w.Generate(t.Context(), r); err == nil || errors.Is(err, sbom.ErrRetry) {
		t.Errorf("an unknown format: %v", err)
	}
}

// TestD10_KilledWorkerIsRetried covers the ways in which a worker does not finish.
func TestD10_KilledWorkerIsRetried(t *testing.T) {
	script := func(body string) string {
		path := filepath.Join(t.TempDir(), "assay-sbom")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name, want string
		options    sbom.WorkerOptions
	}{
		{"killed", "killed", sbom.WorkerOptions{Path: script(`echo x > "$TMPDIR/left"; kill -KILL $$`)}},
		{"crashed", "exit status 2", sbom.WorkerOptions{Path: script("echo 'fatal error: boom' >&2; exit 2")}},
		{"out of memory", "memory", sbom.WorkerOptions{Path: script("echo 'fatal error: runtime: out of memory' >&2; exit 2")}},
		{"silent", "without an answer", sbom.WorkerOptions{Path: script("exit 0")}},
		{"talkative", "", sbom.WorkerOptions{Path: script("while :; do echo nonsense; done")}},
		{"too slow", "longer than", sbom.WorkerOptions{Path: script(`echo x > "$TMPDIR/left"; sleep 1000 & sleep 1000`), Timeout: 300 * time.Millisecond}},
		{"too little memory", "", sbom.WorkerOptions{Memory: 24 << 20}},
		{"too many files", "temporary files", sbom.WorkerOptions{Path: script(`head -c 3000000 /dev/zero > "$TMPDIR/big"; sleep 1000`), MaxScratch: 1 << 20}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, scratch := newWorker(t, c.options)
			_, err := w.Generate(t.Context(), request(t, newPicture().layer(t, alpine()...), ""))
			if !errors.Is(err, sbom.ErrRetry) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want one to retry with %q", err, c.want)
			}
			left(t, scratch)
		})
	}
}

// TestWorkerEndsWithItsCaller checks that the caller's context ends the child.
func TestWorkerEndsWithItsCaller(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "assay-sbom")
	if err := os.WriteFile(fifo, []byte("#!/bin/sh\nsleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w, scratch := newWorker(t, sbom.WorkerOptions{Path: fifo})
	ctx, cancel := context.WithCancel(t.Context())
	r := request(t, newPicture().layer(t, alpine()...), "")
	open := r.Open
	r.Open = func(ctx context.Context, d store.Digest) (*store.Blob, error) {
		time.AfterFunc(100*time.Millisecond, cancel)
		return open(ctx, d)
	}
	if _, err := w.Generate(ctx, r); !errors.Is(err, sbom.ErrRetry) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	left(t, scratch)
}

func TestNewWorkerSweepsAndRefuses(t *testing.T) {
	scratch := t.TempDir()
	dead := filepath.Join(scratch, "assay-sbom-999999999-x")
	mine := filepath.Join(scratch, "assay-sbom-1-x")
	for _, d := range []string{dead, mine, filepath.Join(scratch, "other")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sbom.NewWorker(sbom.WorkerOptions{Path: "/bin/sh", Scratch: scratch}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("what a dead process left is still there")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error("the directory of a living process is gone")
	}
	if _, err := sbom.NewWorker(sbom.WorkerOptions{Path: filepath.Join(scratch, "none")}); err == nil {
		t.Error("a program that does not exist was accepted")
	}
}

// TestByHand runs the command line.
func TestByHand(t *testing.T) {
	p := newPicture().layer(t, alpine()...)
	j := p.finish(t)
	layout := p.save(t, j)
	views := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string
	}{
		{"spdx", []string{"--layout", layout}, exitOK, `"spdxVersion":"SPDX-2.3"`},
		{"cyclonedx", []string{"--layout", layout, string(j.subject.Digest), "-o", "cyclonedx-json"}, exitOK, `"bomFormat":"CycloneDX"`},
		{"oci:", []string{"--format", "spdx-json", "oci:" + layout, "--view", views}, exitOK, `"spdxVersion":"SPDX-2.3"`},
		{"from views", []string{"--view", views, "oci:" + layout + "@" + string(j.subject.Digest)}, exitOK, `"spdxVersion":"SPDX-2.3"`},
		{"oci: and --layout", []string{"--layout", layout, "oci:" + layout}, exitUsage, ""},
		{"a name that is not there", []string{"oci:" + layout + ":v9"}, exitInternal, ""},
		{"a registry that nobody runs", []string{"127.0.0.1:1/app:v1"}, exitInternal, ""},
		{"no registry", []string{"app:v1"}, exitUsage, ""},
		{"version", []string{"version"}, exitOK, "assay-sbom-"},
		{"no layout", nil, exitUsage, ""},
		{"unknown format", []string{"--layout", layout, "-o", "text"}, exitUsage, ""},
		{"no such image", []string{"--layout", layout, "v9"}, exitInternal, ""},
		{"help", []string{"-h"}, exitOK, ""},
	} {
		var out, errs bytes.Buffer
		code := run(c.args, strings.NewReader(""), &out, &errs)
		if code != c.code || !strings.Contains(out.String(), c.out) {
			t.Errorf("%s: exit %d, %.100s %s", c.name, code, out.String(), errs.String())
		}
		if code != exitOK && errs.Len() == 0 {
			t.Errorf("%s: no word about what is wrong", c.name)
		}
	}
}
