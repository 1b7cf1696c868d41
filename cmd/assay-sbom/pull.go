package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/store"
)

// puller reads one repository of a registry (distribution-spec, "Pulling"). It is used by one goroutine.
type puller struct {
	http          *http.Client
	server        *url.URL
	repo          store.Name
	creds         docker.Credentials
	authorization string // what the last challenge was answered with
}

// The limits of what a registry may answer besides blobs, in bytes.
const (
	maxToken   = 1 << 20
	maxRefusal = 64 << 10
)

func newPuller(server *url.URL, repo store.Name, creds docker.Credentials) *puller {
	return &puller{server: server, repo: repo, creds: creds, http: &http.Client{CheckRedirect: redirect, Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // a blob is hashed as it is
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}}}
}

// redirect follows to where a registry keeps its blobs, over no weaker a protocol. Credentials stay: net/http would take them along to another port, and to names below the registry's.
func redirect(r *http.Request, via []*http.Request) error {
	if r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host {
		r.Header.Del("Authorization")
	}
	if len(via) > 4 || via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return errors.New("the registry redirects to a place that is not followed")
	}
	return nil
}

// get asks for a manifest or a blob; challenged, it shows the credentials that there are and asks once more. A blob or manifest that is not there is CodeBlobUnknown.
func (p *puller) get(ctx context.Context, what string, accept ...string) (*http.Response, error) {
	for range 2 {
		res, err := p.send(ctx, p.server.JoinPath("v2", string(p.repo), what), p.authorization, accept...)
		if err != nil {
			return nil, err
		}
		if res.StatusCode == http.StatusOK {
			return res, nil
		}
		challenge := res.Header.Get("WWW-Authenticate")
		err = p.refusal(res)
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			return nil, err
		}
		was := p.authorization
		if p.authorization, err = p.answer(ctx, challenge); err != nil {
			return nil, err
		}
		if p.authorization == "" || p.authorization == was {
			break
		}
	}
	if p.creds == (docker.Credentials{}) {
		return nil, fmt.Errorf("%s wants to know who asks; log in with docker login %s or assay login", p.server.Host, p.server.Host)
	}
	return nil, fmt.Errorf("%s does not accept the credentials of %q, or does not let them read %s", p.server.Host, p.creds.User, p.repo)
}

func (p *puller) send(ctx context.Context, u *url.URL, authorization string, accept ...string) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	q.Header.Set("User-Agent", "assay-sbom")
	for _, a := range accept {
		q.Header.Add("Accept", a)
	}
	if authorization != "" {
		q.Header.Set("Authorization", authorization)
	}
	res, err := p.http.Do(q)
	if u, ok := errors.AsType[*url.Error](err); ok { // its URL may be a place that grants access by itself
		return nil, fmt.Errorf("%s: %w", p.server.Host, u.Err)
	}
	return res, err
}

// refusal is what a registry says against a request, in its own words.
func (p *puller) refusal(res *http.Response) error {
	if res.StatusCode == http.StatusNotFound {
		return store.Errorf(store.CodeBlobUnknown, "%s/%s has no such content, or does not show it", p.server.Host, p.repo)
	}
	var body struct {
		Errors []struct{ Message string } `json:"errors"`
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err != nil || json.Unmarshal(b, &body) != nil || len(body.Errors) == 0 || body.Errors[0].Message == "" {
		return fmt.Errorf("%s answered %d %s", p.server.Host, res.StatusCode, http.StatusText(res.StatusCode))
	}
	return fmt.Errorf("%s: %.500s", p.server.Host, strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, body.Errors[0].Message))
}

// answer makes the Authorization for a challenge: credentials, or a token that they, or nobody's, get (Docker's token flow). "" is none.
func (p *puller) answer(ctx context.Context, challenge string) (string, error) {
	basic := ""
	if p.creds != (docker.Credentials{}) {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(p.creds.User, p.creds.Password)
		basic = r.Header.Get("Authorization")
	}
	if !docker.Bearer(challenge) {
		return basic, nil
	}
	c := docker.ParseChallenge(challenge)
	realm, err := url.Parse(c["realm"])
	if err != nil || realm.User != nil || realm.Scheme != "https" && (realm.Scheme != "http" || p.server.Scheme != "http" || realm.Host != p.server.Host) {
		return "", fmt.Errorf("%s sends callers for a token to a place that would see their password in the clear, which is not followed", p.server.Host)
	}
	query := realm.Query()
	if c["service"] != "" {
		query.Set("service", c["service"])
	}
	query.Set("scope", "repository:"+string(p.repo)+":pull") // whatever the challenge says: no more is needed
	realm.RawQuery = query.Encode()
	res, err := p.send(ctx, realm, basic)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusUnauthorized {
		return "", nil
	} else if res.StatusCode != http.StatusOK {
		return "", p.refusal(res)
	}
	var body struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxToken))
	if err != nil {
		return "", err
	}
	token := ""
	if json.Unmarshal(b, &body) == nil {
		token = cmp.Or(body.Token, body.AccessToken)
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s answers something that is no token", realm.Host)
	}
	return "Bearer " + token, nil
}

// manifest reads a manifest and checks it against its digest.
func (p *puller) manifest(ctx context.Context, ref store.Reference) (store.Descriptor, []byte, error) {
	res, err := p.get(ctx, "manifests/"+ref.String(), store.TypeImage, store.TypeIndex, store.TypeDockerImage, store.TypeDockerList)
	if store.CodeOf(err) == store.CodeBlobUnknown {
		err = fmt.Errorf("%s/%s has no image %s, or does not show it", p.server.Host, p.repo, ref)
	}
	if err != nil {
		return store.Descriptor{}, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxManifest+1))
	if err != nil {
		return store.Descriptor{}, nil, fmt.Errorf("%s: reading the manifest: %w", p.server.Host, err)
	}
	if len(b) > maxManifest {
		return store.Descriptor{}, nil, refuse("the manifest has more than %d bytes", maxManifest)
	}
	d := store.Descriptor{MediaType: res.Header.Get("Content-Type"), Digest: ref.Digest, Size: int64(len(b))}
	if d.Digest == "" {
		if d.Digest, err = store.ParseDigest(res.Header.Get("Docker-Content-Digest")); err != nil {
			d.Digest = store.Digest(digestOf(b))
		}
	}
	if store.DigestOf(d.Digest.Algorithm(), b) != d.Digest {
		return store.Descriptor{}, nil, fmt.Errorf("%s sends another manifest than %s", p.server.Host, d.Digest)
	}
	return d, b, nil
}

// blob opens a blob, whose bytes are checked against d while they are read: what is too long, too short or other content ends in an error and not in io.EOF.
func (p *puller) blob(ctx context.Context, d store.Descriptor) (io.ReadCloser, error) {
	res, err := p.get(ctx, "blobs/"+string(d.Digest))
	if err != nil {
		return nil, err
	}
	return &checked{ReadCloser: res.Body, left: d.Size, want: d.Digest, hash: d.Digest.Algorithm().Hash()}, nil
}

type checked struct {
	io.ReadCloser
	left int64
	want store.Digest
	hash hash.Hash
}

// Read reads and hashes.
func (c *checked) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.hash.Write(b[:n])
	c.left -= int64(n)
	switch {
	case c.left < 0:
		return 0, fmt.Errorf("the registry sends more of %.19s than its manifest says", c.want)
	case (err == io.EOF || err == io.ErrUnexpectedEOF) && c.left > 0:
		return n, fmt.Errorf("the registry sends less of %.19s than its manifest says; try again", c.want)
	case err == io.EOF && fmt.Sprintf("%x", c.hash.Sum(nil)) != c.want.Encoded():
		return n, fmt.Errorf("the registry sends other content than %.19s", c.want)
	}
	return n, err
}
