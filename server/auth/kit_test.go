package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// memoryDocs keeps documents in a map.
type memoryDocs struct {
	mu   sync.Mutex
	docs map[string][]byte // guarded by mu
}

func (m *memoryDocs) Docs(_ context.Context, class string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if class != ClassUser {
		return nil, nil
	}
	return maps.Clone(m.docs), nil
}

func (m *memoryDocs) PutDoc(_ context.Context, _, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.docs[name] = value
	return nil
}

func (m *memoryDocs) DeleteDoc(_ context.Context, _, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.docs, name)
	return nil
}

// bench is an Authenticator whose clock, file and log a test holds.
type bench struct {
	*Authenticator
	t    *testing.T
	docs *memoryDocs
	file fstest.MapFS
	log  *bytes.Buffer

	mu  sync.Mutex
	now time.Time // guarded by mu
}

const (
	ciPassword     = "correct horse battery"
	signerPassword = "staple staple staple"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func hashOf(t *testing.T, password string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// newBench has the users ci (pull, push on acme/**) and signer (sign on acme/**) in its file.
func newBench(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, docs: &memoryDocs{docs: map[string][]byte{}}, log: &bytes.Buffer{}, now: epoch}
	b.file = fstest.MapFS{"users.htpasswd": {ModTime: epoch.Add(-time.Hour),
		Data: []byte("ci:" + hashOf(t, ciPassword, minCost) + "\nsigner:" + hashOf(t, signerPassword, minCost) + "\n")}}
	key, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Files: b.file, Htpasswd: "users.htpasswd", Docs: b.docs, Key: key, Cost: minCost, Clock: b.clock, Rand: rand.Reader,
		Log: slog.New(slog.NewJSONHandler(b.log, nil)),
		Grants: []access.Grant{
			{Who: "ci", Repositories: store.Globs{"acme/**"}, Roles: access.RolePull | access.RolePush},
			{Who: "signer", Repositories: store.Globs{"acme/**"}, Roles: access.RoleSign},
			{Who: "admin", Repositories: store.Globs{"other/**"}, Roles: access.RolePull},
		},
	}
	if change != nil {
		change(&o)
	}
	if b.Authenticator, err = New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return b
}

var home = netip.MustParseAddr("192.0.2.7")

// as authenticates a request with the Authorization headers given.
func (b *bench) as(client netip.Addr, authorization ...string) (access.Principal, error) {
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, "/v2/", nil)
	for _, a := range authorization {
		r.Header.Add("Authorization", a)
	}
	return b.Authenticate(r, client)
}

func basic(name, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

// token asks for a token by GET and answers it.
func (b *bench) token(authorization string, scopes ...string) (string, error) {
	q := url.Values{"service": {"assay"}, "scope": scopes, "account": {"x"}, "client_id": {"docker"}, "offline_token": {"true"}}
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, "/auth/token?"+q.Encode(), nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return b.answer(r)
}

func (b *bench) answer(r *http.Request) (string, error) {
	document, err := b.Token(r, home)
	if err != nil {
		return "", err
	}
	var t token
	if err := json.Unmarshal(document, &t); err != nil {
		b.t.Fatal(err)
	}
	if t.Token == "" || t.Token != t.AccessToken || t.ExpiresIn != 300 || !t.IssuedAt.Equal(b.clock().Truncate(time.Second)) {
		b.t.Fatalf("token document %s", document)
	}
	return t.Token, nil
}

func (b *bench) mustToken(authorization string, scopes ...string) string {
	b.t.Helper()
	t, err := b.token(authorization, scopes...)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

func wantCode(t *testing.T, err error, code store.Code) {
	t.Helper()
	if store.CodeOf(err) != code {
		t.Errorf("error %v, want %s", err, code)
	}
}

func describe(scopes []access.Scope) string {
	var parts []string
	for _, s := range scopes {
		if s.Repository == "" {
			parts = append(parts, "catalog")
			continue
		}
		parts = append(parts, string(s.Repository)+":"+strings.Join(ActionNames(s.Actions), ","))
	}
	return strings.Join(parts, " ")
}
