package sigstore

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// trust is what one authority trusts besides keys, in the shape that sigstore-go reads (root.TrustedMaterial). It is never the union of two authorities' trust.
type trust struct {
	root.BaseTrustedMaterial
	issuers      []*root.FulcioCertificateAuthority
	timestampers []root.TimestampingAuthority
	logs, ctLogs map[string]*root.TransparencyLog // by the hexadecimal of the log's ID
	signer       root.TimeConstrainedVerifier     // the key that is being tried; nil where a certificate signed
	lists        []*revocationList
	serials      map[string]bool // revoked
}

// FulcioCertificateAuthorities is root.TrustedMaterial, as are those that follow.
func (t *trust) FulcioCertificateAuthorities() []root.CertificateAuthority {
	all := make([]root.CertificateAuthority, len(t.issuers))
	for i, ca := range t.issuers {
		all[i] = ca
	}
	return all
}

// TimestampingAuthorities are those that may say when.
func (t *trust) TimestampingAuthorities() []root.TimestampingAuthority { return t.timestampers }

// RekorLogs are the logs of signatures.
func (t *trust) RekorLogs() map[string]*root.TransparencyLog { return t.logs }

// CTLogs are the logs of certificates.
func (t *trust) CTLogs() map[string]*root.TransparencyLog { return t.ctLogs }

// PublicKeyVerifier is the key that is being tried, whatever the hint: nobody signed it.
func (t *trust) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	if t.signer == nil {
		return nil, errors.New("no key is trusted here")
	}
	return t.signer, nil
}

// byKey is the same trust while one key is tried.
func (t *trust) byKey(k *key) *trust {
	tried := *t
	tried.signer = root.NewExpiringKey(&adapter{key: k}, k.NotBefore, k.NotAfter)
	return &tried
}

// withIntermediates is the same trust with certificates that came along, which help to find a path and prove nothing.
func (t *trust) withIntermediates(more []*x509.Certificate) *trust {
	if len(more) == 0 {
		return t
	}
	wider := *t
	wider.issuers = make([]*root.FulcioCertificateAuthority, len(t.issuers))
	for i, ca := range t.issuers {
		with := *ca
		with.Intermediates = append(append([]*x509.Certificate(nil), ca.Intermediates...), more...)
		wider.issuers[i] = &with
	}
	return &wider
}

// addTrustedRoot reads a Sigstore trusted root: its logs and timestamping authorities, and its certificate authorities where they may issue.
func (t *trust) addTrustedRoot(text string, issuers bool) error {
	if len(text) > verify.MaxTrustedRoot {
		return fmt.Errorf("has a trusted_root of more than %d KiB", verify.MaxTrustedRoot>>10)
	}
	if err := store.StrictJSON([]byte(text)); err != nil {
		return fmt.Errorf("has a trusted_root that is not JSON: %w", err)
	}
	trusted, err := root.NewTrustedRootFromJSON([]byte(text))
	if err != nil {
		return errors.New("has a trusted_root that is no Sigstore trusted root of version 0.1; give the file trusted_root.json of the instance, unchanged")
	}
	t.logs, t.ctLogs = trusted.RekorLogs(), trusted.CTLogs()
	t.timestampers = append(t.timestampers, trusted.TimestampingAuthorities()...)
	for _, ca := range trusted.FulcioCertificateAuthorities() {
		fulcio, ok := ca.(*root.FulcioCertificateAuthority)
		if !ok {
			return errors.New("has a trusted_root with a certificate authority of a kind that is not known")
		}
		for _, c := range append([]*x509.Certificate{fulcio.Root}, fulcio.Intermediates...) {
			if _, err := verify.KeyID(c.PublicKey); err != nil {
				return fmt.Errorf("has a trusted_root with the certificate of %s, whose key cannot be trusted: %s", named(c), sentence(err))
			}
		}
		if issuers {
			t.issuers = append(t.issuers, fulcio)
		}
	}
	return nil
}

// sameLog reports whether two IDs are of one log: a checkpoint does not name the log, so that its key alone says which one it was.
func (t *trust) sameLog(id, other string) bool {
	if id == other {
		return true
	}
	x, ok := t.logs[id].PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && x.Equal(t.logs[other].PublicKey)
}

// distinctLogs is how many logs are trusted.
func (t *trust) distinctLogs() int {
	var ids []string
	for id := range t.logs {
		if !slices.ContainsFunc(ids, func(known string) bool { return t.sameLog(known, id) }) {
			ids = append(ids, id)
		}
	}
	return len(ids)
}

// addRoots reads the roots and intermediates of a private PKI. Each root is an authority of its own; all of them share the intermediates.
func (t *trust) addRoots(text string) error {
	roots, others, err := readRoots("roots", text)
	if err != nil {
		return err
	}
	for _, r := range roots {
		t.issuers = append(t.issuers, &root.FulcioCertificateAuthority{Root: r, Intermediates: others, URI: named(r)})
	}
	return nil
}

// addTimestampRoots reads the roots of timestamping authorities. Two timestamps under one root count as one: the root is who is trusted. A file as cosign takes it
// has the authority's own certificate too, which is needed where responses come without.
func (t *trust) addTimestampRoots(text string) error {
	roots, others, err := readRoots("timestamp_roots", text)
	if err != nil {
		return err
	}
	var leaves, intermediates []*x509.Certificate
	for _, c := range others {
		if c.IsCA {
			intermediates = append(intermediates, c)
		} else {
			leaves = append(leaves, c)
		}
	}
	for _, r := range roots {
		uri := "sha256:" + fingerprint(r)
		for _, leaf := range append([]*x509.Certificate{nil}, leaves...) {
			t.timestampers = append(t.timestampers, &root.SigstoreTimestampingAuthority{Root: r, Intermediates: intermediates, Leaf: leaf, URI: uri})
		}
	}
	return nil
}

// readRoots reads certificates in PEM: those that signed themselves, and the others.
func readRoots(what, text string) (roots, others []*x509.Certificate, err error) {
	all, err := readCertificates([]byte(text), verify.MaxRoots)
	if err != nil {
		return nil, nil, fmt.Errorf("has %s that cannot be read: %w", what, err)
	}
	for _, c := range all {
		if selfSigned(c) {
			roots = append(roots, c)
		} else {
			others = append(others, c)
		}
	}
	if len(roots) == 0 {
		return nil, nil, fmt.Errorf("has %s without a root; add the certificate that signed itself", what)
	}
	return roots, others, nil
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// readCertificates reads 1 to limit certificates in PEM and nothing else, each with a key of a strength that the registry takes. The errors are sentences and repeat nothing of b.
func readCertificates(b []byte, limit int) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	err := readPEM(b, "CERTIFICATE", limit, func(der []byte) error {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate %d is not well-formed X.509", len(all)+1)
		}
		if _, err := verify.KeyID(c.PublicKey); err != nil {
			return fmt.Errorf("certificate %d has a key that is not taken: %s", len(all)+1, sentence(err))
		}
		all = append(all, c)
		return nil
	})
	return all, err
}

// readPEM calls fn with each block; there are 1 to limit, all of one type, with nothing but white space between them.
func readPEM(b []byte, kind string, limit int, fn func(der []byte) error) error {
	n := 0
	for rest := bytes.TrimSpace(b); len(rest) > 0; n++ {
		if n == limit {
			return fmt.Errorf("there are more than %d blocks", limit)
		}
		if !bytes.HasPrefix(rest, []byte("-----BEGIN "+kind+"-----")) {
			return fmt.Errorf("block %d does not begin with -----BEGIN %s-----", n+1, kind)
		}
		block, after := pem.Decode(rest)
		if block == nil || block.Type != kind || len(block.Headers) != 0 {
			return fmt.Errorf("block %d is not well-formed PEM", n+1)
		}
		// The decoder passes over what it cannot read: the block must be where it was looked for.
		if consumed := rest[:len(rest)-len(after)]; bytes.Count(consumed, []byte("-----BEGIN ")) != 1 {
			return fmt.Errorf("block %d is not well-formed PEM", n+1)
		}
		if err := fn(block.Bytes); err != nil {
			return err
		}
		rest = bytes.TrimSpace(after)
	}
	if n == 0 {
		return errors.New("there is no PEM block")
	}
	return nil
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// named is a certificate's subject for a person.
func named(c *x509.Certificate) string {
	name := verify.DistinguishedName(c.RawSubject)
	if name == "" {
		name = "serial number " + serial(c)
	}
	return printable(name)
}

// sentence is the text of an error for a person, without its code.
func sentence(err error) string {
	if e, ok := errors.AsType[*store.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

// printable keeps text that somebody else wrote short, and fit for one line: its beginning and its end, which tell one workflow or name from another.
func printable(s string) string {
	const most, head = 100, 40
	quoted := fmt.Sprintf("%q", cut(s))
	text := strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:head], "") + "…" + strings.ToValidUTF8(text[len(text)-(most-head):], "")
}
