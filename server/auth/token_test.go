package auth

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// forge signs header and payload with the registry's own key.
func (b *bench) forge(header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(b.options.Key.private, []byte(signed)))
}

func (b *bench) header() string {
	return fmt.Sprintf(`{"alg":"EdDSA","kid":"%s","typ":"JWT"}`, b.options.Key.ID())
}

// claims are those of a good token, changed.
func (b *bench) claims(change map[string]any) string {
	now := b.clock().Unix()
	c := map[string]any{
		"iss": "assay", "sub": "ci", "aud": "assay", "exp": now + 300, "nbf": now, "iat": now, "jti": "1",
		"gen": b.directory.now.Load().accounts["ci"].generation, "access": []claimed{{"repository", "acme/app", []string{"pull"}}},
	}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	out, err := json.Marshal(c)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(out)
}

func TestTokenIsAnOrdinaryJWT(t *testing.T) {
	b := newBench(t, nil)
	parsed, err := jwt.ParseSigned(b.mustToken(basic("ci", ciPassword), "repository:acme/app:pull"), []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var c jwt.Claims
	if err := parsed.Claims(b.options.Key.private.Public(), &c); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(jwt.Expected{Issuer: "assay", Subject: "ci", AnyAudience: jwt.Audience{"assay"}, Time: epoch}); err != nil {
		t.Error(err)
	}
}

func TestC1_HostileHeaders(t *testing.T) {
	b := newBench(t, nil)
	payload := b.claims(nil)
	if _, err := b.as(home, "Bearer "+b.forge(b.header(), payload)); err != nil {
		t.Fatalf("the forge does not work: %v", err)
	}
	public := b.options.Key.private.Public().(ed25519.PublicKey)
	_, attacker, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signAs := func(key ed25519.PrivateKey, header string) string {
		signed := b64(header) + "." + b64(payload)
		return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(signed)))
	}
	hs := func(header string) string {
		signed := b64(header) + "." + b64(payload)
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	jwk := fmt.Sprintf(`{"alg":"EdDSA","typ":"JWT","jwk":{"kty":"OKP","crv":"Ed25519","x":"%s"}}`, b64(string(attacker.Public().(ed25519.PublicKey))))
	good := b.forge(b.header(), payload)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"alg none":              b64(`{"alg":"none","typ":"JWT"}`) + "." + b64(payload) + ".",
		"alg none, our kid":     b64(strings.Replace(b.header(), "EdDSA", "none", 1)) + "." + b64(payload) + ".",
		"HS256, the public key": hs(`{"alg":"HS256","typ":"JWT"}`),
		"our header, HMAC":      hs(b.header()),
		"jwk":                   signAs(attacker, jwk),
		"jku":                   signAs(attacker, `{"alg":"EdDSA","typ":"JWT","jku":"https://evil.example/jwks"}`),
		"x5c":                   signAs(attacker, `{"alg":"EdDSA","typ":"JWT","x5c":["MIIB"]}`),
		"kid path":              signAs(attacker, `{"alg":"EdDSA","typ":"JWT","kid":"../../dev/null"}`),
		"our header, other key": signAs(attacker, b.header()),
		"own key, jwk besides":  b.forge(strings.TrimSuffix(b.header(), "}")+`,"jwk":{}}`, payload),
		"own key, crit":         b.forge(strings.TrimSuffix(b.header(), "}")+`,"crit":["x"]}`, payload),
		"own key, other order":  b.forge(fmt.Sprintf(`{"kid":"%s","alg":"EdDSA","typ":"JWT"}`, b.options.Key.ID()), payload),
		"no signature":          parts[0] + "." + parts[1] + ".",
		"two parts":             parts[0] + "." + parts[1],
		"four parts":            good + ".x",
		"padding":               good + "==",
		"payload swapped":       parts[0] + "." + b64(strings.Replace(payload, "acme/app", "acme/top", 1)) + "." + parts[2],
		"empty":                 "",
		"not json":              b.forge(b.header(), "hello"),
		"second document":       b.forge(b.header(), payload+"{}"),
		"unknown claim":         b.forge(b.header(), b.claims(map[string]any{"roles": []string{"admin"}})),
		"unknown resource":      b.forge(b.header(), b.claims(map[string]any{"access": []claimed{{"root", "x", nil}}})),
	} {
		_, err := b.as(home, "Bearer "+token)
		if store.CodeOf(err) != store.CodeUnauthorized {
			t.Errorf("%s: %v, want 401", name, err)
		}
	}
}

func TestC2_ScopesAreIntersectedExactly(t *testing.T) {
	for _, tc := range []struct{ asked, want string }{
		{"repository:acme/app:pull", "acme/app:pull"},
		{"repository:acme/app:pull,push", "acme/app:pull,push"},
		{"repository:acme/app:push", "acme/app:push"},
		{"repository:acme/app:delete", ""},
		{"repository:acme/app:*", "acme/app:pull,push"},
		{"repository:acme/app:pull,delete,root,,", "acme/app:pull"},
		{"repository:other/app:pull", ""},
		{"repository:acme/a:pull repository:acme/b:push", "acme/a:pull acme/b:push"},
		{"repository:acme/a:pull repository:acme/a:push", "acme/a:pull,push"},
		{"repository:acme/a:pull repository:other/b:push", "acme/a:pull"},
		{"repository:acme/a:pull repository:*:push", "error"},
		{"repository:*:pull", "error"},
		{"repository:acme/a\n:pull", "error"},
		{"repository:acme/a:pull\nrepository:other/b:pull", "error"},
		{"repository:acme/a,other/b:pull", "error"},
		{"repository:acme/a:b:pull", "error"},
		{"repository:ACME/app:pull", "error"},
		{"repository:acme/../other:pull", "error"},
		{"repository::pull", "error"},
		{"repository:acme/app", "error"},
		{"repository", "error"},
		{" ", "error"},
		{"repository(plugin):acme/app:pull", ""},
		{"registry:catalog:*", "catalog"},
		{"registry:catalog:pull", ""},
		{"", ""},
	} {
		b := newBench(t, nil)
		token, err := b.token(basic("ci", ciPassword), tc.asked)
		if tc.want == "error" {
			if code := store.CodeOf(err); code != store.CodeInvalid && code != store.CodeNameInvalid {
				t.Errorf("%q: %v, want 400", tc.asked, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tc.asked, err)
			continue
		}
		p, err := b.as(home, "Bearer "+token)
		if err != nil || !p.Token || p.Name != "ci" || p.Scopes == nil || describe(p.Scopes) != tc.want {
			t.Errorf("%q: %+v, %v: scopes %q, want %q", tc.asked, p, err, describe(p.Scopes), tc.want)
		}
	}
}

func TestC2_TokenWidensNothing(t *testing.T) {
	b := newBench(t, nil)
	token := b.mustToken(basic("ci", ciPassword), "repository:acme/app:pull,push")
	p, err := b.as(home, "Bearer "+token)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		repo   store.Name
		action access.Actions
		want   bool
	}{
		{"acme/app", access.ActionPull, true}, {"acme/app", access.ActionPush, true}, {"acme/app", access.ActionDelete, false},
		{"acme/other", access.ActionPull, false}, {"", access.ActionCatalog, false},
	} {
		if got := p.Allows(tc.repo, tc.action); got != tc.want {
			t.Errorf("%s %v: %v", tc.repo, tc.action, got)
		}
	}
	// The grants are those of the moment, not those of the token.
	if err := b.Configure(t.Context(), []access.Grant{{Who: "ci", Repositories: store.Globs{"acme/**"}, Roles: access.RolePull}}, 0); err != nil {
		t.Fatal(err)
	}
	p, err = b.as(home, "Bearer "+token)
	if err != nil || p.Roles("acme/app") != access.RolePull {
		t.Errorf("after the grant was narrowed: %v, %v", p.Roles("acme/app"), err)
	}
}

func TestC2_TooManyScopes(t *testing.T) {
	b := newBench(t, nil)
	var scopes []string
	for i := range maxScopes {
		scopes = append(scopes, fmt.Sprintf("repository:acme/a%d:pull", i))
	}
	p, err := b.as(home, "Bearer "+b.mustToken(basic("ci", ciPassword), scopes...))
	if err != nil || len(p.Scopes) != maxScopes {
		t.Errorf("%d scopes: %d, %v", maxScopes, len(p.Scopes), err)
	}
	_, err = b.token(basic("ci", ciPassword), append(scopes, "repository:acme/x:pull")...)
	wantCode(t, err, store.CodeInvalid)
	_, err = b.token(basic("ci", ciPassword), "repository:"+strings.Repeat("a", maxScopeText)+":pull")
	wantCode(t, err, store.CodeInvalid)
}

func TestC3_Claims(t *testing.T) {
	now := epoch.Unix()
	for _, tc := range []struct {
		name   string
		change map[string]any
		ok     bool
	}{
		{"good", nil, true},
		{"aud missing", map[string]any{"aud": nil}, false},
		{"aud empty", map[string]any{"aud": ""}, false},
		{"aud empty list", map[string]any{"aud": []string{}}, false},
		{"aud list of ours and another", map[string]any{"aud": []string{"assay", "other"}}, false},
		{"aud list of ours", map[string]any{"aud": []string{"assay"}}, false},
		{"aud other", map[string]any{"aud": "assay "}, false},
		{"iss trailing slash", map[string]any{"iss": "assay/"}, false},
		{"iss missing", map[string]any{"iss": nil}, false},
		{"exp 59 s ago", map[string]any{"exp": now - 59}, true},
		{"exp 60 s ago", map[string]any{"exp": now - 60}, false},
		{"exp 61 s ago", map[string]any{"exp": now - 61}, false},
		{"exp missing", map[string]any{"exp": nil}, false},
		{"exp text", map[string]any{"exp": "9999999999"}, false},
		{"exp float", map[string]any{"exp": 1e300}, false},
		{"nbf in 60 s", map[string]any{"nbf": now + 60}, true},
		{"nbf in 61 s", map[string]any{"nbf": now + 61}, false},
		{"another generation", map[string]any{"gen": "00"}, false},
		{"generation missing", map[string]any{"gen": nil}, false},
		{"user unknown", map[string]any{"sub": "root"}, false},
	} {
		b := newBench(t, nil)
		_, err := b.as(home, "Bearer "+b.forge(b.header(), b.claims(tc.change)))
		if tc.ok != (err == nil) || err != nil && store.CodeOf(err) != store.CodeUnauthorized {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestC3_RememberedTokenExpires(t *testing.T) {
	b := newBench(t, nil)
	token := "Bearer " + b.mustToken(basic("ci", ciPassword))
	for _, step := range []time.Duration{0, 5 * time.Minute, 59 * time.Second} {
		b.pass(step)
		if _, err := b.as(home, token); err != nil {
			t.Fatalf("after %v: %v", step, err)
		}
	}
	b.pass(time.Second)
	_, err := b.as(home, token)
	wantCode(t, err, store.CodeUnauthorized)
	b.pass(-10 * time.Minute) // the clock was set back: before the token existed
	_, err = b.as(home, token)
	wantCode(t, err, store.CodeUnauthorized)
}

func TestC4_HugeTokensAreNotLookedAt(t *testing.T) {
	b := newBench(t, nil)
	for name, token := range map[string]string{
		"100k dots":                strings.Repeat(".", 100_000),
		"1 MiB":                    strings.Repeat("A", 1<<20),
		"JWE":                      strings.Repeat("QUFB.", 4) + "QUFB",
		"our header, many dots":    b64(b.header()) + strings.Repeat(".", 8000),
		"our header, long payload": b64(b.header()) + "." + strings.Repeat("A", 8000) + ".AAAA",
	} {
		allocated := testing.AllocsPerRun(10, func() {
			if _, err := b.tokens.verify(token); store.CodeOf(err) != store.CodeUnauthorized {
				t.Errorf("%s: %v", name, err)
			}
		})
		if allocated > 40 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
	}
	if n := b.tokens.seen.len(); n != 0 {
		t.Errorf("%d refused tokens are remembered", n)
	}
}

func TestTokenOfADeletedUser(t *testing.T) {
	b := newBench(t, nil)
	secret, err := b.CreateUser(t.Context(), "admin", "robot", "", []access.Grant{{Repositories: store.Globs{"acme/**"}, Roles: access.RolePull}})
	if err != nil {
		t.Fatal(err)
	}
	token := "Bearer " + b.mustToken(basic("robot", secret), "repository:acme/app:pull")
	if _, err := b.as(home, token); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteUser(t.Context(), "admin", "robot"); err != nil {
		t.Fatal(err)
	}
	_, err = b.as(home, token)
	wantCode(t, err, store.CodeUnauthorized)
	// A new user of that name has a new secret: the old token is not theirs.
	if _, err := b.CreateUser(t.Context(), "admin", "robot", "", nil); err != nil {
		t.Fatal(err)
	}
	_, err = b.as(home, token)
	wantCode(t, err, store.CodeUnauthorized)
}

func TestKeyRoundTrip(t *testing.T) {
	k, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	written, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKey(written)
	if err != nil || again.ID() != k.ID() || !slices.Equal(again.private, k.private) {
		t.Errorf("%v, %v", again, err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Contains(text, "[") || strings.Contains(text, base64.StdEncoding.EncodeToString(k.private)) {
		t.Errorf("the key prints itself: %s", text)
	}
	for _, bad := range [][]byte{nil, []byte("x"), written[:40], append(slices.Clone(written), written...)} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func FuzzParseScopes(f *testing.F) {
	for _, s := range []string{"repository:a/b:pull,push", "registry:catalog:*", "repository:a:pull repository:b:*", "repository:a:b:c", "", " ", ":", "repository::", "x:y:z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		scopes, err := ParseScopes([]string{s})
		if err != nil {
			return
		}
		seen := map[store.Name]bool{}
		for _, sc := range scopes {
			if seen[sc.Repository] || sc.Actions == 0 {
				t.Fatalf("%q: %+v", s, scopes)
			}
			seen[sc.Repository] = true
			if sc.Repository == "" {
				if sc.Actions != access.ActionCatalog {
					t.Fatalf("%q: %+v", s, scopes)
				}
				continue
			}
			if _, err := store.ParseName(string(sc.Repository)); err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			// What is written again reads the same.
			text := "repository:" + string(sc.Repository) + ":" + strings.Join(ActionNames(sc.Actions), ",")
			again, err := ParseScopes([]string{text})
			if err != nil || len(again) != 1 || again[0] != sc || !strings.Contains(s, string(sc.Repository)) {
				t.Fatalf("%q: %q: %+v, %v", s, text, again, err)
			}
		}
	})
}

func FuzzVerifyToken(f *testing.F) {
	key, err := keyOf(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	tk := newTokens(key, "assay", "assay", func() time.Time { return epoch })
	good, err := tk.sign(claims{Issuer: "assay", Audience: "assay", Subject: "ci", Expires: epoch.Unix() + 300, NotBefore: epoch.Unix(), Access: []claimed{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(tk.header + "..")
	f.Add(tk.header + ".e30.AAAA")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := tk.verify(s)
		if (err == nil) != (s == good) || err == nil && p.claims.Subject != "ci" || err != nil && store.CodeOf(err) != store.CodeUnauthorized {
			t.Fatalf("%q: %+v, %v", s, p, err)
		}
	})
}
