package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

func connect(t *testing.T, h http.Handler, c docker.Credentials) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := New(Options{Server: u, Credentials: c, Agent: "assay/test"})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, map[string]any{"errors": []any{map[string]any{"code": code, "message": message, "detail": "short"}}})
}

func TestRequestsOfTheAPI(t *testing.T) {
	var got []string
	c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		body := make([]byte, 1000)
		n, _ := r.Body.Read(body)
		got = append(got, fmt.Sprintf("%s %s %s:%s %s", r.Method, r.URL.RequestURI(), user, password, body[:n]))
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		reply(w, http.StatusOK, map[string]any{})
	}), docker.Credentials{User: "u", Password: "p"})
	ctx := t.Context()
	ref, err := docker.ParseRef("acme/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	d := store.DigestOf(digest.SHA256, nil)
	check := func(_ any, err error) {
		if err != nil {
			t.Error(err)
		}
	}
	check(c.Explain(ctx, ref))
	check(c.Tree(ctx, ref))
	check(c.Verify(ctx, ref))
	check(c.Decision(ctx, "D-1"))
	check(c.AddAuthority(ctx, verify.Authority{Name: "n", Kind: "key", Keys: []verify.Key{{ID: "sha256:00", PEM: "P"}}, Repositories: store.Globs{"**"}}))
	check(c.RemoveAuthority(ctx, "n"))
	check(c.RevokeTrust(ctx, "n", Distrust{Kind: trust.RevokedKey, Value: "sha256:00", Reason: "lost"}))
	check(c.RestoreTrust(ctx, "n", Distrust{Kind: trust.RevokedKey, Value: "sha256:00"}))
	check(c.TrustRevocations(ctx))
	check(c.TrustStatus(ctx))
	check(c.UpdateTrust(ctx, ""))
	check(c.ImportTrust(ctx, "n", []byte("tar")))
	check(c.Revoke(ctx, NewRevocation{"acme/**", d, "why"}))
	check(c.Lift(ctx, "R-1"))
	check(c.Restore(ctx, "acme/app", d))
	check(c.Audit(ctx, "k", 7))
	check(c.AddUser(ctx, NewUser{Name: "ci", Grants: []UserGrant{{store.Globs{"**"}, []string{"pull"}}}}))
	check(c.RemoveUser(ctx, "ci"))
	check(c.Check(ctx))
	check(nil, c.Ping(ctx))
	want := []string{
		"GET /api/v1/explain?reference=v1&repository=acme%2Fapp u:p ",
		"GET /api/v1/tree?reference=v1&repository=acme%2Fapp u:p ",
		"GET /api/v1/verify?reference=v1&repository=acme%2Fapp u:p ",
		"GET /api/v1/decisions/D-1 u:p ",
		`POST /api/v1/authorities u:p {"name":"n","kind":"key","keys":[{"id":"","pem":"P"}],"repositories":["**"]}`,
		"DELETE /api/v1/authorities/n u:p ",
		`POST /api/v1/authorities/n/revoke u:p {"kind":"key","value":"sha256:00","reason":"lost"}`,
		`POST /api/v1/authorities/n/restore u:p {"kind":"key","value":"sha256:00"}`,
		"GET /api/v1/trust/revocations u:p ",
		"GET /api/v1/trust/status u:p ",
		"POST /api/v1/trust/update u:p {}",
		"POST /api/v1/trust/import/n u:p tar",
		`POST /api/v1/revocations u:p {"repository":"acme/**","digest":"` + string(d) + `","reason":"why"}`,
		"DELETE /api/v1/revocations/R-1 u:p ",
		`POST /api/v1/restore u:p {"digest":"` + string(d) + `","repository":"acme/app"}`,
		"GET /api/v1/audit?after=k&n=7 u:p ",
		`POST /api/v1/users u:p {"name":"ci","grants":[{"repositories":["**"],"roles":["pull"]}]}`,
		"DELETE /api/v1/users/ci u:p ",
		"GET /api/v1/check u:p ",
		"GET /v2/ u:p ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("requests:\n%s", strings.Join(got, "\n"))
	}
}

func TestAnswersKeepWhatTheyHold(t *testing.T) {
	c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"allowed":true,"state":"admitted","facts":[],"added_later":1}`)
	}), docker.Credentials{})
	v, err := c.Verify(t.Context(), docker.Ref{Repository: "a", Reference: store.Reference{Tag: "b"}})
	if err != nil || !v.Value.Allowed || v.Value.State != store.StateAdmitted || !strings.Contains(string(v.Raw), "added_later") {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		creds  docker.Credentials
		answer http.HandlerFunc
		status int
		want   string
	}{
		{"the server's words", docker.Credentials{}, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, "DENIED", "It is not signed.") }, 403, "It is not signed."},
		{"no words", docker.Credentials{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 404, "no such thing"},
		{"a page of a proxy", docker.Credentials{}, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>oops", http.StatusBadGateway) }, 502, "502 Bad Gateway"},
		{"who asks", docker.Credentials{}, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, "UNAUTHORIZED", "x") }, 401, "assay login"},
		{"wrong password", docker.Credentials{User: "u", Password: "p"}, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, "UNAUTHORIZED", "x") }, 401, `credentials of "u"`},
		{"redirect of a POST is not followed", docker.Credentials{}, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, 0, "not followed"},
		{"not JSON", docker.Credentials{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }, 0, "does not understand"},
		{"endless", docker.Credentials{}, func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range maxJSON>>20 + 2 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, 0, "larger than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := connect(t, test.answer, test.creds).AddUser(t.Context(), NewUser{})
			var s *StatusError
			if errors.As(err, &s) != (test.status != 0) || s != nil && s.Status != test.status || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	u, _ := url.Parse("http://127.0.0.1:1")
	c, err := New(Options{Server: u})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "assay serve") {
		t.Errorf("%v", err)
	}
}

// TestD14_TokenFlow: a challenge is followed to the server itself and nowhere else, with the credentials or without.
func TestD14_TokenFlow(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("somebody else was asked: %s %v", r.URL, r.Header)
	}))
	defer elsewhere.Close()
	for _, test := range []struct {
		name, realm string
		creds       docker.Credentials
		basic       string // what the token endpoint sees
		wrong       string
	}{
		{"anonymous", "", docker.Credentials{}, "", ""},
		{"with credentials", "", docker.Credentials{User: "u", Password: "p"}, "u:p", ""},
		{"foreign realm", elsewhere.URL + "/auth/token", docker.Credentials{User: "u", Password: "p"}, "", "elsewhere"},
		{"no realm", "-", docker.Credentials{}, "", "elsewhere"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var srv *httptest.Server
			mux := http.NewServeMux()
			mux.HandleFunc("/v2/", func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "Bearer good" {
					reply(w, 200, map[string]any{"repositories": []string{"a"}})
					return
				}
				realm := test.realm
				if realm == "" {
					realm = srv.URL + "/auth/token"
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="assay",scope="registry:catalog:*"`, realm))
				refuse(w, 401, "UNAUTHORIZED", "x")
			})
			mux.HandleFunc("/auth/token", func(w http.ResponseWriter, r *http.Request) {
				user, password, ok := r.BasicAuth()
				if ok != (test.basic != "") || ok && user+":"+password != test.basic || r.URL.RawQuery != "scope=registry%3Acatalog%3A%2A&service=assay" {
					t.Errorf("asked for a token with %s:%s and %s", user, password, r.URL.RawQuery)
				}
				reply(w, 200, map[string]any{"token": "good"})
			})
			srv = httptest.NewServer(mux)
			defer srv.Close()
			u, _ := url.Parse(srv.URL)
			c, err := New(Options{Server: u, Credentials: test.creds})
			if err != nil {
				t.Fatal(err)
			}
			names, err := c.Repositories(t.Context())
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || len(names) != 1 {
				t.Errorf("%v, %v", names, err)
			}
		})
	}
}

func TestPagesOfTheCatalog(t *testing.T) {
	c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("last") {
		case "":
			w.Header().Set("Link", `<https://evil.example/v2/_catalog?n=1&last=a>; rel="next"`) // only the query counts
			reply(w, 200, map[string]any{"repositories": []string{"a"}})
		case "a":
			reply(w, 200, map[string]any{"repositories": []string{"b"}})
		}
	}), docker.Credentials{User: "u", Password: "p"})
	names, err := c.Repositories(t.Context())
	if err != nil || strings.Join(names, " ") != "a b" {
		t.Errorf("%v, %v", names, err)
	}
}

// shelf serves manifests, blobs and referrers of one repository.
type shelf struct {
	content   map[string][]byte
	tags      map[string]string
	referrers map[string][]map[string]any
}

func (s *shelf) put(b []byte) string {
	d := string(store.DigestOf(digest.SHA256, b))
	s.content[d] = b
	return d
}

func (s *shelf) putJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return s.put(b)
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, _ := strings.CutPrefix(r.URL.Path, "/v2/acme/app/")
	kind, ref, _ := strings.Cut(rest, "/")
	if d, ok := s.tags[ref]; ok {
		ref = d
		w.Header().Set("Docker-Content-Digest", d)
	}
	if kind == "referrers" {
		reply(w, 200, map[string]any{"manifests": append([]map[string]any{}, s.referrers[ref]...)})
		return
	}
	b, ok := s.content[ref]
	if !ok {
		refuse(w, 404, "MANIFEST_UNKNOWN", "there is no such thing")
		return
	}
	_, _ = w.Write(b)
}

func (s *shelf) attach(subject, mediaType, created string, doc []byte) {
	layer := s.put(doc)
	m := s.putJSON(map[string]any{"layers": []any{map[string]any{"mediaType": mediaType, "digest": layer, "size": len(doc)}}})
	s.referrers[subject] = append(s.referrers[subject], map[string]any{"digest": m, "artifactType": mediaType, "annotations": map[string]string{"org.opencontainers.image.created": created}})
}

func newShelf() *shelf {
	return &shelf{content: map[string][]byte{}, tags: map[string]string{}, referrers: map[string][]map[string]any{}}
}

func TestSBOM(t *testing.T) {
	s := newShelf()
	image := s.putJSON(map[string]any{"layers": []any{}, "name": "amd64"})
	arm := s.putJSON(map[string]any{"layers": []any{}, "name": "arm"})
	platform := func(os, arch, variant string) map[string]any {
		return map[string]any{"os": os, "architecture": arch, "variant": variant}
	}
	index := s.putJSON(map[string]any{"manifests": []any{
		map[string]any{"digest": image, "platform": platform("linux", "amd64", "")},
		map[string]any{"digest": arm, "platform": platform("linux", "arm", "v7")},
		map[string]any{"digest": arm, "platform": platform("unknown", "unknown", ""), "annotations": map[string]string{"vnd.docker.reference.type": "attestation-manifest"}},
	}})
	s.tags["one"], s.tags["many"] = image, index
	s.attach(image, "application/spdx+json", "2026-01-01T00:00:00Z", []byte(`{"old":1}`))
	s.attach(image, "application/spdx+json", "2026-02-01T00:00:00Z", []byte(`{"new":1}`))
	s.attach(image, "application/vnd.cyclonedx+json", "", []byte(`{"cdx":1}`))
	s.attach(arm, "application/spdx+json", "", []byte(`{"arm":1}`))
	c := connect(t, s, docker.Credentials{})
	for _, test := range []struct {
		ref      string
		format   sbom.Format
		platform string
		want     string
		wrong    string
		missing  bool
	}{
		{"acme/app:one", sbom.SPDX, "", `{"new":1}`, "", false},
		{"acme/app@" + image, sbom.CycloneDX, "", `{"cdx":1}`, "", false},
		{"acme/app:many", sbom.SPDX, "linux/amd64", `{"new":1}`, "", false},
		{"acme/app:many", sbom.SPDX, "linux/arm", `{"arm":1}`, "", false},
		{"acme/app:many", sbom.SPDX, "linux/arm/v7", `{"arm":1}`, "", false},
		{"acme/app:many", sbom.SPDX, "", "", "--platform: linux/amd64, linux/arm/v7", false},
		{"acme/app:many", sbom.SPDX, "windows/amd64", "", "no platform", true},
		{"acme/app:many", sbom.CycloneDX, "linux/arm", "", "no SBOM", true},
		{"acme/app:none", sbom.SPDX, "", "", "no such thing", false},
	} {
		ref, err := docker.ParseRef(test.ref)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := c.SBOM(t.Context(), ref, test.format, test.platform)
		if err != nil {
			if test.wrong == "" || !strings.Contains(err.Error(), test.wrong) || errors.Is(err, ErrNotFound) != test.missing {
				t.Errorf("%s %s: %v", test.ref, test.platform, err)
			}
			continue
		}
		if string(doc.Bytes) != test.want {
			t.Errorf("%s %s: %s", test.ref, test.platform, doc.Bytes)
		}
	}
}

func TestA6_ContentThatIsNotWhatItsDigestSays(t *testing.T) {
	s := newShelf()
	image := s.putJSON(map[string]any{"layers": []any{}})
	s.tags["v1"] = image
	s.attach(image, "application/spdx+json", "", []byte(`{"real":1}`))
	for d := range s.content {
		if string(s.content[d]) == `{"real":1}` {
			s.content[d] = []byte(`{"forged":1}`)
		}
	}
	c := connect(t, s, docker.Credentials{})
	ref, _ := docker.ParseRef("acme/app:v1")
	if doc, err := c.SBOM(t.Context(), ref, sbom.SPDX, ""); err == nil || !strings.Contains(err.Error(), "other content") {
		t.Errorf("%+v, %v", doc, err)
	}
}

// C19: credentials are for the server that they were given for, not for another port or a name below its own, wherever it redirects.
func TestC19_CredentialsDoNotFollowRedirects(t *testing.T) {
	var told []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = append(told, r.Header.Get("Authorization"))
		fmt.Fprint(w, "content")
	}))
	t.Cleanup(elsewhere.Close)
	own := 0
	c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); user == "u" {
			own++
		}
		switch r.URL.Path {
		case "/v2/a/manifests/far":
			http.Redirect(w, r, elsewhere.URL+"/x", http.StatusTemporaryRedirect)
		case "/v2/a/manifests/near":
			http.Redirect(w, r, "/near", http.StatusTemporaryRedirect)
		default:
			fmt.Fprint(w, "content")
		}
	}), docker.Credentials{User: "u", Password: "p"})
	for _, tag := range []string{"far", "near"} {
		if m, err := c.Get(t.Context(), "a", store.Reference{Tag: tag}); err != nil || string(m.Bytes) != "content" {
			t.Errorf("%s: %v", tag, err)
		}
	}
	if len(told) != 1 || told[0] != "" {
		t.Errorf("another port was told %q", told)
	}
	if own != 3 {
		t.Errorf("the server itself was told %d times", own)
	}
}
