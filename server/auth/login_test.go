package auth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

func TestAuthenticate(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Anonymous = access.RolePull })
	p, err := b.as(home)
	if err != nil || p.Kind != access.KindAnonymous || p.Name != "" || !p.Challenge || p.Token || p.Roles("x") != access.RolePull || p.Client != "192.0.2.7" {
		t.Errorf("nobody: %+v, %v", p, err)
	}
	p, err = b.as(home, basic("ci", ciPassword))
	if err != nil || p.Kind != access.KindUser || p.Name != "ci" || p.Roles("acme/app") != access.RolePull|access.RolePush || p.Roles("other") != access.RolePull || p.Token {
		t.Errorf("ci: %+v, %v", p, err)
	}
	for name, headers := range map[string][]string{
		"wrong password": {basic("ci", "wrong")}, "unknown user": {basic("nobody", ciPassword)}, "no password": {basic("ci", "")},
		"no name": {basic("", ciPassword)}, "not base64": {"Basic !!!"}, "no colon": {"Basic Y2k="}, "empty": {""}, "scheme alone": {"Basic"},
		"another scheme": {"Digest x"}, "bearer alone": {"Bearer "}, "two headers": {basic("ci", ciPassword), basic("ci", ciPassword)},
		"72 bytes and more": {basic("ci", ciPassword+strings.Repeat("x", 200))},
	} {
		if _, err := b.as(home, headers...); store.CodeOf(err) != store.CodeUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPasswordsBeyondWhatBcryptReads(t *testing.T) {
	long := strings.Repeat("p", maxPassword)
	b := newBench(t, nil)
	b.file["users.htpasswd"].Data = []byte("long:" + hashOf(t, long, minCost) + "\n")
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.as(home, basic("long", long)); err != nil {
		t.Error(err)
	}
	_, err := b.as(home, basic("long", long+"x")) // bcrypt alone would accept it
	wantCode(t, err, store.CodeUnauthorized)
}

func TestTokenEndpoint(t *testing.T) {
	b := newBench(t, nil)
	get := func(query, authorization string) error {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/auth/token?"+query, nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		_, err := b.answer(r)
		return err
	}
	post := func(contentType string, form url.Values) error {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/auth/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", contentType)
		_, err := b.answer(r)
		return err
	}
	const formType = "application/x-www-form-urlencoded"
	good := url.Values{"grant_type": {"password"}, "username": {"ci"}, "password": {ciPassword}, "service": {"assay"}, "scope": {"repository:acme/app:pull"}, "client_id": {"containerd"}}
	with := func(key, value string) url.Values {
		v := url.Values{}
		for k, old := range good {
			v[k] = old
		}
		v.Set(key, value)
		return v
	}
	for name, tc := range map[string]struct {
		err  error
		want store.Code
	}{
		"get":                 {get("service=assay", basic("ci", ciPassword)), ""},
		"get without service": {get("", basic("ci", ciPassword)), ""},
		"get, other service":  {get("service=other", basic("ci", ciPassword)), store.CodeInvalid},
		"get, wrong":          {get("service=assay", basic("ci", "wrong")), store.CodeUnauthorized},
		"get, nobody":         {get("service=assay", ""), store.CodeUnauthorized},
		"get, bad query":      {get("a=%zz", basic("ci", ciPassword)), store.CodeInvalid},
		"get, semicolon":      {get("a=1;b=2", basic("ci", ciPassword)), store.CodeInvalid},
		"get, long query":     {get(strings.Repeat("a", maxForm+1), basic("ci", ciPassword)), store.CodeInvalid},
		"get with a token":    {get("", "Bearer "+b.mustToken(basic("ci", ciPassword))), store.CodeUnauthorized},
		"post":                {post(formType, good), ""},
		"post with charset":   {post(formType+"; charset=utf-8", good), ""},
		"post json":           {post("application/json", good), store.CodeMediaType},
		"post, wrong":         {post(formType, with("password", "wrong")), store.CodeUnauthorized},
		"post, refresh":       {post(formType, with("grant_type", "refresh_token")), store.CodeInvalid},
		"post, other service": {post(formType, with("service", "x")), store.CodeInvalid},
		"post, long":          {post(formType, with("x", strings.Repeat("x", maxForm))), store.CodeManifestTooBig},
	} {
		if got := store.CodeOf(tc.err); got != tc.want {
			t.Errorf("%s: %v, want %q", name, tc.err, tc.want)
		}
	}
}

func TestAnonymousToken(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Anonymous = access.RolePull })
	p, err := b.as(home, "Bearer "+b.mustToken("", "repository:acme/app:pull,push"))
	if err != nil || p.Authenticated() || !p.Token || describe(p.Scopes) != "acme/app:pull" || p.Roles("acme/app") != access.RolePull {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestC14_UnknownUserCostsTheSame(t *testing.T) {
	b := newBench(t, nil)
	// Two costs are in use: whoever knocks, both are paid.
	b.file["users.htpasswd"].Data = []byte("cheap:" + hashOf(t, "a password", minCost) + "\ndear:" + hashOf(t, "b password", minCost+1) + "\n")
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	var paid []int
	b.logins.compare = func(hash, password []byte) error {
		c, err := bcrypt.Cost(hash)
		if err != nil {
			t.Error(err)
		}
		paid = append(paid, c)
		return bcrypt.CompareHashAndPassword(hash, password)
	}
	for _, tc := range []struct{ name, password string }{
		{"cheap", "wrong"}, {"dear", "wrong"}, {"nobody", "wrong"}, {"", ""}, {"cheap", ""}, {"nobody", strings.Repeat("x", 500)},
		{"dear", strings.Repeat("x", 500)}, {"nobody", strings.Repeat(".", 53)}, {"cheap", "a password"}, {"dear", "b password"},
	} {
		paid = nil
		_, err := b.as(home, basic(tc.name, tc.password))
		if right := strings.HasSuffix(tc.password, " password"); right != (err == nil) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if !slices.Equal(paid, []int{minCost, minCost + 1}) {
			t.Errorf("%s, %d bytes: paid %v", tc.name, len(tc.password), paid)
		}
	}
}

func TestLoginIsRememberedUntilTheHashChanges(t *testing.T) {
	b := newBench(t, nil)
	var mu sync.Mutex
	compared := 0
	b.logins.compare = func(hash, password []byte) error {
		mu.Lock()
		defer mu.Unlock()
		compared++
		return bcrypt.CompareHashAndPassword(hash, password)
	}
	var parallel sync.WaitGroup
	for range 8 {
		parallel.Go(func() {
			if _, err := b.as(home, basic("ci", ciPassword)); err != nil {
				t.Error(err)
			}
		})
	}
	parallel.Wait()
	if compared > cap(b.logins.slots) {
		t.Errorf("8 equal logins at once: %d compares", compared)
	}
	before := compared
	b.pass(loginTTL)
	if _, err := b.as(home, basic("ci", ciPassword)); err != nil || compared != before+1 {
		t.Errorf("after the memory ended: %d compares, %v", compared-before, err)
	}
	b.file["users.htpasswd"].Data = []byte("ci:" + hashOf(t, "another password", minCost) + "\n")
	b.file["users.htpasswd"].ModTime = b.clock()
	b.pass(refreshEvery)
	_, err := b.as(home, basic("ci", ciPassword))
	wantCode(t, err, store.CodeUnauthorized)
	if _, err := b.as(home, basic("ci", "another password")); err != nil {
		t.Error(err)
	}
}

func TestC15_GuessingIsLimited(t *testing.T) {
	b := newBench(t, nil)
	limited := 0
	for i := range 1000 { // one minute of it
		_, err := b.as(home, basic("ci", fmt.Sprint("guess", i)))
		switch store.CodeOf(err) {
		case store.CodeTooManyRequests:
			limited++
		case store.CodeUnauthorized:
		default:
			t.Fatal(err)
		}
		b.pass(60 * time.Millisecond)
	}
	if tried := 1000 - limited; tried > sourceBurst+int(time.Minute/sourceEvery)+1 {
		t.Errorf("%d guesses got through", tried)
	}
	_, err := b.as(home, basic("ci", "guess"))
	for store.CodeOf(err) == store.CodeUnauthorized {
		_, err = b.as(home, basic("ci", "guess"))
	}
	var l interface{ RetryAfter() time.Duration }
	if e, ok := err.(*store.Error); !ok || e.Cause == nil {
		t.Fatalf("%v", err)
	} else if l, ok = e.Cause.(interface{ RetryAfter() time.Duration }); !ok || l.RetryAfter() <= 0 || l.RetryAfter() > sourceEvery {
		t.Errorf("Retry-After %v", l)
	}
	// Right credentials from elsewhere, for the same and for another user.
	elsewhere := netip.MustParseAddr("198.51.100.1")
	for _, header := range []string{basic("ci", ciPassword), basic("signer", signerPassword)} {
		if _, err := b.as(elsewhere, header); err != nil {
			t.Errorf("an honest user: %v", err)
		}
	}
	// Right credentials that were used before, from the very address that is limited.
	if _, err := b.as(home, basic("ci", ciPassword)); err != nil {
		t.Errorf("known credentials: %v", err)
	}
}

func TestC15_ManySourcesOneName(t *testing.T) {
	b := newBench(t, nil)
	b.logins.compare = func([]byte, []byte) error { return bcrypt.ErrMismatchedHashAndPassword }
	friendly := netip.MustParseAddr("2001:db8:1::1")
	b.logins.limiter.succeeded("ci", Source(friendly))
	limited := 0
	for i := range 1000 {
		source := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0xff, 0, byte(i >> 8), byte(i), 15: 1})
		if _, err := b.as(source, basic("ci", "guess")); store.CodeOf(err) == store.CodeTooManyRequests {
			limited++
		}
	}
	if 1000-limited > principalBurst {
		t.Errorf("%d guesses got through", 1000-limited)
	}
	// Where ci logged in before, another host of that /64 may still try.
	_, err := b.as(netip.MustParseAddr("2001:db8:1::2"), basic("ci", "typo"))
	wantCode(t, err, store.CodeUnauthorized)
	// Another user is not concerned.
	_, err = b.as(netip.MustParseAddr("2001:db8:2::2"), basic("signer", "typo"))
	wantCode(t, err, store.CodeUnauthorized)
}

func TestC15_MemoryIsBounded(t *testing.T) {
	l := newLimiter(func() time.Time { return epoch })
	for i := range 3 * sourcesKept {
		l.take(fmt.Sprint("user", i), Source(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})))
	}
	if l.sources.len() != sourcesKept || l.principals.len() != principalsKept {
		t.Errorf("%d sources, %d names", l.sources.len(), l.principals.len())
	}
}

func TestSource(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := Source(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	if got := Source(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: %v", got)
	}
}

func TestC19_SecretsAreNotLogged(t *testing.T) {
	const canary = "CANARY-9f2c"
	b := newBench(t, nil)
	var said []string
	note := func(err error) {
		if err != nil {
			said = append(said, err.Error())
			if e, ok := err.(*store.Error); ok {
				said = append(said, e.Message, e.Detail, fmt.Sprint(e.Cause))
			}
		}
	}
	for _, header := range []string{
		basic("ci", canary), basic(canary, "x"), basic(canary, canary), "Basic " + canary, "Bearer " + canary, "Bearer a." + canary + ".b", canary + " x", canary,
		"Bearer " + b.tokens.header + "." + canary + "." + canary,
	} {
		_, err := b.as(home, header)
		note(err)
		_, err = b.token(header, "repository:"+canary+":pull")
		note(err)
	}
	_, err := b.token(basic("ci", ciPassword), canary)
	note(err)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/auth/token", strings.NewReader("grant_type=password&username="+canary+"&password="+canary+"&%zz"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, err = b.answer(r)
	note(err)
	_, err = ParseHtpasswd(strings.NewReader(canary + ":" + canary + "\n" + canary))
	note(err)
	_, err = ParseKey([]byte(canary))
	note(err)
	b.file["users.htpasswd"].Data = []byte(canary + ":" + canary)
	note(b.Reload(t.Context()))
	_, err = b.CreateUser(t.Context(), "admin", "robot", canary+" long enough", nil)
	note(err)
	_, err = b.CreateUser(t.Context(), "admin", "robot2", strings.Repeat(canary, 30), nil)
	note(err)
	if len(said) < 20 {
		t.Fatalf("only %d errors: the test is blind", len(said))
	}
	if all := strings.Join(said, "\n") + b.log.String(); strings.Contains(all, canary) || strings.Contains(all, ciPassword) {
		t.Errorf("a secret was told:\n%s", all)
	}
	for name, doc := range b.docs.docs {
		if strings.Contains(string(doc), canary) {
			t.Errorf("the document of %s holds a secret", name)
		}
	}
}
