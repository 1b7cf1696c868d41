package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	_ "modernc.org/sqlite" // the driver by which syft reads RPM and Nix databases; without one every image fails

	"github.com/assay-registry/assay/cmd/assay-sbom/document"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// imageConfig is what is read of an image's configuration (image-spec, config.md).
type imageConfig struct {
	Created      *time.Time `json:"created"`
	Architecture string     `json:"architecture"`
	Variant      string     `json:"variant"`
	OS           string     `json:"os"`
	Config       struct {
		Labels map[string]string
	} `json:"config"`
	RootFS struct {
		DiffIDs []store.Digest `json:"diff_ids"`
	} `json:"rootfs"`
}

// job is one image to describe.
type job struct {
	repository string
	subject    store.Descriptor
	manifest   []byte
	config     []byte
	layers     []io.ReaderAt // in the manifest's order
	formats    []sbom.Format
	limits     limits
	views      []layerView             // by layer, or none
	emit       func(int, []byte) error // takes the views that are wanted
	found      func([]byte) error      // takes what was found in single files of a layer
	scanned    func() error            // hears when all layers are read
}

// output is what was made of it.
type output struct {
	documents [][]byte
	summary   sbom.Summary
	again     int // how often layers were read again
}

func digestOf(b []byte) string { return string(store.DigestOf(digest.SHA256, b)) }

// newImage checks the parts of a job against each other.
func newImage(j job) (*image, *imageConfig, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(j.manifest, &m); err != nil {
		return nil, nil, refuse("the manifest is not readable: %v", err)
	}
	switch m.Config.MediaType {
	case ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json":
	default:
		return nil, nil, refuse("this is no container image: its config has the type %.100q", m.Config.MediaType)
	}
	if len(j.layers) != len(m.Layers) {
		return nil, nil, refuse("the manifest has %d layers, %d were given", len(m.Layers), len(j.layers))
	}
	if int64(len(j.config)) > j.limits.config {
		return nil, nil, refuse("the configuration has more than %d bytes", j.limits.config)
	}
	var c imageConfig
	if err := json.Unmarshal(j.config, &c); err != nil {
		return nil, nil, refuse("the configuration is not readable: %v", err)
	}
	im := &image{
		repository: j.repository, subject: string(j.subject.Digest), mediaType: j.subject.MediaType, manifest: j.manifest, config: j.config,
		limits: j.limits, views: j.views, emit: j.emit,
	}
	for i, l := range m.Layers {
		im.blobs = append(im.blobs, blob{digest: string(l.Digest), mediaType: l.MediaType, size: l.Size, content: j.layers[i]})
	}
	return im, &c, nil
}

// settings are how syft is run: as it is by default, but for files (their list is twice the size of everything else), one thing at a time
// (the order of what is found must not depend on chance), and no network, which is its default and is written out to stay so. What most cataloguers find goes to g; nil: to syft.
func settings(g *gathered) *syft.CreateSBOMConfig {
	c := syft.DefaultCreateSBOMConfig().WithoutFiles().WithParallelism(1).
		WithRelationshipsConfig(cataloging.DefaultRelationshipsConfig().WithPackageFileOwnership(false))
	c.Packages.Golang.SearchRemoteLicenses = false
	c.Packages.Golang.SearchLocalModCacheLicenses = false
	c.Packages.Golang.SearchLocalVendorLicenses = false
	c.Packages.JavaArchive.UseNetwork = false
	c.Packages.JavaArchive.UseMavenLocalRepository = false
	c.Packages.JavaScript.SearchRemoteLicenses = false
	c.Packages.Python.SearchRemoteLicenses = false
	c = frugal(c, g)
	if g != nil {
		g.config, g.namer = c, newCPENamer()
	}
	return c
}

// learn runs the cataloguers on an empty image and returns the patterns and the types they look for.
func learn(ctx context.Context, c *syft.CreateSBOMConfig) (globs, types []string, err error) {
	r := &recorder{}
	_, err = syft.CreateSBOM(ctx, &imageSource{resolver: r, name: "empty"}, c)
	return r.globs, r.types, err
}

// prepare builds what one process needs once, however many images it describes: syft's licence scanner, which rides on the context, and the plan of
// which files are worth keeping.
func prepare(ctx context.Context) (context.Context, *plan, error) {
	scan := licenceScanner()
	c := settings(nil)
	ctx, err := withLicences(ctx, c.Licenses.Coverage, scan)
	if err != nil {
		return nil, nil, err
	}
	globs, _, err := learn(ctx, c)
	if err != nil {
		return nil, nil, fmt.Errorf("asking the cataloguers what they want: %w", err)
	}
	p := newPlan(append(globs, related[:]...))
	p.scan, p.coverage = scan, c.Licenses.Coverage
	return ctx, p, nil
}

// generate makes the documents of one image. ctx and p come from prepare.
func generate(ctx context.Context, p *plan, j job) (*output, error) {
	im, config, err := newImage(j)
	if err != nil {
		return nil, err
	}
	im.plan = p
	if err := im.open(ctx); err != nil {
		return nil, err
	}
	if j.scanned != nil {
		if err := j.scanned(); err != nil {
			return nil, err
		}
	}
	c, err := catalog(ctx, newSource(im, config))
	if err != nil {
		return nil, err
	}
	return describe(j, im, config, c)
}

// catalog runs syft. A panic in a cataloguer is a property of the image: it would come again.
func catalog(ctx context.Context, src *imageSource) (c *document.Contents, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, refuse("a cataloguer failed on this content: %.200s", fmt.Sprint(p))
		}
	}()
	r := src.resolver.(*resolver)
	if len(r.im.coverages) > 0 {
		if ctx, err = withLicences(ctx, r.im.plan.coverage, r.im.licence); err != nil {
			return nil, err
		}
	}
	g := &gathered{}
	s, err := syft.CreateSBOM(ctx, src, settings(g))
	if err != nil && ctx.Err() == nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, refuse("a cataloguer failed on this content: %.200s", first)
	}
	if err != nil {
		return nil, err
	}
	return g.contents(s, r)
}

// describe writes the documents and their summary.
func describe(j job, im *image, config *imageConfig, contents *document.Contents) (*output, error) {
	id := identity{repository: j.repository, subject: im.subject, created: time.Unix(0, 0).UTC()}
	if config.Created != nil && config.Created.Year() > 1970 && config.Created.Year() < 2200 {
		id.created = config.Created.UTC().Truncate(time.Second)
	}
	spdx, err := write(sbom.SPDX, contents, id, j.limits.document)
	if err != nil {
		return nil, err
	}
	out := &output{again: im.again}
	for _, f := range j.formats {
		b := spdx
		if f != sbom.SPDX {
			if b, err = write(f, contents, id, j.limits.document); err != nil {
				return nil, err
			}
		}
		out.documents = append(out.documents, b)
	}
	// The summary is read from the document, so that what policies see and what is attached cannot differ.
	if out.summary, err = sbom.Summarize(sbom.MediaTypeSPDX, spdx); err != nil {
		return nil, err
	}
	out.summary.Generator = generator()
	if d := contents.Distribution; d != nil {
		out.summary.Distro, out.summary.DistroVer = d.ID, d.VersionID
	}
	out.summary.DiffIDs = im.matches(config.RootFS.DiffIDs)
	return out, nil
}

// layout is the version of what this program adds to syft: it changes whenever the same image gives other bytes.
const layout = "2"

// generator names what makes the documents; it is part of their identity.
func generator() string { return "assay-sbom-" + layout + "+syft-" + syftVersion() }

func syftVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/anchore/syft" {
				return d.Version
			}
		}
	}
	return "unknown"
}
