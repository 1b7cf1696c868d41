package store

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseImageConfig(t *testing.T) {
	b := fmt.Sprintf(`{"os":"linux","architecture":"arm64","variant":"v8","created":"2026-01-02T03:04:05Z","docker_version":"x",
		"config":{"User":"65532","Env":["PATH=/bin","TOKEN=secret","EMPTY"],"Entrypoint":["/app"],"Cmd":["serve"],"Labels":{"User":"a"},"ExposedPorts":{"8080/tcp":{},"53/udp":{}}},
		"rootfs":{"type":"layers","diff_ids":[%q]},"history":[{"created":"2026-01-02T03:04:05Z"}]}`, testDigest)
	c, err := ParseImageConfig([]byte(b))
	want := &ImageConfig{
		OS: "linux", Architecture: "arm64", Variant: "v8", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), User: "65532", Entrypoint: []string{"/app"}, Cmd: []string{"serve"},
		EnvNames: []string{"PATH", "TOKEN", "EMPTY"}, Labels: map[string]string{"User": "a"}, ExposedPorts: []string{"8080/tcp", "53/udp"}, DiffIDs: []Digest{testDigest},
	}
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Fatalf("%+v %v", c, err)
	}
	if strings.Contains(fmt.Sprintf("%+v", c), "secret") {
		t.Error("a value of the environment is kept")
	}
	for _, s := range []string{
		`{"rootfs":{"type":"layers","diff_ids":[]}}`, `{"rootfs":{"type":"layers","diff_ids":null},"config":null,"created":null}`,
		`{"rootfs":{"type":"layers"},"config":{"Env":null,"ExposedPorts":null,"Labels":null}}`,
	} {
		if _, err := ParseImageConfig([]byte(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{
		"", "{}", "[]", "null", `{"rootfs":{}}`, `{"rootfs":{"type":"layers","diff_ids":["x"]}}`, `{"rootfs":{"type":"layers"},"Rootfs":{}}`, `{"rootfs":{"type":"layers"}}{}`,
		`{"rootfs":{"type":"layers"},"config":{"user":"root","User":"1"}}`, `{"rootfs":{"type":"layers"},"config":{"ExposedPorts":[]}}`, `{"rootfs":{"type":"layers"},"created":"yesterday"}`,
		`{"rootfs":{"type":"layers"},"config":{"Entrypoint":"sh"}}`, `{"rootfs":{"type":"layers"},"x":"` + strings.Repeat("x", MaxImageConfig) + `"}`,
		`{"rootfs":{"type":"layers"},"config":{"Cmd":[` + strings.Repeat(`"",`, 4096) + `""]}}`,
		`{"rootfs":{"type":"layers","diff_ids":[` + strings.Repeat(fmt.Sprintf("%q,", testDigest), 1000) + fmt.Sprintf("%q", testDigest) + `]}}`,
	} {
		if _, err := ParseImageConfig([]byte(s)); CodeOf(err) != CodeManifestInvalid || len(err.(*Error).Message) > 300 {
			t.Errorf("%.80s: %v", s, err)
		}
	}
}

func TestKindOf(t *testing.T) {
	runs := []byte(`{"rootfs":{"type":"layers","diff_ids":["sha256:x"]}}`)
	cases := []struct {
		manifest, config string
		bytes            []byte
		want             Kind
	}{
		{TypeImage, TypeImageConfig, nil, KindImage},
		{TypeDockerImage, TypeDockerImageConfig, nil, KindImage},
		{TypeImage, TypeEmpty, []byte("{}"), KindArtifact},
		{TypeImage, "application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"chart"}`), KindArtifact},
		{TypeImage, "application/vnd.cncf.helm.config.v1+json", runs, KindImage},
		{TypeImage, "application/x", []byte(`{"RootFS":{"Diff_IDs":[1]}}`), KindImage},
		{TypeImage, "application/x", []byte(`{"rootfs":{"diff_ids":[1]},"rootfs":{}}`), KindImage},
		{TypeImage, "application/x", []byte(`{"rootfs":{"diff_ids":[1]},"rootfs":{"diff_ids":[]}}`), KindArtifact},
		{TypeImage, "application/octet-stream", []byte("tar"), KindArtifact},
		{TypeDockerImage, "application/octet-stream", []byte("tar"), KindImage},
		{TypeDockerImage, "application/vnd.docker.plugin.v1+json", []byte("{}"), KindArtifact},
	}
	for _, c := range cases {
		p := &Parsed{MediaType: c.manifest, Config: &Descriptor{MediaType: c.config}}
		if got := p.KindOf(c.bytes); got != c.want {
			t.Errorf("%s %s %s: %s, want %s", c.manifest, c.config, c.bytes, got, c.want)
		}
	}
	if k := (&Parsed{MediaType: TypeDockerList}).KindOf(runs); k != KindIndex {
		t.Error(k)
	}
}

func TestValidMediaType(t *testing.T) {
	for _, s := range []string{
		TypeImage, "text/spdx", "a/b", "application/vnd.dev.sigstore.bundle+json;version=0.3", `text/plain; charset="utf-8"`, strings.Repeat("a", 127) + "/" + strings.Repeat("b", 127), "application/X.Y-z_!#$&^+1",
	} {
		if !ValidMediaType(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{"", "a", "/", "a/", "/b", "a/b/c", "a b/c", "a/b ", "a/b;", "a/b;x", "a/b;x=\n", "a/b;x=\x7f", "é/b", "a/b,c/d", ".a/b", "a/" + strings.Repeat("b", 128), "a/b;x=" + strings.Repeat("y", 255)} {
		if ValidMediaType(s) {
			t.Errorf("%q is accepted", s)
		}
	}
}

func FuzzParseImageConfig(f *testing.F) {
	f.Add([]byte(`{"os":"linux","rootfs":{"type":"layers","diff_ids":["` + testDigest + `"]},"config":{"Env":["A=b"],"ExposedPorts":{"1/tcp":{}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseImageConfig(b)
		if err != nil {
			if e, ok := err.(*Error); !ok || c != nil || len(e.Message) > 300 {
				t.Fatal(err)
			}
			return
		}
		if StrictJSON(b) != nil {
			t.Fatal("not strict")
		}
		if p := (&Parsed{MediaType: TypeImage, Config: &Descriptor{}}); len(c.DiffIDs) > 0 && p.KindOf(b) != KindImage {
			t.Fatal("a config with diff_ids is no image")
		}
	})
}
