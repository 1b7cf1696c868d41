// Package client speaks to a registry for the command line: it asks the administration API and the OCI distribution API, and bounds what it accepts. What a
// server sends is data, never trusted to be short, well-formed or printable.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/docker"
)

// Options make a client.
type Options struct {
	Server      *url.URL // from docker.ParseServer
	Credentials docker.Credentials
	RootsPEM    []byte // more certificates to trust, in PEM
	Agent       string // User-Agent
	// Patience is how long an answer may take to begin: a minute where it is 0.
	Patience time.Duration
}

// Client speaks to one server. It is safe for concurrent use.
type Client struct {
	server *url.URL
	creds  docker.Credentials
	agent  string
	http   *http.Client
	// listing is the most bytes of a listing, over all of its pages.
	listing int64
}

// The limits of what a server may answer, in bytes, and how long it may take to begin.
const (
	maxJSON       = 32 << 20
	MaxDocument   = 64 << 20 // an SBOM
	headerTimeout = 60 * time.Second
)

// New makes a client.
func New(o Options) (*Client, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: cmp.Or(o.Patience, headerTimeout),
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if len(o.RootsPEM) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(o.RootsPEM) {
			return nil, errors.New("the file of --ca-file holds no certificate in PEM")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	return &Client{server: o.Server, creds: o.Credentials, agent: o.Agent, http: &http.Client{Transport: t, CheckRedirect: redirect}, listing: maxListing}, nil
}

// redirect follows reads to another place over no weaker a protocol. Credentials are for the server alone: net/http would take them along to another port, and to names below the server's.
func redirect(r *http.Request, via []*http.Request) error {
	first := via[0]
	if r.URL.Scheme != first.URL.Scheme || r.URL.Host != first.URL.Host {
		r.Header.Del("Authorization")
	}
	if len(via) > 4 || first.Method != http.MethodGet && first.Method != http.MethodHead || first.URL.Scheme == "https" && r.URL.Scheme != "https" {
		return errors.New("the server redirects to a place that is not followed")
	}
	return nil
}

// Server is the server's address.
func (c *Client) Server() string { return c.server.String() }

// StatusError is a refusal by the server, with its own words.
type StatusError struct {
	Status  int // of HTTP
	Code    string
	Message string // as sent: print it only through a filter of control bytes
	Detail  string
}

// Error is the server's sentence, or one that the status suggests.
func (e *StatusError) Error() string {
	if e.Message != "" {
		return e.Message
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return "the server wants to know who asks; log in with assay login"
	case http.StatusForbidden:
		return "the server does not allow this"
	case http.StatusNotFound:
		return "the server has no such thing"
	default:
		return fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	}
}

// request is one exchange.
type request struct {
	method, path string
	query        url.Values
	body         []byte
	large        *io.SectionReader // the body in place of body, where it is better not held in memory
	contentType  string            // of the body; empty is JSON
	header       map[string]string // more of it
	accept       []string
	limit        int64     // of the answer; 0 is maxJSON
	sink         io.Writer // takes the answer as it comes, whatever its size, unless it is a refusal
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request with the credentials there are; challenged for a token, it gets one and tries once more.
// A status of 400 and above is a *StatusError.
func (c *Client) do(ctx context.Context, r request) (*answer, error) {
	a, err := c.send(ctx, r, "")
	if err != nil {
		return nil, err
	}
	if challenge := a.header.Get("WWW-Authenticate"); a.status == http.StatusUnauthorized && docker.Bearer(challenge) {
		token, err := c.token(ctx, challenge)
		if err != nil {
			return nil, err
		}
		if a, err = c.send(ctx, r, token); err != nil {
			return nil, err
		}
	}
	if a.status >= 300 {
		return nil, c.refusal(a)
	}
	return a, nil
}

func (c *Client) refusal(a *answer) error {
	e := statusError(a)
	if e.Status == http.StatusUnauthorized {
		if c.creds != (docker.Credentials{}) {
			e.Message = fmt.Sprintf("%s does not accept the credentials of %q; log in again with assay login", c.server.Host, c.creds.User)
		} else {
			e.Message = fmt.Sprintf("%s wants to know who asks; log in with assay login, or set ASSAY_USER and ASSAY_PASSWORD", c.server.Host)
		}
	}
	return e
}

func (c *Client) send(ctx context.Context, r request, token string) (*answer, error) {
	u := *c.server
	u.Path, u.RawQuery = r.path, r.query.Encode()
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	} else if r.large != nil {
		body = io.NewSectionReader(r.large, 0, r.large.Size())
	}
	q, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if r.large != nil {
		q.ContentLength = r.large.Size()
	}
	q.Header.Set("User-Agent", c.agent)
	if body != nil || r.contentType != "" {
		q.Header.Set("Content-Type", cmp.Or(r.contentType, "application/json"))
	}
	for name, value := range r.header {
		q.Header.Set(name, value)
	}
	for _, accept := range r.accept {
		q.Header.Add("Accept", accept)
	}
	switch {
	case token != "":
		q.Header.Set("Authorization", "Bearer "+token)
	case c.creds != (docker.Credentials{}):
		q.SetBasicAuth(c.creds.User, c.creds.Password)
	}
	res, err := c.http.Do(q)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer res.Body.Close()
	if r.sink != nil && res.StatusCode == http.StatusOK {
		_, err := io.Copy(r.sink, res.Body)
		return &answer{status: res.StatusCode, header: res.Header}, err
	}
	limit := r.limit
	if limit == 0 {
		limit = maxJSON
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, c.unreachable(err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("the answer of %s is larger than %d MiB", c.server.Host, limit>>20)
	}
	return &answer{res.StatusCode, res.Header, text}, nil
}

// unreachable says what to do about an error of the transport.
func (c *Client) unreachable(err error) error {
	var op *net.OpError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("no server answers at %s (%w); start one with assay serve, or name it with --server", c.server, op.Err)
	case errors.As(err, &record):
		return fmt.Errorf("%s does not speak TLS; name the server with its scheme: --server http://%s", c.server.Host, c.server.Host)
	}
	return fmt.Errorf("%s: %w", c.server.Host, trimURL(err))
}

func trimURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// statusError reads an error in the form of the distribution specification.
func statusError(a *answer) *StatusError {
	e := &StatusError{Status: a.status}
	var body struct {
		Errors []struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Detail  json.RawMessage `json:"detail"`
		} `json:"errors"`
	}
	if kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); err != nil || !strings.HasSuffix(kind, "json") {
		return e
	}
	if json.Unmarshal(a.body, &body) == nil && len(body.Errors) > 0 {
		e.Code, e.Message = body.Errors[0].Code, body.Errors[0].Message
		if json.Unmarshal(body.Errors[0].Detail, &e.Detail) != nil {
			e.Detail = ""
		}
	}
	return e
}
