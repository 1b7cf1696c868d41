package main_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// epoch is when everything in the images was made, so that the same flags give the same digests.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// The files by which a scanner recognises an Alpine image with one package.
const (
	osRelease = "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine Linux v3.20\"\n"
	apkDB     = "C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=\nP:musl\nV:1.2.5-r0\nA:x86_64\nS:411000\nI:650000\nT:the musl c library\nU:https://musl.libc.org/\nL:MIT\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\n\n"
)

// cmdImage is "mkimage [-docker] [-arch amd64,arm64] [-user 65532] [-seed TEXT] [-file PATH=jar:GROUP:ARTIFACT:VERSION] [-file PATH=npm:NAME:VERSION:LICENCE] NAME". It writes the OCI layout NAME, with one entry (an
// index if there are two architectures) under the tag "latest", for one architecture also NAME.tar as "docker save" writes it (tag test/NAME:latest),
// and sets digest_NAME, digest_hex_NAME and size_NAME.
func cmdImage(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	docker := flags.Bool("docker", false, "docker schema 2 media types")
	arches := flags.String("arch", "amd64", "architectures")
	user := flags.String("user", "65532", "user of the configuration")
	seed := flags.String("seed", "", "content of a file, so that digests differ")
	files := map[string]string{}
	flags.Func("file", "a package in the upper layer", func(text string) error { return packageFile(files, text) })
	if err := flags.Parse(args); err != nil || neg || flags.NArg() != 1 {
		ts.Fatalf("usage: mkimage [-docker] [-arch amd64,arm64] [-user 65532] [-seed TEXT] [-file PATH=KIND:...] NAME")
	}
	dir := ts.MkAbs(flags.Arg(0))
	var images []v1.Image
	for arch := range strings.SplitSeq(*arches, ",") {
		img, err := makeImage(arch, *user, *seed, *docker, files)
		ts.Check(err)
		images = append(images, img)
	}
	path, err := layout.Write(dir, empty.Index)
	ts.Check(err)
	tag := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "latest"})
	var d v1.Hash
	var size int64
	if len(images) == 1 {
		ts.Check(path.AppendImage(images[0], tag))
		ref, err := name.NewTag("test/" + filepath.Base(dir) + ":latest")
		ts.Check(err)
		ts.Check(tarball.WriteToFile(dir+".tar", ref, images[0]))
		d, err = images[0].Digest()
		ts.Check(err)
		size, err = images[0].Size()
		ts.Check(err)
	} else {
		index := makeIndex(images, *docker)
		ts.Check(path.AppendIndex(index, tag))
		d, err = index.Digest()
		ts.Check(err)
		size, err = index.Size()
		ts.Check(err)
	}
	ts.Setenv("digest_"+filepath.Base(dir), d.String())
	ts.Setenv("digest_hex_"+filepath.Base(dir), d.Hex)
	ts.Setenv("size_"+filepath.Base(dir), strconv.FormatInt(size, 10))
}

// packageFile makes a file by which a scanner recognises a package.
func packageFile(files map[string]string, text string) error {
	path, what, _ := strings.Cut(text, "=")
	parts := strings.Split(what, ":")
	switch {
	case len(parts) == 4 && parts[0] == "jar":
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, entry := range [][2]string{
			{"META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n"},
			{"META-INF/maven/" + parts[1] + "/" + parts[2] + "/pom.properties", "groupId=" + parts[1] + "\nartifactId=" + parts[2] + "\nversion=" + parts[3] + "\n"},
		} {
			f, err := w.Create(entry[0])
			if err != nil {
				return err
			}
			if _, err := io.WriteString(f, entry[1]); err != nil {
				return err
			}
		}
		if err := w.Close(); err != nil {
			return err
		}
		files[path] = b.String()
	case len(parts) == 4 && parts[0] == "npm":
		files[path] = fmt.Sprintf(`{"name":%q,"version":%q,"license":%q}`, parts[1], parts[2], parts[3])
	default:
		return fmt.Errorf("%q is no package: PATH=jar:GROUP:ARTIFACT:VERSION or PATH=npm:NAME:VERSION:LICENCE", text)
	}
	return nil
}

func makeImage(arch, user, seed string, docker bool, files map[string]string) (v1.Image, error) {
	media := []types.MediaType{types.OCILayer, types.OCIConfigJSON, types.OCIManifestSchema1}
	if docker {
		media = []types.MediaType{types.DockerLayer, types.DockerConfigJSON, types.DockerManifestSchema2}
	}
	base, err := fileLayer(media[0], map[string]string{"etc/os-release": osRelease, "lib/apk/db/installed": apkDB})
	if err != nil {
		return nil, err
	}
	upper := map[string]string{"app/" + arch: "application for " + arch + "\n", "app/seed": seed}
	maps.Copy(upper, files)
	app, err := fileLayer(media[0], upper)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, media[2]), media[1])
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: arch, OS: "linux", Created: v1.Time{Time: epoch},
		Config: v1.Config{User: user, Entrypoint: []string{"/app/" + arch}, Labels: map[string]string{"org.opencontainers.image.licenses": "Apache-2.0"}},
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	return mutate.Append(img,
		mutate.Addendum{Layer: base, MediaType: media[0], History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "base"}},
		mutate.Addendum{Layer: app, MediaType: media[0], History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "app"}})
}

func makeIndex(images []v1.Image, docker bool) v1.ImageIndex {
	media := types.OCIImageIndex
	if docker {
		media = types.DockerManifestList
	}
	index := mutate.IndexMediaType(empty.Index, media)
	for _, img := range images {
		config, err := partial.ConfigFile(img)
		if err != nil {
			panic(err) // made above, in memory
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: config.Architecture}}})
	}
	return index
}

func fileLayer(media types.MediaType, files map[string]string) (v1.Layer, error) {
	content, err := tarOf(files)
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, tarball.WithMediaType(media))
}

// tarOf packs files in the order of their names.
func tarOf(files map[string]string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, path := range sorted(files) {
		header := &tar.Header{Name: path, Mode: 0o644, Size: int64(len(files[path])), ModTime: epoch, Typeflag: tar.TypeReg}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, files[path]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}
