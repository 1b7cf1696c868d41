package docker

import (
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

func TestParseRef(t *testing.T) {
	sum := "sha256:" + strings.Repeat("a", 64)
	for in, want := range map[string]Ref{
		"app":                              {Repository: "app", Reference: store.Reference{Tag: "latest"}},
		"acme/app":                         {Repository: "acme/app", Reference: store.Reference{Tag: "latest"}},
		"acme/app:v1":                      {Repository: "acme/app", Reference: store.Reference{Tag: "v1"}},
		"acme/app@" + sum:                  {Repository: "acme/app", Reference: store.Reference{Digest: store.Digest(sum)}},
		"acme/app:v1@" + sum:               {Repository: "acme/app", Reference: store.Reference{Digest: store.Digest(sum)}},
		"127.0.0.1:5000/acme/app:v1":       {Host: "127.0.0.1:5000", Repository: "acme/app", Reference: store.Reference{Tag: "v1"}},
		"localhost/app":                    {Host: "localhost", Repository: "app", Reference: store.Reference{Tag: "latest"}},
		"registry.example.com/app:v1":      {Host: "registry.example.com", Repository: "app", Reference: store.Reference{Tag: "v1"}},
		"Registry:443/app":                 {Host: "Registry:443", Repository: "app", Reference: store.Reference{Tag: "latest"}},
		"[::1]:5000/app@" + sum:            {Host: "[::1]:5000", Repository: "app", Reference: store.Reference{Digest: store.Digest(sum)}},
		"app:5000":                         {Repository: "app", Reference: store.Reference{Tag: "5000"}},
		"a__b/c-d.e:V_1.0-rc":              {Repository: "a__b/c-d.e", Reference: store.Reference{Tag: "V_1.0-rc"}},
		"127.0.0.1:5000/sha256:tag":        {Host: "127.0.0.1:5000", Repository: "sha256", Reference: store.Reference{Tag: "tag"}},
		"registry.example.com:443/a/b/c:d": {Host: "registry.example.com:443", Repository: "a/b/c", Reference: store.Reference{Tag: "d"}},
	} {
		got, err := ParseRef(in)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
		if back, err := ParseRef(got.String()); err != nil || back != got {
			t.Errorf("%q written as %q and read as %+v, %v", in, got, back, err)
		}
	}
	for _, in := range []string{"", "/", "acme/", "/app", "acme//app", "Acme/app", "acme/app:", "acme/app@", "acme/app@sha256:abc", "acme/app@md5:x", "https://x/y",
		"x:0/y", "x:99999/y", "x:08/y", ":5000/y", "[::1/y", "[zz]:1/y", "[::1%eth0]:1/y", "a b/c.d", "a..b/c", "-x.y/c", "acme/app:v1\n", "x.y/../z", "x.y:1/a:b:c", strings.Repeat("a", 2000)} {
		if got, err := ParseRef(in); err == nil {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func TestParseServer(t *testing.T) {
	for _, test := range []struct {
		in     string
		unsafe bool
		want   string
	}{
		{"127.0.0.1:5000", false, "http://127.0.0.1:5000"},
		{"localhost", false, "http://localhost"},
		{"[::1]:5000", false, "http://[::1]:5000"},
		{"http://127.1.2.3:1/", false, "http://127.1.2.3:1"},
		{"https://localhost:1", false, "https://localhost:1"},
		{"registry.example.com", false, "https://registry.example.com"},
		{"registry.example.com:5000", true, "http://registry.example.com:5000"},
		{"http://registry.example.com", true, "http://registry.example.com"},
		{"http://registry.example.com", false, ""},
		{"http://localhost.example.com", false, ""},
		{"https://u:p@registry.example.com", false, ""},
		{"https://registry.example.com/path", false, ""},
		{"https://registry.example.com?x", false, ""},
		{"ftp://registry.example.com", false, ""},
		{"", false, ""},
		{"https://", false, ""},
		{"http://127.0.0.1:5000@evil.example", false, ""},
	} {
		u, err := ParseServer(test.in, test.unsafe)
		if (err == nil) != (test.want != "") || err == nil && u.String() != test.want {
			t.Errorf("%q: %v, %v", test.in, u, err)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"acme/app:v1", "h:1/a@sha256:" + strings.Repeat("0", 64), "[::1]:5/x", "localhost/a:b@c", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseRef(s)
		if err != nil {
			return
		}
		if (ref.Reference.Tag == "") == (ref.Reference.Digest == "") {
			t.Errorf("%q: %+v", s, ref)
		}
		if _, err := store.ParseName(string(ref.Repository)); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if back, err := ParseRef(ref.String()); err != nil || back != ref {
			t.Errorf("%q written as %q, read as %+v, %v", s, ref, back, err)
		}
		if ref.Host != "" {
			if _, err := ParseServer(ref.Host, true); err != nil {
				t.Errorf("%q: the host is no server: %v", s, err)
			}
		}
	})
}

func FuzzParseChallenge(f *testing.F) {
	f.Add(`realm="http://x/auth/token",service="assay",scope="repository:a:pull"`)
	f.Add(`a=b, c="d\"e`)
	f.Fuzz(func(t *testing.T, s string) { ParseChallenge("Bearer " + s) })
}
