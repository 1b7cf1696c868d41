package tufrepo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/trust"
)

// shelf is a repository of a registry with one tag.
type shelf struct {
	manifest []byte
	blobs    map[store.Digest][]byte
}

func newShelf(t *testing.T, files []File) *shelf {
	t.Helper()
	manifest, blobs, err := Artifact(files)
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{manifest, map[store.Digest][]byte{}}
	for _, b := range blobs {
		s.blobs[store.DigestOf(digest.SHA256, b)] = b
	}
	return s
}

func (s *shelf) Manifest(context.Context, string) ([]byte, error) { return s.manifest, nil }

func (s *shelf) Blob(_ context.Context, d store.Digest) (io.ReadCloser, error) {
	b, ok := s.blobs[d]
	if !ok {
		return nil, store.Errorf(store.CodeBlobUnknown, "there is no blob %s", d)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// TestTheRegistryReadsWhatIsPublished follows a repository through edits and a rotation of root, in all three forms, with the registry's own client.
func TestTheRegistryReadsWhatIsPublished(t *testing.T) {
	e := newEstate(t)
	image, _ := manifest("the manifest")
	_, err := e.repo.Add("", "acme/app/v1", image)
	e.ok(err)
	_, err = e.repo.Add("", "policies/x.rego", Target{Content: []byte("package x\n")})
	e.ok(err)
	e.ok(e.repo.Delegate(Delegation{Role: "team", Paths: []string{"acme/tool/*"}, RoleKeys: RoleKeys{Keys: e.of("team")}}))
	_, err = e.repo.Add("team", "acme/tool/v1", image)
	e.ok(err)
	e.sign("team", "team")
	e.first()

	root := e.files()["1.root.json"]
	client, err := trust.New(trust.Options{Clock: e.options().Now, Authority: verify.Authority{Name: "acme-tuf", Kind: verify.KindTUF, TUF: &verify.TUF{Root: string(root)}}})
	e.ok(err)
	ctx := context.Background()
	var state *verify.TUFState
	read := func() *verify.TUFState {
		files, err := e.repo.Files()
		e.ok(err)
		oci, err := trust.OCI(ctx, newShelf(t, files), "latest")
		e.ok(err)
		var archive bytes.Buffer
		e.ok(WriteTar(&archive, files))
		tar, err := trust.Tar(&archive)
		e.ok(err)
		revision := ""
		for _, source := range []trust.Source{oci, tar, trust.Directory(e.dir)} { // the working directory can be read, too
			s, err := client.Refresh(ctx, source, state)
			e.ok(err)
			if revision != "" && s.Revision != revision || len(s.Problems) > 0 {
				t.Errorf("%+v", s)
			}
			revision, state = s.Revision, s
		}
		return state
	}
	s := read()
	if len(s.Pins) != 2 || s.Pins[0].Target() != "acme/app/v1" || s.Pins[0].Digest != image.Digest || s.Pins[0].Length != image.Length || s.Pins[1].Role != "team" || string(s.Policies["x.rego"]) != "package x\n" {
		t.Errorf("%+v", s)
	}
	moved, _ := manifest("another")
	_, err = e.repo.Add("", "acme/app/v1", moved)
	e.ok(err)
	e.sign(Targets, "online")
	e.ok(e.repo.ChangeKeys(Root, e.of("carol"), []string{e.keys["bob"].ID}, 0))
	e.sign(Root, "alice", "bob", "carol")
	e.commit()
	if s = read(); s.Root != 2 || s.Pins[0].Digest != moved.Digest {
		t.Errorf("%+v", s)
	}
	if _, err := client.Refresh(ctx, trust.Directory(e.dir), nil); err != nil {
		t.Errorf("a client that begins with root 1: %v", err)
	}
}

func TestArtifact(t *testing.T) {
	e := newEstate(t)
	e.first()
	files, err := e.repo.Files()
	e.ok(err)
	text, blobs, err := Artifact(files)
	e.ok(err)
	again, _, err := Artifact(files)
	e.ok(err)
	if !bytes.Equal(text, again) {
		t.Error("the same files make another manifest")
	}
	var m ocispec.Manifest
	e.ok(json.Unmarshal(text, &m))
	if m.Config.MediaType != "application/vnd.oci.empty.v1+json" || m.Config.Size != 2 || string(blobs[0]) != "{}" || len(m.Layers) != 4 || m.Layers[3].Annotations["tuf.io/filename"] != "timestamp.json" {
		t.Errorf("%s", text)
	}
	if _, err := store.ParseManifest(store.TypeImage, text); err != nil {
		t.Errorf("the registry would not take it: %v", err)
	}
	for i, f := range files {
		if m.Layers[i].Annotations["tuf.io/filename"] != f.Name || m.Layers[i].Digest != store.DigestOf(digest.SHA256, f.Content) || !bytes.Equal(blobs[i+1], f.Content) {
			t.Errorf("%s", f.Name)
		}
	}
	_, _, err = Artifact(make([]File, trust.MaxOCILayers+1))
	refuses(t, err, store.CodeInvalid, "publish it as a directory")
	_, _, err = Artifact([]File{{"targets/a", make([]byte, trust.MaxRepository+1)}})
	refuses(t, err, store.CodeInvalid, "MiB")
}
