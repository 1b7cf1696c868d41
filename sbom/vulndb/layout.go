package vulndb

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

// The files of an image layout (OCI image-spec, "image-layout.md").
const (
	layoutFile = "oci-layout"
	layoutText = `{"imageLayoutVersion":"1.0.0"}`
	indexFile  = "index.json"
	blobFolder = "blobs/sha256/"
)

// MaxArchive is the most bytes of an image layout in a tar archive.
const MaxArchive = 3*MaxLayer + 16<<20

// Blob is content and what it is called.
type Blob struct {
	Part
	Content io.Reader
}

// WriteLayout writes an artifact as an image layout in a tar archive: the same bytes for the same blobs. manifest comes first, the others follow.
func WriteLayout(w io.Writer, manifest Blob, blobs ...Blob) error {
	top := manifest.Part
	top.ArtifactType = ArtifactType
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": store.TypeIndex, "manifests": []Part{top}})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	add := func(name string, size int64, content io.Reader) error {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		n, err := io.Copy(t, content)
		if err == nil && n != size {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if err := errors.Join(add(layoutFile, int64(len(layoutText)), strings.NewReader(layoutText)), add(indexFile, int64(len(index)), strings.NewReader(string(index)))); err != nil {
		return err
	}
	for _, b := range append([]Blob{manifest}, blobs...) {
		if err := add(blobFolder+b.Digest.Encoded(), b.Size, b.Content); err != nil {
			return err
		}
	}
	return t.Close()
}

// Layout is an artifact in a tar archive.
type Layout struct {
	Digest      store.Digest // of the manifest
	Manifest    *Manifest
	Description *Description
	top         Part
	parts       map[string]*io.SectionReader // by digest in hexadecimal
}

// maxLayoutFiles is how many files a layout may have; one of ours has seven at most.
const maxLayoutFiles = 64

// OpenLayout reads an image layout with one artifact from a tar archive, and checks every part against its digest. Errors: CodeInvalid, CodeManifestTooBig.
func OpenLayout(r io.ReaderAt, size int64) (*Layout, error) {
	l := &Layout{parts: map[string]*io.SectionReader{}}
	whole := io.NewSectionReader(r, 0, size)
	t := tar.NewReader(whole)
	var index []byte
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, store.Errorf(store.CodeInvalid, "the archive of the database is damaged or truncated: %w", err)
		}
		if n >= maxLayoutFiles {
			return nil, store.Errorf(store.CodeInvalid, "the archive of the database has more than %d files", maxLayoutFiles)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := path.Clean(h.Name)
		if name == indexFile {
			if index, err = io.ReadAll(io.LimitReader(t, store.MaxManifest)); err != nil {
				return nil, store.Errorf(store.CodeInvalid, "the archive of the database is damaged or truncated: %w", err)
			}
		}
		if encoded, ok := strings.CutPrefix(name, blobFolder); ok {
			at, err := whole.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			if h.Size > size-at {
				return nil, store.Errorf(store.CodeInvalid, "the archive of the database is truncated")
			}
			l.parts[encoded] = io.NewSectionReader(r, at, h.Size)
		}
	}
	return l, l.read(index)
}

// read finds the manifest, and checks all that it names.
func (l *Layout) read(index []byte) error {
	var top struct {
		Manifests []Part `json:"manifests"`
	}
	if index == nil || errors.Join(store.StrictJSON(index), json.Unmarshal(index, &top)) != nil || len(top.Manifests) != 1 {
		return store.Errorf(store.CodeInvalid, "this is no database of vulnerabilities: an image layout with one artifact, as assay vulndb build writes it")
	}
	content, err := l.small(top.Manifests[0], store.MaxManifest)
	if err != nil {
		return err
	}
	l.top, l.Digest = top.Manifests[0], top.Manifests[0].Digest
	if l.Manifest, err = ParseManifest(content); err != nil {
		return err
	}
	config, err := l.small(l.Manifest.Config, MaxConfig)
	if err != nil {
		return err
	}
	if l.Description, err = ParseDescription(config); err != nil {
		return err
	}
	for _, p := range l.Manifest.Layers() {
		if err := l.check(p, io.Discard); err != nil {
			return err
		}
	}
	return nil
}

// Section gives a part of the artifact.
func (l *Layout) Section(p Part) (*io.SectionReader, error) {
	s, ok := l.parts[p.Digest.Encoded()]
	if !ok {
		return nil, store.Errorf(store.CodeBlobUnknown, "the archive of the database is truncated: it lacks the part %.30s", p.Digest)
	}
	return io.NewSectionReader(s, 0, s.Size()), nil
}

// ManifestBytes is the manifest as it lies there.
func (l *Layout) ManifestBytes() ([]byte, error) { return l.small(l.top, store.MaxManifest) }

// Artifact is what is installed.
func (l *Layout) Artifact(mayShrink bool) Artifact {
	return Artifact{Digest: l.Digest, Manifest: l.Manifest, Description: l.Description, MayShrink: mayShrink, Open: func(p Part) (io.ReadCloser, error) {
		s, err := l.Section(p)
		return io.NopCloser(s), err
	}}
}

// check compares a part with its descriptor.
func (l *Layout) check(p Part, to io.Writer) error {
	if p.Digest.Validate() != nil || p.Digest.Algorithm() != digest.SHA256 {
		return store.Errorf(store.CodeInvalid, "the archive of the database names a part without a sha256 digest")
	}
	r, err := l.Section(p)
	if err != nil {
		return err
	}
	v := p.Digest.Verifier()
	n, err := io.Copy(io.MultiWriter(v, to), r)
	if err != nil {
		return err
	}
	if n != p.Size || !v.Verified() {
		return store.Errorf(store.CodeInvalid, "the part %.30s of the database is damaged or truncated: it is not what its digest says", p.Digest)
	}
	return nil
}

func (l *Layout) small(p Part, most int64) ([]byte, error) {
	var b strings.Builder
	if p.Size > most {
		return nil, store.Errorf(store.CodeInvalid, "a document of the database has %d bytes; at most %d are read", p.Size, most)
	}
	err := l.check(p, &b)
	return []byte(b.String()), err
}
