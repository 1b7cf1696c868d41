package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// regular, program, dir, link, hard and gone make entries of a layer under construction.
func regular(name, content string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}, content}
}
func program(name, content string) entry {
	e := regular(name, content)
	e.header.Mode = 0o755
	return e
}
func dir(name string) entry {
	return entry{tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}
func link(name, to string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}, ""}
}
func hard(name, to string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}, ""}
}
func gone(name string) entry {
	d, b := filepath.Split(name)
	return regular(d+".wh."+b, "")
}

type entry struct {
	header  tar.Header
	content string
}

// pack makes an uncompressed layer.
func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e.header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

// picture is an image under construction.
type picture struct {
	manifest ocispec.Manifest
	blobs    map[store.Digest][]byte
	diffIDs  []store.Digest
}

func newPicture() *picture { return &picture{blobs: map[store.Digest][]byte{}} }

func (p *picture) blob(mediaType string, b []byte) store.Descriptor {
	d := store.DigestOf(digest.SHA256, b)
	p.blobs[d] = b
	return store.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

// add appends a layer: its stored form and its uncompressed one.
func (p *picture) add(mediaType string, stored, plain []byte) *picture {
	p.manifest.Layers = append(p.manifest.Layers, p.blob(mediaType, stored))
	p.diffIDs = append(p.diffIDs, store.DigestOf(digest.SHA256, plain))
	return p
}

func (p *picture) layer(t testing.TB, entries ...entry) *picture {
	plain := pack(t, entries...)
	return p.add(ocispec.MediaTypeImageLayerGzip, gzipped(t, plain), plain)
}

// finish writes configuration and manifest and returns the job and the manifest's bytes.
func (p *picture) finish(t testing.TB) job {
	t.Helper()
	created := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	config := ocispec.Image{Created: &created, Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: p.diffIDs}
	c, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	p.manifest.Versioned = specs.Versioned{SchemaVersion: 2}
	p.manifest.MediaType = ocispec.MediaTypeImageManifest
	p.manifest.Config = p.blob(ocispec.MediaTypeImageConfig, c)
	m, err := json.Marshal(p.manifest)
	if err != nil {
		t.Fatal(err)
	}
	j := job{
		repository: "acme/app", subject: p.blob(ocispec.MediaTypeImageManifest, m), manifest: m, config: c,
		formats: []sbom.Format{sbom.SPDX, sbom.CycloneDX}, limits: defaultLimits(512 << 20),
	}
	for _, l := range p.manifest.Layers {
		j.layers = append(j.layers, bytes.NewReader(p.blobs[l.Digest]))
	}
	return j
}

// save writes an OCI image layout.
func (p *picture) save(t testing.TB, j job) string {
	t.Helper()
	root := t.TempDir()
	write := func(name string, b []byte) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for d, b := range p.blobs {
		write("blobs/sha256/"+d.Encoded(), b)
	}
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []store.Descriptor{j.subject}})
	if err != nil {
		t.Fatal(err)
	}
	write("index.json", index)
	write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return root
}

// debian is a base layer of n packages, as dpkg leaves them.
func debian(n int) []entry {
	var status strings.Builder
	entries := []entry{
		regular("etc/debian_version", "12.5\n"), dir("var/lib/dpkg"),
		regular("usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\nNAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"),
		link("etc/os-release", "../usr/lib/os-release"), link("lib", "usr/lib"), dir("usr/lib"),
	}
	for i := range n {
		name := fmt.Sprintf("libthing%d", i)
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.%d-2\nSource: things\nMaintainer: A <a@example.com>\nInstalled-Size: 12\nDepends: libthing0\nConffiles:\n /etc/%s.conf 8f30b1a1bc4ad1b1c7e4e5a1a7e1a111\nDescription: a thing\n of sorts\n\n", name, i, name)
		path := "usr/lib/x86_64-linux-gnu/" + name + ".so.1"
		entries = append(entries,
			regular("usr/share/doc/"+name+"/copyright", "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: "+[]string{"MIT", "GPL-2.0-or-later", "Apache-2.0"}[i%3]+"\n"),
			regular("var/lib/dpkg/info/"+name+".md5sums", "d41d8cd98f00b204e9800998ecf8427e  "+path+"\n"),
			regular("var/lib/dpkg/info/"+name+".conffiles", "/etc/"+name+".conf\n"),
			regular(path, "not really a library"))
	}
	return append(entries, regular("var/lib/dpkg/status", status.String()))
}

func alpine() []entry {
	return []entry{
		regular("etc/os-release", "ID=alpine\nVERSION_ID=3.20.1\nNAME=\"Alpine Linux\"\n"), regular("etc/alpine-release", "3.20.1\n"),
		regular("etc/apk/repositories", "https://dl-cdn.alpinelinux.org/alpine/v3.20/main\n"),
		regular("lib/apk/db/installed", "C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nS:1\nI:2\nT:the musl c library\nU:https://musl.libc.org/\nL:MIT\no:musl\nm:T <t@example.com>\nt:1\nc:abc\nF:lib\nR:ld-musl-x86_64.so.1\n\nC:Q1def=\nP:busybox\nV:1.36.1-r29\nA:x86_64\nS:1\nI:2\nT:tools\nU:https://busybox.net/\nL:GPL-2.0-only\no:busybox\nm:T <t@example.com>\nt:1\nc:abc\nD:so:libc.musl-x86_64.so.1\nF:bin\nR:busybox\n\n"),
		program("bin/busybox", "#!/bin/sh\n"), link("bin/sh", "/bin/busybox"),
	}
}

func languages(t testing.TB) []entry {
	return []entry{
		regular("app/node_modules/left-pad/package.json", `{"name":"left-pad","version":"1.3.0","license":"WTFPL","author":"x","homepage":"https://example.com"}`),
		dir("app/node_modules/quiet"), // stock syft looks for licences only in directories that have an entry of their own
		regular("app/node_modules/quiet/package.json", `{"name":"quiet","version":"2.0.0"}`),
		regular("app/node_modules/quiet/LICENSE", mitText),
		regular("usr/lib/python3/dist-packages/requests-2.31.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\nLicense: Apache-2.0\nAuthor: K\n"),
		regular("usr/lib/python3/dist-packages/requests-2.31.0.dist-info/RECORD", "requests/__init__.py,sha256=abc,12\n"),
		regular("usr/lib/python3/dist-packages/requests-2.31.0.dist-info/top_level.txt", "requests\n"),
		regular("opt/app.jar", jar(t, map[string]string{
			"META-INF/MANIFEST.MF":                         "Manifest-Version: 1.0\nImplementation-Title: app\nImplementation-Version: 4.5\n\n",
			"META-INF/maven/org.acme/inner/pom.properties": "groupId=org.acme\nartifactId=inner\nversion=1.2.3\n",
			"META-INF/maven/org.acme/app/pom.properties":   "groupId=org.acme\nartifactId=app\nversion=4.5\n",
			"BOOT-INF/lib/nested-7.8.9.jar":                jar(t, map[string]string{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nImplementation-Title: nested\nImplementation-Version: 7.8.9\n\n"}),
		})),
		regular("usr/lib/ruby/gems/3.1.0/specifications/rake-13.0.6.gemspec", "Gem::Specification.new do |s|\n  s.name = \"rake\".freeze\n  s.version = \"13.0.6\"\n  s.licenses = [\"MIT\".freeze]\nend\n"),
		regular("usr/lib/R/library/base/DESCRIPTION", "Package: base\nVersion: 4.3.0\nLicense: Part of R 4.3.0\nTitle: The R Base Package\n"),
	}
}

const mitText = `MIT License

Copyright (c) 2024 Example

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`

func jar(t testing.TB, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	for _, name := range names {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// tools are what prepare builds, once for all tests.
var tools = sync.OnceValues(func() (*struct {
	ctx  context.Context
	plan *plan
}, error) {
	ctx, p, err := prepare(context.Background())
	return &struct {
		ctx  context.Context
		plan *plan
	}{ctx, p}, err
})

func prepared(t testing.TB) (context.Context, *plan) {
	t.Helper()
	v, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	return v.ctx, v.plan
}

func generateOne(t testing.TB, j job) (*output, error) {
	ctx, p := prepared(t)
	return generate(ctx, p, j)
}

// goProgram is a real program of Go's linker, with build information.
var goProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hello")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{
		"go.mod": "module example.com/hello\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { println(\"hello\") }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", "hello", ".")
	c.Dir = dir
	c.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "hello"))
	return string(b), err
})

// workerPath is the real program, built once into the module's cache.
var workerPath = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), ".cache", "bin", "assay-sbom-test")
	c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func worker(t testing.TB) string {
	t.Helper()
	path, err := workerPath()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
