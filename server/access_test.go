package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

func TestChallenges(t *testing.T) {
	h := newHouse(t, nil)
	const realm = `Bearer realm="http://registry.test:5000/auth/token",service="assay"`
	for _, tc := range []struct{ method, target, scope string }{
		{"GET", "/v2/", ""},
		{"HEAD", "/v2/", ""},
		{"GET", "/v2/_catalog", "registry:catalog:*"},
		{"GET", "/v2/acme/app/manifests/v1", "repository:acme/app:pull"},
		{"HEAD", "/v2/acme/app/blobs/" + sha256, "repository:acme/app:pull"},
		{"GET", "/v2/acme/app/tags/list", "repository:acme/app:pull"},
		{"GET", "/v2/acme/app/referrers/" + sha256, "repository:acme/app:pull"},
		{"PUT", "/v2/acme/app/manifests/v1", "repository:acme/app:pull,push"},
		{"POST", "/v2/acme/app/blobs/uploads/", "repository:acme/app:pull,push"},
		{"GET", "/v2/acme/app/blobs/uploads/" + upload, "repository:acme/app:pull,push"},
		{"POST", "/v2/acme/app/blobs/uploads/?mount=" + sha256 + "&from=acme/base", "repository:acme/app:pull,push repository:acme/base:pull"},
		{"POST", "/v2/acme/app/blobs/uploads/?mount=" + sha256 + "&from=acme/app", "repository:acme/app:pull,push"},
		{"POST", "/v2/acme/app/blobs/uploads/?mount=" + sha256 + "&from=%22,x=%22", "repository:acme/app:pull,push"},
		{"DELETE", "/v2/acme/app/manifests/v1", "repository:acme/app:delete"},
	} {
		want := realm
		if tc.scope != "" {
			want += `,scope="` + tc.scope + `"`
		}
		wantHeader(t, h.want(401, "", tc.method, tc.target, nil), "WWW-Authenticate", want)
	}
	w := h.want(401, "", "GET", "/v2/acme/app/manifests/v1", nil, "Authorization: Bearer nonsense")
	wantHeader(t, w, "WWW-Authenticate", realm+`,scope="repository:acme/app:pull",error="invalid_token"`)
	w = h.want(401, "", "GET", "/v2/", nil, "Authorization: Basic "+"ZGV2Ondyb25n")
	wantHeader(t, w, "WWW-Authenticate", realm)
	// What a proxy might add changes nothing.
	w = h.want(401, "", "GET", "/v2/", nil, "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example;proto=https", "X-Original-URL: /metrics")
	wantHeader(t, w, "WWW-Authenticate", realm)
	outside := newHouse(t, func(o *Options, _ *auth.Options) { o.ExternalURL = "https://registry.example" })
	wantHeader(t, outside.want(401, "", "GET", "/v2/", nil), "WWW-Authenticate", `Bearer realm="https://registry.example/auth/token",service="assay"`)
	for _, bad := range []string{"registry.example", "ftp://x", "https://x/y", "https://x/", "https://a\"b", "https://"} {
		o := outside.options
		o.ExternalURL, o.Metrics = bad, nil
		if _, err := New(o); err == nil {
			t.Errorf("the external URL %q is accepted", bad)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v2/", nil)
	r.Host = `a",realm="http://evil`
	rec := httptest.NewRecorder()
	h.handler.ServeHTTP(rec, r)
	if rec.Code != 400 || rec.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
}

func TestDockerTokenFlow(t *testing.T) {
	h := newHouse(t, nil)
	h.want(200, "dev", "GET", "/v2/", nil) // Basic, straight
	h.want(401, "dev", "GET", "/v2/", nil, "Authorization: Basic x")
	token := h.bearer("dev", "repository:acme/app:pull,push")
	h.want(200, "", "GET", "/v2/", nil, token)
	h.want(201, "", "PUT", "/v2/acme/app/manifests/v1", image("", ""), token, "Content-Type: "+store.TypeImage)
	h.want(200, "", "GET", "/v2/acme/app/manifests/v1", nil, token)
	// containerd posts a form.
	form := url.Values{"grant_type": {"password"}, "service": {"assay"}, "client_id": {"containerd"}, "username": {"dev"}, "password": {password}, "scope": {"repository:acme/app:pull"}}
	h.want(200, "", "POST", "/auth/token", []byte(form.Encode()), "Content-Type: application/x-www-form-urlencoded")
	form.Set("password", "wrong")
	w := h.want(401, "", "POST", "/auth/token", []byte(form.Encode()), "Content-Type: application/x-www-form-urlencoded")
	wantHeader(t, w, "WWW-Authenticate", `Basic realm="assay", charset="UTF-8"`, "Cache-Control", "private, no-store")
	h.want(401, "", "GET", "/auth/token?service=assay", nil)
	h.want(403, "", "POST", "/auth/token", nil, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site")
}

func TestC2_TokensAtTheDoor(t *testing.T) {
	h := newHouse(t, nil)
	h.put("dev", "acme/app", "v1", image("", ""))
	d := h.blob("dev", "acme/app", []byte("x"))
	pull := h.bearer("remover", "repository:acme/app:pull")
	h.want(200, "", "GET", "/v2/acme/app/manifests/v1", nil, pull)
	h.want(200, "", "GET", "/v2/acme/app/blobs/"+string(d), nil, pull)
	for _, tc := range []struct{ method, path string }{
		{"PUT", "/v2/acme/app/manifests/v2"}, {"POST", "/v2/acme/app/blobs/uploads/"}, {"POST", "/v2/acme/app/blobs/uploads/?mount=" + string(d) + "&from=acme/app"},
		{"DELETE", "/v2/acme/app/manifests/v1"}, {"DELETE", "/v2/acme/app/blobs/" + string(d)}, {"GET", "/v2/acme/other/manifests/v1"}, {"GET", "/v2/other/app/tags/list"},
		{"GET", "/v2/_catalog"}, {"GET", "/v2/acme/app/blobs/uploads/" + upload},
	} {
		w := h.want(401, "", tc.method, tc.path, nil, pull)
		if !strings.HasSuffix(w.Header().Get("WWW-Authenticate"), `,error="insufficient_scope"`) {
			t.Errorf("%s %s: %v", tc.method, tc.path, w.Header())
		}
	}
	h.want(202, "", "DELETE", "/v2/acme/app/manifests/v1", nil, h.bearer("remover", "repository:acme/app:delete"))
	h.want(200, "", "GET", "/v2/_catalog", nil, h.bearer("dev", "registry:catalog:*"))
	// A mount needs the token to cover the source; without, it is an upload.
	both := h.bearer("dev", "repository:acme/app:pull", "repository:acme/new:pull,push")
	h.want(201, "", "POST", "/v2/acme/new/blobs/uploads/?mount="+string(d)+"&from=acme/app", nil, both)
	h.want(202, "", "POST", "/v2/acme/new2/blobs/uploads/?mount="+string(d)+"&from=acme/app", nil, h.bearer("dev", "repository:acme/new2:pull,push"))
	// No administration, whoever it is.
	for _, path := range []string{"/api/v1/users", "/api/v1/authorities", "/metrics"} {
		h.want(401, "", "GET", path, nil, h.bearer("root", "repository:acme/app:*", "registry:catalog:*"))
	}
}

func TestC8_RolesDecide(t *testing.T) {
	h := newHouse(t, nil)
	h.put("dev", "acme/app", "v1", image("", ""))
	for _, tc := range []struct {
		user, method, path string
		status             int
	}{
		{"reader", "GET", "/v2/acme/app/manifests/v1", 200}, {"reader", "PUT", "/v2/acme/app/manifests/v1", 404}, {"reader", "POST", "/v2/acme/app/blobs/uploads/", 404},
		{"dev", "DELETE", "/v2/acme/app/manifests/v1", 404}, {"other", "GET", "/v2/acme/app/manifests/v1", 404}, {"other", "PUT", "/v2/acme/app/manifests/v1", 404},
	} {
		h.want(tc.status, tc.user, tc.method, tc.path, image("", ""), "Content-Type: "+store.TypeImage)
	}
}

func TestC10_UploadsBelongToWhoBeganThem(t *testing.T) {
	h := newHouse(t, nil)
	at := h.want(202, "dev", "POST", "/v2/acme/app/blobs/uploads/", nil).Header().Get("Location")
	id := strings.TrimPrefix(at, "/v2/acme/app/blobs/uploads/")
	for _, tc := range []struct{ user, path string }{
		{"remover", at}, {"other", at}, {"reader", at}, {"dev", "/v2/acme/other/blobs/uploads/" + id}, {"other", "/v2/other/app/blobs/uploads/" + id},
		{"dev", "/v2/acme/app/blobs/uploads/" + upload}, {"dev", "/v2/acme/app/blobs/uploads/..%2f" + id}, {"dev", "/v2/acme/app/blobs/uploads/" + strings.ToUpper(id) + "a"},
		{"dev", at + "/"}, {"dev", "/v2/acme/app/blobs/uploads/" + id[:31]},
	} {
		for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
			h.want(404, tc.user, method, tc.path+"?digest="+sha256+"&_state=forged", []byte("x"))
		}
	}
	h.want(401, "", "GET", at, nil)
	h.want(201, "dev", "PUT", at+"?digest="+sha256, []byte{})
}

func TestC11_KnowingADigestIsNotHavingIt(t *testing.T) {
	h := newHouse(t, nil)
	d := string(h.blob("other", "other/app", []byte("private")))
	h.want(404, "dev", "HEAD", "/v2/acme/app/blobs/"+d, nil)
	h.want(404, "dev", "GET", "/v2/other/app/blobs/"+d, nil)
	h.want(400, "dev", "POST", "/v2/acme/app/blobs/uploads/?digest="+d, []byte{})
	at := h.want(202, "dev", "POST", "/v2/acme/app/blobs/uploads/?mount="+d+"&from=other/app", nil).Header().Get("Location")
	h.want(400, "dev", "PUT", at+"?digest="+d, nil)
	h.want(404, "dev", "HEAD", "/v2/acme/app/blobs/"+d, nil)
}

func TestC13_AnonymousLearnsNothing(t *testing.T) {
	h := newHouse(t, nil)
	h.put("dev", "acme/app", "v1", image("", ""))
	for _, path := range []string{
		"/v2/_catalog", "/v2/acme/app/tags/list", "/v2/acme/app/referrers/" + sha256, "/v2/acme/app/manifests/v1", "/v2/acme/none/manifests/v1", "/metrics", "/debug/pprof/",
		"/debug/vars", "/api/v1/users", "/api/v1/authorities", "/api/v1/check", "//v2/", "/v2/../", "/v2/%2e%2e/", "/v2/..%2f_catalog", "/v2/;x", "/v2/_catalog;x", "/V2/", "/V2/_catalog",
		"/v2/_catalog/", "/v2//_catalog", "/v2/./_catalog", "/v2/acme/app/manifests/v1;x", "/v2/acme/app/manifests/v1/", "/v2/A/manifests/v1", "/v2/acme/app/blobs/nonsense",
		"//metrics", "/metrics/", "/metrics;x", "/./metrics", "/v2/../metrics", "/v2/../api/v1/users", "/", "/index.html", "/api", "/api/v1", "/api/v2/users", "/healthz/../metrics",
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			w := h.ask("", method, path, nil, "X-Original-URL: /healthz", "X-HTTP-Method-Override: GET", "X-Rewrite-URL: /v2/")
			if w.Code != 401 && w.Code != 404 && w.Code != 405 || method == "GET" && w.Code == 405 {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
			if strings.HasPrefix(path, "/v2/") && w.Code != 401 {
				t.Errorf("%s %s: %d tells that there is (not) something", method, path, w.Code)
			}
			if w.Header().Get("Location") != "" {
				t.Errorf("%s %s redirects to %s", method, path, w.Header().Get("Location"))
			}
			checkAnswer(t, method+" "+path, w)
		}
	}
	h.want(200, "", "GET", "/healthz", nil)
	h.want(200, "", "GET", "/readyz", nil)
}

func TestC13_MetricsAreForThisMachine(t *testing.T) {
	h := newHouse(t, nil)
	from := func(h *house, addr, user string, headers ...string) int {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
		r.RemoteAddr = addr
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		return w.Code
	}
	for _, tc := range []struct {
		want       int
		addr, user string
		headers    []string
	}{
		{200, "127.0.0.1:1", "", nil}, {200, "[::1]:1", "", nil}, {200, "[::ffff:127.0.0.1]:1", "", nil}, {401, "192.0.2.7:1", "", nil}, {403, "192.0.2.7:1", "dev", nil},
		{200, "192.0.2.7:1", "root", nil}, {401, "192.0.2.7:1", "", []string{"X-Forwarded-For: 127.0.0.1"}}, {401, "127.0.0.1:1", "", []string{"X-Forwarded-For: 127.0.0.1"}},
		{401, "127.0.0.1:1", "", []string{"Forwarded: for=127.0.0.1"}}, {401, "nonsense", "", nil},
	} {
		if got := from(h, tc.addr, tc.user, tc.headers...); got != tc.want {
			t.Errorf("%+v: %d", tc, got)
		}
	}
	if got := from(newHouse(t, func(o *Options, _ *auth.Options) { o.PublicMetrics = true }), "192.0.2.7:1", ""); got != 200 {
		t.Errorf("public: %d", got)
	}
}

func TestC15_TooManyLogins(t *testing.T) {
	h := newHouse(t, func(_ *Options, a *auth.Options) { a.Clock = func() time.Time { return testTime } })
	wrong := "Authorization: Basic ZGV2Ondyb25n"
	var w *httptest.ResponseRecorder
	for range 30 {
		w = h.ask("", "GET", "/v2/", nil, wrong)
	}
	if w.Code != 429 || w.Header().Get("Retry-After") != "6" || problem(t, "GET", w).Code != store.CodeTooManyRequests {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v2/", nil)
	r.RemoteAddr = "198.51.100.1:1"
	r.SetBasicAuth("reader", password)
	rec := httptest.NewRecorder()
	h.handler.ServeHTTP(rec, r)
	if rec.Code != 200 {
		t.Errorf("an honest user: %d", rec.Code)
	}
}

func TestClientAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, tc := range []struct {
		remote    string
		forwarded []string
		want      string
		direct    bool
	}{
		{"192.0.2.1:80", nil, "192.0.2.1", true},
		{"[::ffff:192.0.2.1]:80", nil, "192.0.2.1", true},
		{"[fe80::1%eth0]:80", nil, "fe80::1", true},
		{"192.0.2.1:80", []string{"203.0.113.9"}, "192.0.2.1", false},
		{"10.0.0.1:80", []string{"203.0.113.9"}, "203.0.113.9", false},
		{"10.0.0.1:80", []string{"198.51.100.1, 203.0.113.9, 10.1.1.1"}, "203.0.113.9", false},
		{"10.0.0.1:80", []string{"198.51.100.1", "203.0.113.9"}, "203.0.113.9", false},
		{"10.0.0.1:80", []string{"127.0.0.1, nonsense"}, "10.0.0.1", false},
		{"10.0.0.1:80", []string{""}, "10.0.0.1", false},
		{"@", nil, "invalid IP", false},
	} {
		r := &http.Request{RemoteAddr: tc.remote, Header: http.Header{}}
		if tc.forwarded != nil {
			r.Header["X-Forwarded-For"] = tc.forwarded
		}
		if got, direct := client(r, proxies); got.String() != tc.want || direct != tc.direct {
			t.Errorf("%+v: %v, %v", tc, got, direct)
		}
	}
}

func TestErrorsAreRenderedOnce(t *testing.T) {
	h := newHouse(t, nil)
	const secret = "the disk at /dev/sdq said so"
	for _, tc := range []struct {
		err    error
		status int
		code   store.Code
	}{
		{errors.New(secret), 500, store.CodeUnsupported},
		{fmt.Errorf("wrapped: %w", io.ErrClosedPipe), 500, store.CodeUnsupported},
		{store.Errorf(store.CodeInternal, "%w", errors.New(secret)), 500, store.CodeUnsupported},
		{&store.Error{Code: "NO_SUCH_CODE", Message: "x"}, 500, store.CodeUnsupported},
		{fmt.Errorf("wrapped: %w", &store.Error{Code: store.CodeDenied, Message: "unsigned", Cause: errors.New(secret)}), 403, store.CodeDenied},
		{&store.Error{Code: store.CodeStorageFull, Message: "the disk is full", Cause: errors.New(secret)}, 507, store.CodeUnsupported},
		{&store.Error{Code: store.CodeUnavailable, Message: "later", Cause: errors.New(secret)}, 503, store.CodeUnsupported},
		{store.Errorf(store.CodeUnavailable, "later: %w", errors.New(secret)), 503, store.CodeUnsupported},
		{store.Errorf(store.CodeStorageFull, "%w is full", errors.New(secret)), 507, store.CodeUnsupported},
		{&store.Error{Code: store.CodeConflict, Message: "immutable"}, 409, store.CodeDenied},
		{&store.Error{Code: store.CodeTooManyRequests, Message: "slow down"}, 429, store.CodeTooManyRequests},
	} {
		h.registry.fail = tc.err
		w := h.want(tc.status, "dev", "GET", "/v2/acme/app/manifests/v1", nil)
		e := problem(t, "GET", w)
		if e.Code != tc.code || strings.Contains(w.Body.String(), secret) {
			t.Errorf("%v: %+v", tc.err, e)
		}
		if tc.status == 500 && (e.Detail == "" || !strings.Contains(h.log.String(), `"id":"`+e.Detail+`"`) || !strings.Contains(e.Message, e.Detail)) {
			t.Errorf("%v: the id %q is not in the log", tc.err, e.Detail)
		}
		if tc.status == 429 {
			wantHeader(t, w, "Retry-After", "5")
		}
		h.want(tc.status, "dev", "HEAD", "/v2/acme/app/manifests/v1", nil)
	}
	if n := strings.Count(h.log.String(), secret); n < 6 { // GET and HEAD of each of the first, third, sixth and seventh
		t.Errorf("the log has the cause %d times", n)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *auth.Options) {
		o.Registry = func(access.Principal) store.Registry { panic("boom\x1b") }
	})
	w := h.want(500, "dev", "GET", "/v2/acme/app/manifests/v1", nil)
	if strings.Contains(w.Body.String(), "boom") || !strings.Contains(h.log.String(), `boom\u001b`) || !strings.Contains(h.log.String(), "TestPanicsAreAnswered") {
		t.Errorf("%s\n%s", w.Body, h.log)
	}
}

func TestTheClientThatWentAway(t *testing.T) {
	h := newHouse(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.registry.fail = ctx.Err()
	r := httptest.NewRequestWithContext(ctx, "GET", "/v2/acme/app/manifests/v1", nil)
	r.SetBasicAuth("dev", password)
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("%v", p)
		}
		if !strings.Contains(h.log.String(), `"status":499`) || strings.Contains(h.log.String(), `"level":"ERROR"`) {
			t.Errorf("%s", h.log)
		}
	}()
	h.handler.ServeHTTP(httptest.NewRecorder(), r)
}

func TestReadiness(t *testing.T) {
	var problem error
	h := newHouse(t, func(o *Options, _ *auth.Options) {
		o.Ready = func(ctx context.Context) error {
			if d, ok := ctx.Deadline(); !ok || time.Until(d) > readyTimeout {
				return errors.New("no deadline")
			}
			return problem
		}
	})
	h.want(200, "", "GET", "/readyz", nil)
	problem = errors.New("bolt is gone")
	if w := h.want(503, "", "GET", "/readyz", nil); strings.Contains(w.Body.String(), "bolt") {
		t.Errorf("%s", w.Body)
	}
	h.want(503, "", "HEAD", "/readyz", nil)
	h.want(200, "", "GET", "/healthz", nil)
	problem = nil
	h.handler.Drain()
	h.want(503, "", "GET", "/readyz", nil)
	h.want(200, "", "GET", "/healthz", nil)
	h.want(401, "", "GET", "/v2/", nil) // what still comes is answered
	h.want(405, "", "POST", "/healthz", nil)
}
