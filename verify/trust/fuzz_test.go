package trust_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/assay-registry/assay/verify/trust"
)

// FuzzRefresh serves other bytes in place of one file: whoever holds no key makes the refresh fail, or changes nothing.
func FuzzRefresh(f *testing.F) {
	s := newSimulator(f)
	s.delegate("targets", paths("team", "acme/team/*"))
	s.pin("team", "acme/team/1", "x")
	s.content("targets", "policies/a.rego", "package assay")
	s.content("targets", "trust/release/keys/a.pem", s.pemKey())
	s.publish("root")
	s.publishAll("team", "targets")
	g := s.follow()
	want := *g.accepts()
	names := slices.Sorted(maps.Keys(s.files))
	for i, name := range names {
		b := s.files[name]
		f.Add(uint8(i), b)
		f.Add(uint8(i), b[:len(b)/2])
		f.Add(uint8(i), bytes.Replace(b, []byte(`"version":`), []byte(`"Version":9,"version":`), 1))
		f.Add(uint8(i), bytes.Replace(b, []byte(`{`), []byte(`{"signed":null,`), 1))
		f.Add(uint8(i), bytes.ReplaceAll(b, []byte(`"threshold":1`), []byte(`"threshold":0`)))
		f.Add(uint8(i), bytes.ReplaceAll(b, []byte(`[`), []byte(`[null,`)))
		f.Add(uint8(i), s.files[names[(i+1)%len(names)]])
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		name := names[int(which)%len(names)]
		served := maps.Clone(s.files)
		served[name] = b
		forged := &simulator{t: t, files: served}
		state, err := g.Refresh(context.Background(), forged, nil)
		if err != nil {
			return
		}
		if state.Revision != want.Revision && len(state.Problems) == 0 {
			t.Errorf("%s of other bytes changed what the repository says, to %+v", name, state)
		}
	})
}

func FuzzTar(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"metadata/timestamp.json", "targets/a b", "./x", "../y"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 2, Typeflag: tar.TypeReg}); err != nil {
			f.Fatal(err)
		}
		if _, err := io.WriteString(w, "{}"); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:1024])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		source, err := trust.Tar(bytes.NewReader(b))
		if err != nil {
			return
		}
		if _, err := source.Fetch(context.Background(), "timestamp.json", int64(len(b))); err != nil {
			t.Errorf("an archive without a timestamp.json was taken: %v", err)
		}
	})
}

func FuzzOCI(f *testing.F) {
	good, _ := artifact(f, map[string][]byte{"timestamp.json": []byte("{}"), "targets/trust/a/keys/x.pem": []byte("x")})
	f.Add(good.manifest)
	f.Add(bytes.Replace(good.manifest, []byte(`"size":2`), []byte(`"size":9223372036854775807`), 1))
	f.Add(bytes.Replace(good.manifest, []byte(`"layers":`), []byte(`"layers":null,"Layers":`), 1))
	f.Add([]byte(`{"artifactType":"` + trust.ArtifactType + `","layers":[null,{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &registry{manifest: b, blobs: good.blobs}
		source, err := trust.OCI(context.Background(), r, "latest")
		if err != nil {
			return
		}
		for _, name := range []string{"timestamp.json", "targets/trust/a/keys/x.pem", "targets/%2e%2e/x"} {
			if content, err := source.Fetch(context.Background(), name, 2); err == nil && len(content) > 2 {
				t.Errorf("%s has %d bytes with a limit of 2", name, len(content))
			}
		}
	})
}
