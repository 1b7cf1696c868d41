package auth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

const (
	// maxToken is the most bytes of a token that are looked at: 32 scopes fit.
	maxToken = 8 << 10
	// leeway is how far clocks may differ.
	leeway = 60 * time.Second
	// tokensKept is how many verified tokens are remembered, so that a pull pays for one signature check and not for hundreds.
	tokensKept = 4096
)

// claims are the payload of an access token (RFC 7519; "access" as in Docker's token specification). A token carries who and which
// actions, never roles. Generation changes with the user's secret, so that a token does not outlive it.
type claims struct {
	Issuer     string    `json:"iss"`
	Subject    string    `json:"sub"`
	Audience   string    `json:"aud"`
	Expires    int64     `json:"exp"`
	NotBefore  int64     `json:"nbf"`
	IssuedAt   int64     `json:"iat"`
	ID         string    `json:"jti"`
	Generation string    `json:"gen,omitempty"`
	Access     []claimed `json:"access"`
}

type claimed struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// tokens signs and checks access tokens: JWS compact serialisation, EdDSA over Ed25519, one header.
type tokens struct {
	key      Key
	header   string // the one header, encoded
	issuer   string
	audience string
	clock    func() time.Time
	seen     *lru[[sha256.Size]byte, *proven] // verified signatures; times are checked at each use
}

// proven is what a verified token says.
type proven struct {
	claims claims
	scopes []access.Scope
}

func newTokens(key Key, issuer, audience string, clock func() time.Time) *tokens {
	header := `{"alg":"EdDSA","kid":"` + key.id + `","typ":"JWT"}`
	return &tokens{
		key: key, issuer: issuer, audience: audience, clock: clock,
		header: base64.RawURLEncoding.EncodeToString([]byte(header)),
		seen:   newLRU[[sha256.Size]byte, *proven](tokensKept),
	}
}

func (t *tokens) sign(c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", &store.Error{Code: store.CodeInternal, Message: "the token could not be made", Cause: err}
	}
	signed := t.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(t.key.private, []byte(signed))), nil
}

func badToken(why string) error {
	return store.Errorf(store.CodeUnauthorized, "the access token is not valid: %s; ask for a new one", why)
}

// verify proves a token. The header is compared byte by byte with the only one that the registry ever wrote: no algorithm, key or key
// reference is read from it, and nothing is decoded before the signature holds.
func (t *tokens) verify(token string) (*proven, error) {
	if len(token) > maxToken {
		return nil, badToken("it is too long")
	}
	sum := sha256.Sum256([]byte(token))
	p, ok := t.seen.get(sum)
	if !ok {
		var err error
		if p, err = t.prove(token); err != nil {
			return nil, err
		}
		t.seen.put(sum, p)
	}
	now := t.clock()
	if !now.Before(time.Unix(p.claims.Expires, 0).Add(leeway)) {
		return nil, badToken("it has expired")
	}
	if now.Before(time.Unix(p.claims.NotBefore, 0).Add(-leeway)) {
		return nil, badToken("it is not valid yet")
	}
	return p, nil
}

func (t *tokens) prove(token string) (*proven, error) {
	signed, rest, ok := strings.Cut(token, ".")
	if !ok || signed != t.header {
		return nil, badToken("this registry did not issue it")
	}
	body, mac, ok := strings.Cut(rest, ".")
	if !ok || strings.IndexByte(mac, '.') >= 0 {
		return nil, badToken("it does not have three parts")
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(mac)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return nil, badToken("its signature is malformed")
	}
	public, ok := t.key.private.Public().(ed25519.PublicKey)
	if !ok || !ed25519.Verify(public, []byte(token[:len(token)-len(mac)-1]), signature) {
		return nil, badToken("its signature is wrong")
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, badToken("its payload is malformed")
	}
	return t.read(payload)
}

// read takes the signed payload apart.
func (t *tokens) read(payload []byte) (*proven, error) {
	var c claims
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil || d.More() {
		return nil, badToken("its claims are malformed")
	}
	if c.Issuer != t.issuer {
		return nil, badToken("another issuer made it")
	}
	if c.Audience != t.audience {
		return nil, badToken("it is for another service")
	}
	p := &proven{claims: c, scopes: []access.Scope{}}
	for _, a := range c.Access {
		s := access.Scope{Repository: store.Name(a.Name), Actions: parseActions(strings.Join(a.Actions, ","))}
		if a.Type == "registry" && a.Name == "catalog" {
			s = access.Scope{Actions: access.ActionCatalog}
		} else if a.Type != "repository" || a.Name == "" {
			return nil, badToken("it names a resource that does not exist")
		}
		p.scopes = merge(p.scopes, s)
	}
	return p, nil
}

// accessOf spells scopes for the claims.
func accessOf(scopes []access.Scope) []claimed {
	list := make([]claimed, 0, len(scopes))
	for _, s := range scopes {
		if s.Repository == "" {
			list = append(list, claimed{Type: "registry", Name: "catalog", Actions: []string{"*"}})
			continue
		}
		list = append(list, claimed{Type: "repository", Name: string(s.Repository), Actions: ActionNames(s.Actions)})
	}
	return list
}
