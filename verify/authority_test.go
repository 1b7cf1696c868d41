package verify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

func goodKey(t testing.TB, seed string) Key {
	t.Helper()
	k, err := ParseKeyPEM(block("PUBLIC KEY", spki(t, edKey(seed))))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func goodAuthority(t testing.TB) Authority {
	return Authority{
		Name: "release-1", Kind: KindKey, Keys: []Key{goodKey(t, "a"), goodKey(t, "b")},
		Repositories: store.Globs{"acme/**", "lib"}, PromoteFrom: store.Globs{"acme/dev/**"},
	}
}

func TestAuthorityValidate(t *testing.T) {
	day := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	cases := []struct {
		name   string
		change func(*Authority)
		says   string
	}{
		{"good", func(*Authority) {}, ""},
		{"binding repository", func(a *Authority) { a.Binding = "repository" }, ""},
		{"binding none", func(a *Authority) { a.Binding = "none" }, ""},
		{"window", func(a *Authority) { a.Keys[0].NotBefore, a.Keys[0].NotAfter = day, day.Add(1) }, ""},
		{"all keys revoked", func(a *Authority) { a.Keys[0].Revoked, a.Keys[1].Revoked = true, true }, ""},
		{"64 characters", func(a *Authority) { a.Name = strings.Repeat("a", 64) }, ""},
		{"65 characters", func(a *Authority) { a.Name = strings.Repeat("a", 65) }, "1 to 64"},
		{"no name", func(a *Authority) { a.Name = "" }, "1 to 64"},
		{"upper case", func(a *Authority) { a.Name = "Release" }, "lower-case"},
		{"line feed", func(a *Authority) { a.Name = "a\nb" }, "lower-case"},
		{"reserved", func(a *Authority) { a.Name = "registry" }, "reserved"},
		{"no kind", func(a *Authority) { a.Kind = "" }, "kind"},
		{"another kind", func(a *Authority) { a.Kind = "pgp" }, "kind"},
		{"another binding", func(a *Authority) { a.Binding = "None" }, "binding"},
		{"no repositories", func(a *Authority) { a.Repositories = nil }, "no repository"},
		{"malformed pattern", func(a *Authority) { a.Repositories = store.Globs{"acme/**", "a//b"} }, "malformed"},
		{"malformed promote_from", func(a *Authority) { a.PromoteFrom = store.Globs{"A"} }, "character"},
		{"too many patterns", func(a *Authority) { a.Repositories = slices.Repeat(a.Repositories, 129) }, "258 repository patterns"},
		{"no keys", func(a *Authority) { a.Keys = nil }, "0 keys"},
		{"too many keys", func(a *Authority) { a.Keys = slices.Repeat(a.Keys, 33) }, "66 keys"},
		{"empty PEM", func(a *Authority) { a.Keys[1].PEM = "" }, "key 2 of authority release-1: the key is empty"},
		{"another's ID", func(a *Authority) { a.Keys[1].ID = a.Keys[0].ID }, "ID is not that"},
		{"same key twice", func(a *Authority) { a.Keys[1] = a.Keys[0] }, "twice"},
		{"window backwards", func(a *Authority) { a.Keys[0].NotBefore, a.Keys[0].NotAfter = day, day }, "ends before"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := goodAuthority(t)
			c.change(&a)
			err := a.Validate()
			switch {
			case c.says == "" && err != nil:
				t.Errorf("got %v", err)
			case c.says != "" && (store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), c.says) || strings.Count(err.Error(), "INVALID") != 1 || strings.Contains(err.Error(), "\n")):
				t.Errorf("got %v, want an error with %q", err, c.says)
			}
		})
	}
}

func TestAuthorityRevision(t *testing.T) {
	base := goodAuthority(t)
	day := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	same := map[string]func(*Authority){
		"order of keys":             func(a *Authority) { slices.Reverse(a.Keys) },
		"order of patterns":         func(a *Authority) { slices.Reverse(a.Repositories) },
		"pattern twice":             func(a *Authority) { a.Repositories = append(a.Repositories, "lib") },
		"origin":                    func(a *Authority) { a.Origin = "runtime" },
		"default binding":           func(a *Authority) { a.Binding = BindingRepository },
		"zero time in another zone": func(a *Authority) { a.Keys[0].NotAfter = time.Time{}.In(time.FixedZone("x", 3600)) },
	}
	for name, change := range same {
		a := goodAuthority(t)
		change(&a)
		if a.Revision() != base.Revision() {
			t.Errorf("%s changes the revision", name)
		}
	}
	seen := map[string]string{base.Revision(): "base"}
	other := map[string]func(*Authority){
		"name":                   func(a *Authority) { a.Name = "release-2" },
		"kind":                   func(a *Authority) { a.Kind = "x509" },
		"key removed":            func(a *Authority) { a.Keys = a.Keys[:1] },
		"key added":              func(a *Authority) { a.Keys = append(a.Keys, goodKey(t, "c")) },
		"revoked":                func(a *Authority) { a.Keys[0].Revoked = true },
		"other revoked":          func(a *Authority) { a.Keys[1].Revoked = true },
		"not before":             func(a *Authority) { a.Keys[0].NotBefore = day },
		"not after":              func(a *Authority) { a.Keys[0].NotAfter = day },
		"not after, nanosecond":  func(a *Authority) { a.Keys[0].NotAfter = day.Add(1) },
		"year 10000":             func(a *Authority) { a.Keys[0].NotAfter = day.AddDate(8000, 0, 0) },
		"PEM under the same ID":  func(a *Authority) { a.Keys[0].PEM = a.Keys[1].PEM },
		"binding":                func(a *Authority) { a.Binding = BindingNone },
		"pattern removed":        func(a *Authority) { a.Repositories = a.Repositories[:1] },
		"patterns joined":        func(a *Authority) { a.Repositories = store.Globs{"acme/**lib"} },
		"promotion removed":      func(a *Authority) { a.PromoteFrom = nil },
		"promotion as pattern":   func(a *Authority) { a.Repositories, a.PromoteFrom = append(a.Repositories, a.PromoteFrom...), nil },
		"everything else absent": func(a *Authority) { *a = Authority{} },
	}
	for name, change := range other {
		a := goodAuthority(t)
		change(&a)
		if before, ok := seen[a.Revision()]; ok {
			t.Errorf("%s has the revision of %s", name, before)
		}
		seen[a.Revision()] = name
	}
	if r := base.Revision(); !strings.HasPrefix(r, "sha256:") || len(r) != 71 {
		t.Errorf("got %s", r)
	}
}

func TestClaimedRepository(t *testing.T) {
	for reference, want := range map[string]store.Name{
		"registry.example/acme/app":                               "acme/app",
		"registry.example:5000/acme/app:v1":                       "acme/app",
		"localhost/acme/app":                                      "acme/app",
		"localhost:5000/app":                                      "app",
		"192.168.64.2:5000/cosign-signed/key-1":                   "cosign-signed/key-1",
		"[::1]:5000/acme/app":                                     "acme/app",
		"index.docker.io/library/nginx:1":                         "library/nginx",
		"docker.io/library/nginx@sha256:00":                       "library/nginx",
		"r.example/acme/app:v1@sha256:" + strings.Repeat("0", 64): "acme/app",
		"acme/app":                "acme/app",
		"acme/app:v1":             "acme/app",
		"app":                     "app",
		"r.example/r.example/app": "r.example/app",
		"":                        "",
		"r.example":               "r.example", // a name may have dots; nothing says that it is a host
		"r.example:5000":          "r.example",
		"r.example/":              "",
		"r.example/@sha256:00":    "",
		"r.example/:v1":           "",
		"r.example/A":             "",
		"r.example/a//b":          "",
		"r.example/a/../b":        "",
		"https://r.example/a":     "",
		"r.example/a b":           "",
		"/a":                      "",
		":":                       "",
		"@":                       "",
	} {
		got, ok := ClaimedRepository(reference)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %q, %v, want %q", reference, got, ok, want)
		}
	}
}

func TestAccepts(t *testing.T) {
	a := goodAuthority(t)
	for reference, want := range map[string]bool{
		"r.example/acme/app":     true,
		"r.example/acme/dev/app": true, // promote_from
		"r.example/acme/dev":     true,
		"r.example/acme/other":   false,
		"":                       false,
	} {
		if got := a.Accepts(reference, "acme/app"); got != want {
			t.Errorf("%q: got %v", reference, got)
		}
	}
	a.Binding = BindingNone
	if !a.Accepts("", "acme/app") {
		t.Error("binding none binds")
	}
	if a.Covers("other") || !a.Covers("acme") || !a.Covers("lib") {
		t.Error("Covers is not what the patterns say")
	}
}

func FuzzClaimedRepository(f *testing.F) {
	for _, s := range []string{"", "r.example:5000/acme/app:v1@sha256:00", "acme/app", ":/@", "a/../b", "localhost/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reference string) {
		name, ok := ClaimedRepository(reference)
		if !ok {
			return
		}
		if parsed, err := store.ParseName(string(name)); err != nil || parsed != name {
			t.Fatalf("%q gives %q, which is no name", reference, name)
		}
		if !strings.Contains(reference, string(name)) {
			t.Fatalf("%q does not name %q", reference, name)
		}
		if again, ok := ClaimedRepository("host:5000/" + string(name) + ":tag@sha256:00"); !ok || again != name {
			t.Fatalf("%q comes back as %q", name, again)
		}
	})
}

func TestSubjectCheck(t *testing.T) {
	good := Subject{Repository: "acme/app", Descriptor: store.Descriptor{Digest: store.DigestOf("sha256", nil)}, Alternate: store.DigestOf("sha512", nil)}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if !good.Is(good.Descriptor.Digest) || !good.Is(good.Alternate) || good.Is("") || good.Is(store.DigestOf("sha256", []byte("x"))) {
		t.Error("Is does not compare both digests")
	}
	good.Alternate = ""
	if err := good.Check(); err != nil || good.Is("") {
		t.Errorf("without an alternate: %v", err)
	}
}

// TestAuthority_RevisionStays: what an authority proved is proven again by all registries at once where its revision changes with the program: on purpose alone.
func TestAuthority_RevisionStays(t *testing.T) {
	for want, a := range map[string]Authority{
		"sha256:246f9ff1b26ded233983ff8afa089f2348d0a2628ff1958943f9790376a4369b": {Name: "a", Kind: KindX509, Roots: "pem"},
		"sha256:cd052b8fb549be25987574d52f044043c9d6a6a69de8df068e233d1541b78142": {Name: "a", Kind: KindX509, Roots: "pem", CRLs: "pem"},
		"sha256:6d476c22f4be86463d3dbe451752846e908d3729c4af73e62ceeadc6e333724c": {Name: "a", Kind: KindNotation, Roots: "pem", CRLs: "pem"},
	} {
		if got := a.Revision(); got != want {
			t.Errorf("%+v has the revision %s, and had %s", a, got, want)
		}
	}
}
