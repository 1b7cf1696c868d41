package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
)

// realistic is an image layout made of this machine's own files: Debian's packages with their databases and documents, a Java runtime with
// archives, node modules from the registry, Go programs, Python packages; and a second image on the same base. It is made once, outside the
// repository, and used again.
type realistic struct {
	dir           string
	first, second store.Descriptor
}

// recipe names the state of what follows: another one makes the image again.
const recipe = "realistic-4"

func realisticLayout(t testing.TB) *realistic {
	t.Helper()
	if _, err := os.Stat("/var/lib/dpkg/status"); err != nil {
		missing(t, "the realistic image is made of a Debian system's files: %v", err)
	}
	dir := filepath.Join(cacheDir(t), recipe)
	if r := loadRealistic(dir); r != nil {
		return r
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	work := dir + ".part"
	if err := os.RemoveAll(work); err != nil {
		t.Fatal(err)
	}
	if err := assemble(t, work); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(work, dir); err != nil {
		t.Fatal(err)
	}
	return loadRealistic(dir)
}

// missing ends a benchmark that this machine cannot run; where everything is to run, it is a failure.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// cacheDir is where tests keep what is dear to make.
func cacheDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), ".cache", "sbom")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func loadRealistic(dir string) *realistic {
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil
	}
	var ix ocispec.Index
	if json.Unmarshal(b, &ix) != nil || len(ix.Manifests) != 2 {
		return nil
	}
	return &realistic{dir, ix.Manifests[0], ix.Manifests[1]}
}

// part is some of the machine's files, under the names that they have in the image.
type part struct {
	from, to string
	max      int64                    // bytes at most
	skip     func(string, int64) bool // by path and size
}

func assemble(t testing.TB, dir string) error {
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	modules, err := nodeModules(t, dir)
	if err != nil {
		return err
	}
	root := strings.TrimSpace(command(t, "go", "env", "GOROOT"))
	large := func(max int64) func(string, int64) bool { return func(_ string, n int64) bool { return n > max } }
	layers := [][]part{
		{
			{from: "/usr/lib/os-release"}, {from: "/etc/os-release"}, {from: "/etc/debian_version"}, {from: "/var/lib/dpkg/status"},
			{from: "/var/lib/dpkg/info", skip: func(p string, _ int64) bool { return strings.HasSuffix(p, ".templates") }},
			{from: "/usr/share/doc", max: 100 << 20}, {from: "/usr/lib/x86_64-linux-gnu", max: 250 << 20, skip: large(24 << 20)},
			{from: "/usr/bin", max: 100 << 20, skip: large(16 << 20)}, {from: "/usr/share/zoneinfo"},
		},
		{
			{from: "/usr/lib/jvm/java-17-openjdk-amd64", max: 200 << 20, skip: func(p string, _ int64) bool { return strings.Contains(p, "/jmods") }},
			{from: "/usr/share/java"}, {from: "/usr/share/maven-repo"},
		},
		{{from: modules, to: "/app/node_modules"}, {from: "/usr/lib/node_modules"}},
		{{from: filepath.Join(root, "bin"), to: "/usr/local/go/bin"}, {from: filepath.Join(root, "pkg/tool"), to: "/usr/local/go/pkg/tool", max: 60 << 20}},
		{{from: "/usr/lib/python3/dist-packages", max: 60 << 20}, {from: "/etc", max: 4 << 20, skip: large(1 << 20)}},
	}
	var m ocispec.Manifest
	var ids []store.Digest
	for _, l := range layers {
		d, id, err := packParts(blobs, l)
		if err != nil {
			return err
		}
		m.Layers, ids = append(m.Layers, d), append(ids, id)
	}
	first, err := writeImage(blobs, m, ids)
	if err != nil {
		return err
	}
	// The second image shares the first four layers: another application on the same base.
	d, id, err := packParts(blobs, []part{{from: filepath.Join(root, "src/cmd/go"), to: "/srv/app"}, {from: filepath.Join(modules, "express"), to: "/srv/app/node_modules/express"}})
	if err != nil {
		return err
	}
	m.Layers, ids = append(m.Layers[:4:4], d), append(ids[:4:4], id)
	second, err := writeImage(blobs, m, ids)
	if err != nil {
		return err
	}
	if err := writeIndex(filepath.Join(dir, "first"), first); err != nil {
		return err
	}
	return writeIndex(dir, first, second)
}

// writeIndex makes a layout of dir. "first" below the real one has the first image alone, and shares the blobs: stock syft takes one image.
func writeIndex(dir string, images ...store.Descriptor) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if len(images) == 1 {
		if err := os.Symlink(filepath.Join("..", "blobs"), filepath.Join(dir, "blobs")); err != nil {
			return err
		}
	}
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: images})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "index.json"), index, 0o644)
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}

// nodeModules installs some well-known packages with all that they depend on; without npm or its registry there is no benchmark.
func nodeModules(t testing.TB, dir string) (string, error) {
	at := filepath.Join(filepath.Dir(dir), "node")
	modules := filepath.Join(at, "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "express", "package.json")); err == nil {
		return modules, nil
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(at, "package.json"), []byte(`{"name":"app","version":"1.0.0","private":true}`), 0o644); err != nil {
		return "", err
	}
	c := exec.Command("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "express@4.19.2", "webpack@5.91.0", "eslint@8.57.0", "lodash@4.17.21", "react@18.3.1", "typescript@5.4.5")
	c.Dir = at
	if out, err := c.CombinedOutput(); err != nil {
		missing(t, "npm packages cannot be had here: %v %.300s", err, out)
	}
	return modules, nil
}

// packParts writes one gzip layer and returns it with its uncompressed digest.
func packParts(blobs string, parts []part) (store.Descriptor, store.Digest, error) {
	f, err := os.CreateTemp(blobs, "layer")
	if err != nil {
		return store.Descriptor{}, "", err
	}
	defer f.Close()
	stored, plain := &counted{w: f, sum: sha256.New()}, sha256.New()
	z := gzip.NewWriter(stored)
	w := tar.NewWriter(io.MultiWriter(z, plain))
	for _, p := range parts {
		if err := packPart(w, p); err != nil {
			return store.Descriptor{}, "", err
		}
	}
	if err := w.Close(); err != nil {
		return store.Descriptor{}, "", err
	}
	if err := z.Close(); err != nil {
		return store.Descriptor{}, "", err
	}
	d := store.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: hexDigest(stored.sum), Size: stored.n}
	return d, hexDigest(plain), os.Rename(f.Name(), filepath.Join(blobs, d.Digest.Encoded()))
}

func hexDigest(h hash.Hash) store.Digest {
	return store.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

type counted struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	return n, err
}

func packPart(w *tar.Writer, p part) error {
	left := p.max
	if left == 0 {
		left = 1 << 40
	}
	to := p.to
	if to == "" {
		to = p.from
	}
	return filepath.WalkDir(p.from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // what cannot be read is left out
		}
		info, err := d.Info()
		if err != nil || !(info.Mode().IsRegular() || info.IsDir() || info.Mode()&fs.ModeSymlink != 0) ||
			info.Mode().IsRegular() && (info.Size() > left || p.skip != nil && p.skip(name, info.Size())) {
			return nil
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(name); err != nil {
				return nil
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return nil
		}
		h.Name = strings.TrimPrefix(to+strings.TrimPrefix(name, p.from), "/")
		if info.IsDir() {
			h.Name += "/"
		}
		h.ModTime, h.Uname, h.Gname = time.Unix(1_700_000_000, 0), "", ""
		var b []byte
		if info.Mode().IsRegular() {
			if b, err = os.ReadFile(name); err != nil {
				return nil
			}
			h.Size = int64(len(b))
			left -= h.Size
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
}

func writeImage(blobs string, m ocispec.Manifest, ids []store.Digest) (store.Descriptor, error) {
	put := func(mediaType string, v any) (store.Descriptor, error) {
		b, err := json.Marshal(v)
		if err != nil {
			return store.Descriptor{}, err
		}
		sum := sha256.New()
		sum.Write(b)
		d := store.Descriptor{MediaType: mediaType, Digest: hexDigest(sum), Size: int64(len(b))}
		return d, os.WriteFile(filepath.Join(blobs, d.Digest.Encoded()), b, 0o644)
	}
	created := time.Unix(1_700_000_000, 0).UTC()
	config := ocispec.Image{Created: &created, Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: ids}
	var err error
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	if m.Config, err = put(ocispec.MediaTypeImageConfig, config); err != nil {
		return store.Descriptor{}, err
	}
	return put(m.MediaType, m)
}

// job reads one of its images.
func (r *realistic) job(t testing.TB, d store.Descriptor) job {
	t.Helper()
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	j := job{repository: "bench/app", subject: d, limits: defaultLimits(512 << 20)}
	if j.manifest, err = readBlob(root, d, maxManifest); err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(j.manifest, &m); err != nil {
		t.Fatal(err)
	}
	if j.config, err = readBlob(root, m.Config, j.limits.config); err != nil {
		t.Fatal(err)
	}
	for _, l := range m.Layers {
		f, err := openBlob(root, l.Digest)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		j.layers = append(j.layers, f)
	}
	return j
}
