package server

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/crypto/bcrypt"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

// syncBuffer is a log that handlers write and tests read.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// house is a handler with real users over the registry in memory.
type house struct {
	t        testing.TB
	registry *memory
	auth     *auth.Authenticator
	handler  *Handler
	log      *syncBuffer
	options  Options
}

// zeros is randomness that tests can predict.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const password = "correct horse battery"

// users of every house: dev (pull, push on acme/**), remover (all but admin on acme/**), reader (pull on acme/**), other (pull, push on
// other/**), root (admin on everything). They share one password.
func newHouse(t testing.TB, change func(*Options, *auth.Options)) *house {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	key, err := auth.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, registry: newMemory(t), log: &syncBuffer{}}
	logger := slog.New(slog.NewJSONHandler(h.log, nil))
	var lines strings.Builder
	grant := func(who string, glob store.Glob, roles access.Roles) access.Grant {
		fmt.Fprintf(&lines, "%s:%s\n", who, hash)
		return access.Grant{Who: who, Repositories: store.Globs{glob}, Roles: roles}
	}
	const content = access.RolePull | access.RolePush
	ao := auth.Options{
		Grants: []access.Grant{grant("dev", "acme/**", content), grant("remover", "acme/**", content|access.RoleDelete), grant("reader", "acme/**", access.RolePull),
			grant("other", "other/**", content), grant("root", "**", access.RoleAdmin)},
		Htpasswd: "users", Key: key, Cost: bcrypt.MinCost, Clock: time.Now, Rand: rand.Reader, Log: logger,
	}
	ao.Files = fstest.MapFS{"users": {Data: []byte(lines.String()), ModTime: testTime}}
	h.options = Options{Registry: h.registry.as, Log: logger, Clock: time.Now, Rand: zeros{}}
	if change != nil {
		change(&h.options, &ao)
	}
	if h.auth, err = auth.New(t.Context(), ao); err != nil {
		t.Fatal(err)
	}
	h.options.Auth = h.auth
	if h.handler, err = New(h.options); err != nil {
		t.Fatal(err)
	}
	return h
}

// open is a house where everybody may do everything but administer.
func open(t *testing.T) *house {
	return newHouse(t, func(_ *Options, a *auth.Options) {
		a.Htpasswd, a.Grants = "", nil
		a.Anonymous = access.RolePull | access.RolePush | access.RoleDelete
	})
}

// ask sends one request. headers are "Name: value"; user "" is anonymous.
func (h *house) ask(user, method, target string, body []byte, headers ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r := httptest.NewRequestWithContext(h.t.Context(), method, target, reader)
	r.Host = "registry.test:5000"
	r.RemoteAddr = "192.0.2.7:1234"
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

// want asks and checks the status.
func (h *house) want(status int, user, method, target string, body []byte, headers ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	w := h.ask(user, method, target, body, headers...)
	if w.Code != status {
		h.t.Fatalf("%s %s %s: %d, want %d: %s", user, method, target, w.Code, status, w.Body)
	}
	checkAnswer(h.t, method+" "+target, w)
	return w
}

// checkAnswer holds what is true of every answer.
func checkAnswer(t testing.TB, what string, w *httptest.ResponseRecorder) {
	t.Helper()
	h := w.Header()
	if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%s: %v", what, h)
	}
	if w.Code < 400 {
		return
	}
	if strings.HasPrefix(what, "HEAD ") {
		if w.Body.Len() != 0 {
			t.Errorf("%s: HEAD has a body: %s", what, w.Body)
		}
		return
	}
	problem(t, what, w)
}

// problem reads the one error of an answer.
func problem(t testing.TB, what string, w *httptest.ResponseRecorder) errorItem {
	t.Helper()
	var body struct {
		Errors []errorItem `json:"errors"`
	}
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil || len(body.Errors) != 1 || body.Errors[0].Code == "" || body.Errors[0].Message == "" {
		t.Errorf("%s: %d with the body %q: %v", what, w.Code, w.Body, err)
		return errorItem{}
	}
	if w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s: Content-Type %q", what, w.Header().Get("Content-Type"))
	}
	return body.Errors[0]
}

// blob pushes content and answers its digest.
func (h *house) blob(user, repo string, content []byte) store.Digest {
	h.t.Helper()
	d := store.DigestOf(digest.SHA256, content)
	h.want(http.StatusCreated, user, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(d), content)
	return d
}

// image is an image manifest over layers, with a subject or none.
func image(subject store.Digest, artifactType string, layers ...store.Digest) []byte {
	m := map[string]any{
		"schemaVersion": 2, "mediaType": store.TypeImage,
		"config": map[string]any{"mediaType": "application/vnd.oci.empty.v1+json", "digest": store.DigestOf(digest.SHA256, []byte("{}")), "size": 2},
		"layers": []any{},
	}
	var list []any
	for _, l := range layers {
		list = append(list, map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": l, "size": 5})
	}
	if list != nil {
		m["layers"] = list
	}
	if subject != "" {
		m["subject"] = map[string]any{"mediaType": store.TypeImage, "digest": subject, "size": 2}
	}
	if artifactType != "" {
		m["artifactType"] = artifactType
		m["annotations"] = map[string]string{"note": "<&> \u2028 \"quoted\"", "type": artifactType}
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// put pushes a manifest.
func (h *house) put(user, repo, ref string, m []byte) store.Digest {
	h.t.Helper()
	h.want(http.StatusCreated, user, "PUT", "/v2/"+repo+"/manifests/"+ref, m, "Content-Type: "+store.TypeImage)
	return store.DigestOf(digest.SHA256, m)
}

// bearer asks for a token and answers the Authorization header line.
func (h *house) bearer(user string, scopes ...string) string {
	h.t.Helper()
	w := h.want(http.StatusOK, user, "GET", "/auth/token?service=assay&scope="+strings.Join(scopes, "&scope="), nil)
	var t struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &t); err != nil || t.Token == "" {
		h.t.Fatalf("%s: %v", w.Body, err)
	}
	return "Authorization: Bearer " + t.Token
}

func basicLine(user string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
