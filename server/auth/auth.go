package auth

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// Options make an [Authenticator]. Clock, Rand, Log and Key are required.
type Options struct {
	Files     fs.FS  // holds the htpasswd file
	Htpasswd  string // its name in Files; empty for none
	Docs      Docs   // keeps runtime users; nil for none
	Grants    []access.Grant
	Anonymous access.Roles // on every repository, for everybody
	// Service is the one audience of tokens, Issuer who they say made them. Empty: "assay".
	Service, Issuer string
	Key             Key
	TTL             time.Duration // of tokens; 0 is 5 minutes
	Cost            int           // of new bcrypt hashes; 0 is 10, about 60 ms
	Clock           func() time.Time
	Rand            io.Reader
	Log             *slog.Logger
	// Audit, if set, records each change of a user before it is made; its error prevents the change.
	Audit func(context.Context, policy.AuditRecord) error
}

// Authenticator recognises principals and issues tokens. It is safe for concurrent use.
type Authenticator struct {
	options   Options
	directory *directory
	logins    *logins
	tokens    *tokens
	users     sync.Mutex // one change of users at a time
}

// New makes an Authenticator. A missing or malformed htpasswd file is an error here.
func New(ctx context.Context, o Options) (*Authenticator, error) {
	if o.Clock == nil || o.Rand == nil || o.Log == nil || o.Key.private == nil {
		return nil, errors.New("auth: Clock, Rand, Log and Key are required")
	}
	if o.Service == "" {
		o.Service = "assay"
	}
	if o.Issuer == "" {
		o.Issuer = "assay"
	}
	if o.TTL == 0 {
		o.TTL = 5 * time.Minute
	}
	if o.Cost == 0 {
		o.Cost = bcrypt.DefaultCost
	}
	if o.Cost < minCost || o.Cost > maxCost {
		return nil, errors.New("auth: the bcrypt cost is out of range")
	}
	a := &Authenticator{options: o, directory: newDirectory(o), tokens: newTokens(o.Key, o.Issuer, o.Service, o.Clock)}
	a.logins = &logins{
		clock: o.Clock, compare: bcrypt.CompareHashAndPassword, limiter: newLimiter(o.Clock),
		cache: newLRU[[32]byte, success](loginsKept), slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	if _, err := io.ReadFull(o.Rand, a.logins.secret[:]); err != nil {
		return nil, err
	}
	_, err := a.directory.reload(ctx, true)
	return a, err
}

// Service is the name that the Bearer challenge carries.
func (a *Authenticator) Service() string { return a.options.Service }

// Configure replaces grants and anonymous roles; the next request sees them.
func (a *Authenticator) Configure(ctx context.Context, grants []access.Grant, anonymous access.Roles) error {
	return a.directory.set(ctx, grants, anonymous)
}

// Reload reads users again now. A malformed htpasswd file is an error, and the users stay as they were.
func (a *Authenticator) Reload(ctx context.Context) error {
	_, err := a.directory.reload(ctx, true)
	return err
}

// Authenticate says who sent r: nobody (without an Authorization header), a user with a password (Basic, RFC 7617), or whom an access token
// names (Bearer, RFC 6750). Errors: CodeUnauthorized; CodeTooManyRequests with a [Limited] cause; CodeUnavailable.
func (a *Authenticator) Authenticate(r *http.Request, client netip.Addr) (access.Principal, error) {
	s, err := a.directory.current(r.Context())
	if err != nil {
		return access.Principal{}, err
	}
	headers := r.Header["Authorization"]
	if len(headers) == 0 {
		return s.nobody(client), nil
	}
	if len(headers) > 1 {
		return access.Principal{}, store.Errorf(store.CodeUnauthorized, "the request has more than one Authorization header; send one")
	}
	scheme, credentials, _ := strings.Cut(headers[0], " ")
	switch {
	case strings.EqualFold(scheme, "Basic"):
		return a.basic(r, s, client)
	case strings.EqualFold(scheme, "Bearer"):
		return a.bearer(s, credentials, client)
	}
	return access.Principal{}, store.Errorf(store.CodeUnauthorized, "the authorization scheme is not known; use Basic or Bearer")
}

func (a *Authenticator) basic(r *http.Request, s *snapshot, client netip.Addr) (access.Principal, error) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return access.Principal{}, store.Errorf(store.CodeUnauthorized, "the Basic credentials are malformed")
	}
	return a.password(r.Context(), s, name, password, client)
}

func (a *Authenticator) password(ctx context.Context, s *snapshot, name, password string, client netip.Addr) (access.Principal, error) {
	acct, err := a.logins.login(ctx, s, name, password, client)
	if err != nil {
		if store.CodeOf(err) == store.CodeUnauthorized {
			a.refused(s, name, client)
		}
		return access.Principal{}, err
	}
	return acct.principal(client), nil
}

// refused logs a failed login. The name only if such a user exists: people type passwords into the field for the name.
func (a *Authenticator) refused(s *snapshot, name string, client netip.Addr) {
	attrs := []slog.Attr{slog.String("client", client.String())}
	if _, ok := s.accounts[name]; ok {
		attrs = append(attrs, slog.String("user", name))
	}
	a.options.Log.LogAttrs(context.Background(), slog.LevelWarn, "login refused", attrs...)
}

func (a *Authenticator) bearer(s *snapshot, credentials string, client netip.Addr) (access.Principal, error) {
	t, err := a.tokens.verify(credentials)
	if err != nil {
		return access.Principal{}, err
	}
	p := s.nobody(client)
	if t.claims.Subject != "" {
		acct, ok := s.accounts[t.claims.Subject]
		if !ok || acct.generation != t.claims.Generation {
			return access.Principal{}, badToken("its user is gone or has a new password")
		}
		p = acct.principal(client)
	}
	p.Token, p.Scopes = true, t.scopes
	return p, nil
}

func (s *snapshot) nobody(client netip.Addr) access.Principal {
	return access.Principal{Kind: access.KindAnonymous, Grants: s.anonymous, Client: address(client), Challenge: len(s.accounts) > 0}
}

func (a *account) principal(client netip.Addr) access.Principal {
	return access.Principal{Kind: access.KindUser, Name: a.name, Grants: a.grants, Client: address(client), Challenge: true}
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

// token is the answer of the token endpoint.
type token struct {
	Token       string    `json:"token"`
	AccessToken string    `json:"access_token"`
	ExpiresIn   int       `json:"expires_in"` // seconds
	IssuedAt    time.Time `json:"issued_at"`
}

// maxForm bounds the parameters of a token request, in bytes.
const maxForm = 16 << 10

// Token answers a request to the token endpoint: GET with Basic credentials or none, or POST with a form (grant_type=password), as
// containerd sends it. What is granted is what was asked and the roles allow; nothing more, and possibly nothing. Refresh tokens are not
// offered. The answer is the JSON document. Errors as Authenticate, and CodeInvalid.
func (a *Authenticator) Token(r *http.Request, client netip.Addr) ([]byte, error) {
	s, err := a.directory.current(r.Context())
	if err != nil {
		return nil, err
	}
	var values url.Values
	var p access.Principal
	if r.Method == http.MethodPost {
		if values, err = form(r); err != nil {
			return nil, err
		}
		p, err = a.password(r.Context(), s, values.Get("username"), values.Get("password"), client)
	} else {
		if len(r.URL.RawQuery) > maxForm {
			return nil, store.Errorf(store.CodeInvalid, "the query is longer than %d bytes", maxForm)
		}
		if values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return nil, store.Errorf(store.CodeInvalid, "the query is malformed")
		}
		p, err = a.Authenticate(r, client)
	}
	if err != nil {
		return nil, err
	}
	if p.Token {
		return nil, store.Errorf(store.CodeUnauthorized, "a token cannot be exchanged for another; use the user name and password")
	}
	if !p.Authenticated() && len(p.Grants) == 0 {
		return nil, store.Errorf(store.CodeUnauthorized, "this registry gives nothing to callers that it does not know; log in first")
	}
	if service := values.Get("service"); service != "" && service != a.options.Service {
		return nil, store.Errorf(store.CodeInvalid, "this registry issues tokens for the service %s only", a.options.Service)
	}
	asked, err := ParseScopes(values["scope"])
	if err != nil {
		return nil, err
	}
	return a.issue(s, p, grant(asked, p))
}

func form(r *http.Request) (url.Values, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, store.Errorf(store.CodeMediaType, "a token request by POST is a form: application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		return nil, &store.Error{Code: store.CodeInvalid, Message: "the form could not be read to its end", Cause: err}
	}
	if len(body) > maxForm {
		return nil, store.Errorf(store.CodeManifestTooBig, "the form is longer than %d bytes", maxForm)
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the form is malformed") // the cause would quote it
	}
	if values.Get("grant_type") != "password" {
		return nil, store.Errorf(store.CodeInvalid, "the only grant type is password; refresh tokens are not offered")
	}
	return values, nil
}

func (a *Authenticator) issue(s *snapshot, p access.Principal, scopes []access.Scope) ([]byte, error) {
	var id [16]byte
	if _, err := io.ReadFull(a.options.Rand, id[:]); err != nil {
		return nil, &store.Error{Code: store.CodeInternal, Message: "a token could not be made", Cause: err}
	}
	now := a.options.Clock().UTC().Truncate(time.Second)
	c := claims{
		Issuer: a.options.Issuer, Subject: p.Name, Audience: a.options.Service, ID: hex.EncodeToString(id[:]),
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(a.options.TTL).Unix(), Access: accessOf(scopes),
	}
	if acct, ok := s.accounts[p.Name]; ok && p.Authenticated() {
		c.Generation = acct.generation
	}
	signed, err := a.tokens.sign(c)
	if err != nil {
		return nil, err
	}
	if len(signed) > maxToken {
		return nil, store.Errorf(store.CodeInvalid, "the token would be longer than %d bytes; ask for fewer repositories at a time", maxToken)
	}
	return json.Marshal(token{Token: signed, AccessToken: signed, ExpiresIn: int(a.options.TTL.Seconds()), IssuedAt: now})
}
