package notation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// maxMaterial is the most certificates, or revocation lists, of one file.
const maxMaterial = 256

// authority is an authority of kind notation with its material ready for use.
type authority struct {
	verify.Authority
	store         []*x509.Certificate // trusted certificates, of whichever place in a chain
	timestampers  *x509.CertPool      // roots of timestamping authorities; nil without
	intermediates []*x509.Certificate // theirs, for tokens that do not bring them along
	// lists are the revocation lists, read when the first chain leads here: large ones take longer than a signature, and strangers send those.
	lists func() ([]*x509.RevocationList, error)
	who   []*verify.Matcher
}

// load reads the material of an authority, but for its revocation lists. Errors: CodeInvalid; none repeats a byte of the input, which may be a private key given by mistake.
func load(a verify.Authority) (*authority, error) {
	ready := &authority{Authority: a}
	var err error
	if ready.store, err = certificates(a.Name, "certificates", a.Roots); err != nil {
		return nil, err
	}
	if len(ready.store) == 0 {
		return nil, store.Errorf(store.CodeInvalid, "authority %s has no certificates; give the PEM file of the trust store", a.Name)
	}
	stampers, err := certificates(a.Name, "timestamp_roots", a.TimestampRoots)
	if err != nil {
		return nil, err
	}
	for _, c := range stampers {
		if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			ready.intermediates = append(ready.intermediates, c)
			continue
		}
		if ready.timestampers == nil {
			ready.timestampers = x509.NewCertPool()
		}
		ready.timestampers.AddCert(c)
	}
	if len(stampers) > 0 && ready.timestampers == nil {
		return nil, store.Errorf(store.CodeInvalid, "authority %s has timestamp_roots without a root; add the self-signed certificate", a.Name)
	}
	ready.lists = sync.OnceValues(func() ([]*x509.RevocationList, error) { return revocationLists(a.Name, a.CRLs) })
	for i, identity := range a.Identities {
		m, err := identity.Compile()
		if err != nil {
			return nil, store.Errorf(store.CodeInvalid, "identity %d of authority %s: %w", i+1, a.Name, err)
		}
		ready.who = append(ready.who, m)
	}
	return ready, nil
}

// blocks are the contents of the PEM blocks of a text, all of one type. A block that does not decode is an error: what is left out silently is taken for trusted, or
// for revoked.
func blocks(name, what, kind, text string) ([][]byte, error) {
	bad := func(why string) error {
		return store.Errorf(store.CodeInvalid, "authority %s: %s %s", name, what, why)
	}
	var all [][]byte
	for rest := []byte(text); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		switch {
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			return nil, bad("holds a private key, which stays with its owner; give " + kind + " blocks alone")
		case b.Type != kind:
			return nil, bad("holds a PEM block that is no " + kind + "; give those alone")
		case len(all) == maxMaterial:
			return nil, bad("holds too many PEM blocks; at most 256 are taken")
		}
		all = append(all, b.Bytes)
	}
	if len(all) != strings.Count(text, "-----BEGIN ") || len(all) == 0 && text != "" {
		return nil, bad("is not well-formed PEM; give " + kind + " blocks as the authority wrote them")
	}
	return all, nil
}

func certificates(name, what, text string) ([]*x509.Certificate, error) {
	ders, err := blocks(name, what, "CERTIFICATE", text)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for i, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, store.Errorf(store.CodeInvalid, "authority %s: certificate %d of %s cannot be read; export it again", name, i+1, what)
		}
		all = append(all, c)
	}
	return all, nil
}
