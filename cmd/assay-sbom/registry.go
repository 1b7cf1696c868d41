package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Layers are read at random, so that they are kept while their image is described: in memory up to maxInMemory bytes together, what is more in files without a name in the
// system's temporary directory, which nobody finds and which end with the process.
const maxInMemory = 512 << 20

// describeRegistry describes one image of a registry. This process speaks to the network and parses nothing but manifests; a sandboxed one gets the layers and has no network.
func describeRegistry(ctx context.Context, r layoutRequest, out io.Writer) error {
	ref, err := docker.ParseRef(r.ref)
	if err != nil {
		return err
	}
	server, err := serverOf(&ref)
	if err != nil {
		return err
	}
	creds, err := docker.Config{Path: docker.ConfigPath(os.Getenv)}.Find(ctx, credentialsOf(server))
	if err != nil {
		return err
	}
	if r.program == "" {
		if r.program, err = os.Executable(); err != nil {
			return err
		}
	}
	o := sbom.WorkerOptions{Path: r.program, Memory: r.memory, Timeout: r.timeout}
	if r.views != "" {
		if o.Views, err = sbom.OpenViews(r.views, 0, time.Now); err != nil {
			return err
		}
	}
	w, err := sbom.NewWorker(o)
	if err != nil {
		return err
	}
	p := newPuller(server, ref.Repository, creds)
	q, err := p.request(ctx, ref.Reference, r)
	if err != nil {
		return err
	}
	result, err := w.Generate(ctx, q)
	if err != nil && !errors.Is(err, sbom.ErrRetry) {
		return refuse("%v", err)
	} else if err != nil {
		return err
	}
	if len(result.Documents) != 1 {
		return fmt.Errorf("%d documents were made in place of one", len(result.Documents))
	}
	if r.summary {
		return json.NewEncoder(out).Encode(result.Summary)
	}
	_, err = out.Write(result.Documents[0].Bytes)
	return err
}

// hub is how images of Docker's registry are written, which answers elsewhere and whose credentials are kept under a third name.
const hub, hubServer, hubCredentials = "docker.io", "registry-1.docker.io", "index.docker.io"

func serverOf(ref *docker.Ref) (*url.URL, error) {
	if ref.Host != hub {
		return docker.ParseServer(ref.Host, false)
	}
	if !strings.Contains(string(ref.Repository), "/") {
		ref.Repository = "library/" + ref.Repository
	}
	return docker.ParseServer(hubServer, false)
}

func credentialsOf(server *url.URL) string {
	if server.Host == hubServer {
		return hubCredentials
	}
	return server.Host
}

// request finds the manifest of one platform and bounds what is to be downloaded for it.
func (p *puller) request(ctx context.Context, ref store.Reference, r layoutRequest) (sbom.Request, error) {
	d, manifest, err := p.manifest(ctx, ref)
	if err != nil {
		return sbom.Request{}, err
	}
	first, text := d.Digest, manifest
	if d, manifest, err = descend(d, r.platform, func(d store.Descriptor) ([]byte, error) {
		if d.Digest == first {
			return text, nil
		}
		digest, err := store.ParseDigest(string(d.Digest))
		if err != nil {
			return nil, refuse("the index is not readable: %v", err)
		}
		_, b, err := p.manifest(ctx, store.Reference{Digest: digest})
		return b, err
	}); err != nil {
		return sbom.Request{}, err
	}
	m, err := store.ParseManifest(d.MediaType, manifest)
	if err != nil {
		return sbom.Request{}, refuse("the manifest is not readable: %v", err)
	}
	if m.Config == nil {
		return sbom.Request{}, refuse("this is no container image: it has the type %.100q", m.MediaType)
	}
	blobs := map[store.Digest]store.Descriptor{m.Config.Digest: *m.Config}
	var total int64
	for _, l := range m.Layers {
		if l.Size > r.download-total {
			return sbom.Request{}, refuse("the layers have more than the %d bytes that are downloaded at most; raise --max-download", r.download)
		}
		total += l.Size
		blobs[l.Digest] = l
	}
	d = store.Descriptor{MediaType: m.MediaType, Digest: d.Digest, Size: int64(len(manifest))}
	memory := int64(maxInMemory)
	return sbom.Request{Repository: p.repo, Subject: d, Manifest: manifest, Formats: []sbom.Format{r.format},
		Open: func(ctx context.Context, digest store.Digest) (*store.Blob, error) {
			d, known := blobs[digest]
			if !known {
				return nil, store.Errorf(store.CodeBlobUnknown, "the manifest names no %s", digest)
			}
			body, err := p.blob(ctx, d)
			if err != nil {
				return nil, err
			}
			if d.Size <= memory { // the worker takes what it reads into memory
				memory -= d.Size
				return &store.Blob{Descriptor: d, ReadSeekCloser: passing{body}}, nil
			}
			f, err := nameless(body)
			return &store.Blob{Descriptor: d, ReadSeekCloser: f}, err
		}}, nil
}

// passing is content that comes once, from beginning to end.
type passing struct{ io.ReadCloser }

// Seek fails.
func (passing) Seek(int64, int) (int64, error) {
	return 0, errors.New("what comes over the network is read once")
}

// nameless copies content, which it closes, into a temporary file whose name is removed before anything is in it.
func nameless(body io.ReadCloser) (*os.File, error) {
	defer body.Close()
	f, err := os.CreateTemp("", "assay-layer-")
	if err != nil {
		return nil, err
	}
	if err = os.Remove(f.Name()); err == nil {
		_, err = io.Copy(f, body)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("keeping a layer in %s: %w", os.TempDir(), err)
	}
	return f, nil
}
