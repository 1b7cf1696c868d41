package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

type layoutRequest struct {
	dir, ref, platform, views string
	format                    sbom.Format
	summary                   bool
	download                  int64  // bytes of layers that a registry may send
	program                   string // that a registry's image is described by; "" is this one
	options
}

// name takes what stands on the command line: "oci:DIR", "oci:DIR:NAME", "oci:DIR@DIGEST" as skopeo writes them, with --layout a reference alone, or else an image of a
// registry, which begins with a host.
func (r *layoutRequest) name(arg string) bool {
	rest, ok := strings.CutPrefix(arg, "oci:")
	if !ok {
		r.ref = arg
		named, err := docker.ParseRef(arg)
		return r.dir != "" || err == nil && named.Host != ""
	}
	if r.dir != "" || rest == "" {
		return false
	}
	r.dir = rest
	if at := strings.LastIndex(rest, "@sha"); at > 0 {
		r.dir, r.ref = rest[:at], rest[at+1:]
	} else if at := strings.LastIndexByte(rest, ':'); at > 0 && !strings.Contains(rest[at:], "/") {
		r.dir, r.ref = rest[:at], rest[at+1:]
	}
	return true
}

// maxManifest is the size of the largest manifest that is read.
const maxManifest = 4 << 20

// describeLayout describes one image of an OCI image layout (image-spec, image-layout.md).
func describeLayout(ctx context.Context, r layoutRequest, out io.Writer) error {
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	d, manifest, err := findManifest(root, r.ref, r.platform)
	if err != nil {
		return err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return refuse("the manifest is not readable: %v", err)
	}
	name := r.ref
	if name == "" || strings.Contains(name, ":") {
		name = filepath.Base(filepath.Clean(r.dir))
	}
	j := job{repository: name, subject: d, manifest: manifest, formats: []sbom.Format{r.format}, limits: defaultLimits(r.memory)}
	if j.config, err = readBlob(root, m.Config, j.limits.config); err != nil {
		return err
	}
	for _, l := range m.Layers {
		f, err := openBlob(root, l.Digest)
		if err != nil {
			return err
		}
		defer f.Close()
		j.layers = append(j.layers, f)
	}
	if r.views != "" {
		closeViews, err := j.useViews(r.views, m.Layers)
		if err != nil {
			return err
		}
		defer closeViews()
	}
	ctx, p, err := prepare(ctx)
	if err != nil {
		return err
	}
	result, err := generate(ctx, p, j)
	if err != nil {
		return err
	}
	if r.summary {
		return json.NewEncoder(out).Encode(result.summary)
	}
	_, err = out.Write(result.documents[0])
	return err
}

// useViews reads views from a directory and puts missing ones there. Only the user writes to it: their digest is not checked.
func (j *job) useViews(dir string, layers []store.Descriptor) (func(), error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	name := func(i int) string {
		return filepath.Join(dir, strings.ReplaceAll(string(layers[i].Digest), ":", "-")+".view")
	}
	var open []*os.File
	for i := range layers {
		v := layerView{wanted: true}
		if f, err := os.Open(name(i)); err == nil {
			open = append(open, f)
			if info, err := f.Stat(); err == nil {
				v.stored, v.size = f, info.Size()
			}
		}
		j.views = append(j.views, v)
	}
	j.emit = func(i int, view []byte) error {
		f, err := os.CreateTemp(dir, "part-")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name())
		_, err = f.Write(view)
		if shut := f.Close(); err == nil {
			err = shut
		}
		if err != nil {
			return err
		}
		return os.Rename(f.Name(), name(i))
	}
	return func() {
		for _, f := range open {
			f.Close()
		}
	}, nil
}

// findManifest resolves a reference (a digest, or the name in an annotation; empty: the only image) and a platform to a manifest.
func findManifest(root *os.Root, ref, platform string) (store.Descriptor, []byte, error) {
	f, err := root.Open("index.json")
	if err != nil {
		return store.Descriptor{}, nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return store.Descriptor{}, nil, err
	}
	d, err := choose(b, func(d store.Descriptor) bool {
		name := d.Annotations[ocispec.AnnotationRefName]
		return ref == "" || string(d.Digest) == ref || name == ref || strings.HasSuffix(name, ":"+ref)
	}, "named "+ref)
	if err != nil && strings.HasPrefix(ref, "sha256:") {
		d, err = store.Descriptor{Digest: store.Digest(ref), Size: maxManifest}, nil
	}
	if err != nil {
		return store.Descriptor{}, nil, err
	}
	return descend(d, platform, func(d store.Descriptor) ([]byte, error) { return readBlob(root, d, maxManifest) })
}

// descend goes from a manifest, which read reads, to that of one platform.
func descend(d store.Descriptor, platform string, read func(store.Descriptor) ([]byte, error)) (store.Descriptor, []byte, error) {
	for range 4 {
		b, err := read(d)
		if err != nil {
			return d, nil, err
		}
		var probe struct {
			MediaType string            `json:"mediaType"`
			Manifests []json.RawMessage `json:"manifests"`
		}
		if err := json.Unmarshal(b, &probe); err != nil {
			return d, nil, refuse("the manifest is not readable: %v", err)
		}
		if len(probe.Manifests) == 0 {
			if d.MediaType == "" {
				d.MediaType = probe.MediaType
			}
			return d, b, nil
		}
		want := platform
		if want == "" {
			want = runtime.GOOS + "/" + runtime.GOARCH
		}
		if d, err = choose(b, func(d store.Descriptor) bool {
			return d.Platform != nil && (d.Platform.OS+"/"+d.Platform.Architecture == want || d.Platform.OS+"/"+d.Platform.Architecture+"/"+d.Platform.Variant == want) ||
				platform == "" && len(probe.Manifests) == 1
		}, "for "+want); err != nil {
			return d, nil, fmt.Errorf("%w; choose another with --platform", err)
		}
	}
	return store.Descriptor{}, nil, refuse("indexes are nested too deeply")
}

func choose(index []byte, match func(store.Descriptor) bool, what string) (store.Descriptor, error) {
	var ix ocispec.Index
	if err := json.Unmarshal(index, &ix); err != nil {
		return store.Descriptor{}, refuse("the index is not readable: %v", err)
	}
	for _, d := range ix.Manifests {
		if match(d) {
			return d, nil
		}
	}
	return store.Descriptor{}, fmt.Errorf("there is no image %s among %d", what, len(ix.Manifests))
}

func openBlob(root *os.Root, d store.Digest) (*os.File, error) {
	if _, err := store.ParseDigest(string(d)); err != nil {
		return nil, err
	}
	f, err := root.Open(filepath.Join("blobs", string(d.Algorithm()), d.Encoded()))
	if err != nil {
		for _, p := range []string{"blobs", filepath.Join("blobs", string(d.Algorithm())), filepath.Join("blobs", string(d.Algorithm()), d.Encoded())} {
			if info, lerr := root.Lstat(p); lerr == nil && info.Mode()&os.ModeSymlink != 0 {
				return nil, fmt.Errorf("%s in the layout is a link that leads out of it or nowhere, and only what lies in the layout is read; make a copy with cp -rL and name that: %w", p, err)
			}
		}
	}
	return f, err
}

// readBlob reads a small blob and checks its digest: a layout may have been edited.
func readBlob(root *os.Root, d store.Descriptor, max int64) ([]byte, error) {
	f, err := openBlob(root, d.Digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, refuse("the blob %.19s has more than %d bytes", d.Digest, max)
	}
	if store.DigestOf(d.Digest.Algorithm(), b) != d.Digest {
		return nil, refuse("the blob %.19s has other content than its name says", d.Digest)
	}
	return b, nil
}
