package estate

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// CA is a certificate authority: a root and one intermediate, which issues.
type CA struct {
	Root, Intermediate *x509.Certificate

	name         string
	rootKey, key *key
	now          func() time.Time
	estate       *Estate
}

// NewCA makes another authority of the estate, for one use. Without use it may issue for any.
func (e *Estate) NewCA(name string, use ...x509.ExtKeyUsage) *CA {
	ca := &CA{name: name, rootKey: newKey(e.seed + "/" + name + "/root"), key: newKey(e.seed + "/" + name + "/intermediate"), now: e.now, estate: e}
	template := &x509.Certificate{
		SerialNumber: serial(ca.rootKey.spki), Subject: pkix.Name{CommonName: name + " root", Organization: []string{"estate.example"}},
		NotBefore: e.born.Add(-before), NotAfter: e.born.Add(after), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: 1,
	}
	ca.Root = create(template, template, ca.rootKey.Public(), ca.rootKey)
	template.SerialNumber, template.Subject.CommonName = serial(ca.key.spki), name+" intermediate"
	template.ExtKeyUsage, template.MaxPathLen, template.MaxPathLenZero = use, 0, true
	ca.Intermediate = create(template, ca.Root, ca.key.Public(), ca.rootKey)
	return ca
}

// serial is a serial number of 16 bytes that follows from its arguments.
func serial(of ...[]byte) *big.Int {
	h := sha256.New()
	for _, b := range of {
		h.Write(b)
	}
	sum := h.Sum(nil)[:16]
	sum[0] = sum[0]&0x7f | 0x40
	return new(big.Int).SetBytes(sum)
}

func create(template, parent *x509.Certificate, public crypto.PublicKey, by *key) *x509.Certificate {
	der, err := x509.CreateCertificate(nil, template, parent, public, by)
	must(err)
	c, err := x509.ParseCertificate(der)
	must(err)
	return c
}

// RootsPEM is the root, then the intermediate.
func (ca *CA) RootsPEM() string { return pemOf("CERTIFICATE", ca.Root.Raw, ca.Intermediate.Raw) }

// RootPEM is the root alone.
func (ca *CA) RootPEM() string { return pemOf("CERTIFICATE", ca.Root.Raw) }

// ChainPEM is the intermediate, then the root: the order in which Fulcio answers after the leaf.
func (ca *CA) ChainPEM() string { return pemOf("CERTIFICATE", ca.Intermediate.Raw, ca.Root.Raw) }

// CRL is a revocation list of the intermediate in PEM, issued now, for a day.
func (ca *CA) CRL(serials ...*big.Int) string {
	list := &x509.RevocationList{Number: big.NewInt(ca.now().Unix()), ThisUpdate: ca.now(), NextUpdate: ca.now().Add(24 * time.Hour)}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: ca.now()})
	}
	der, err := x509.CreateRevocationList(nil, list, ca.Intermediate, ca.key)
	must(err)
	return pemOf("X509 CRL", der)
}

// Issue signs any template, for a key that nobody keeps but the signer returned. A zero window lasts an hour from now.
func (ca *CA) Issue(name string, template *x509.Certificate) *Signer {
	k := newKey(ca.estate.seed + "/" + ca.name + "/leaf/" + name)
	if template.SerialNumber == nil {
		template.SerialNumber = serial(k.spki, binary.BigEndian.AppendUint64(nil, uint64(ca.now().UnixNano())))
	}
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = ca.now(), ca.now().Add(time.Hour)
	}
	if template.KeyUsage == 0 {
		template.KeyUsage = x509.KeyUsageDigitalSignature
	}
	c := create(template, ca.Intermediate, k.Public(), ca.key)
	return &Signer{key: k, Certificate: c, Chain: []*x509.Certificate{ca.Intermediate, ca.Root}}
}

// Claims are what a Fulcio certificate says: who, according to whom, and the rest by Fulcio's extensions.
type Claims struct {
	Subject    string                 // an address with @, or a URI
	Extensions certificate.Extensions // Issuer is OIDC's; all other fields are optional
	Lifetime   time.Duration          // ten minutes, as Fulcio's, where it is zero
	Ago        time.Duration          // how long before now the certificate begins
	Logs       []*CTLog               // the estate's own where it is nil; empty but not nil: none
}

// Keyless is a signer with a new key and a certificate that Fulcio issues for it now. The same claims at the same time make the same signer.
func (e *Estate) Keyless(c Claims) *Signer {
	k := newKey(e.seed + "/keyless/" + c.Subject + "/" + c.Extensions.Issuer + "/" + e.now().UTC().Format(time.RFC3339Nano))
	s := &Signer{key: k, Chain: []*x509.Certificate{e.Fulcio.Intermediate, e.Fulcio.Root}}
	s.Certificate = e.Fulcio.certify(c, k.Public(), k.spki, e.CT)
	return s
}

// Identity is a signer of one subject and issuer.
func (e *Estate) Identity(subject, issuer string) *Signer {
	return e.Keyless(Claims{Subject: subject, Extensions: certificate.Extensions{Issuer: issuer}})
}

// certify issues a certificate as Fulcio does: no subject, a critical alternative name, the extensions, and timestamps of the logs (RFC 6962, 3.2).
func (ca *CA) certify(c Claims, public crypto.PublicKey, spki []byte, own *CTLog) *x509.Certificate {
	lifetime, logs := c.Lifetime, c.Logs
	if lifetime == 0 {
		lifetime = 10 * time.Minute
	}
	if logs == nil {
		logs = []*CTLog{own}
	}
	template := &x509.Certificate{
		SerialNumber: serial(spki, []byte(ca.now().String())), NotBefore: ca.now().Add(-c.Ago), NotAfter: ca.now().Add(lifetime - c.Ago),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: render(c.Extensions),
	}
	if strings.Contains(c.Subject, "://") {
		u, err := url.Parse(c.Subject)
		must(err)
		template.URIs = []*url.URL{u}
	} else {
		template.EmailAddresses = []string{c.Subject}
	}
	if len(logs) == 0 {
		return create(template, ca.Intermediate, public, ca.key)
	}
	without := create(template, ca.Intermediate, public, ca.key)
	template.ExtraExtensions = append(template.ExtraExtensions, timestamps(logs, ca.Intermediate, without.RawTBSCertificate))
	return create(template, ca.Intermediate, public, ca.key)
}

// render writes Fulcio's extensions, 1.3.6.1.4.1.57264.1.N. The numbers below 8 are bare strings, the others DER (docs/oid-info.md of Fulcio).
func render(e certificate.Extensions) []pkix.Extension {
	number := map[string]int{
		"GithubWorkflowTrigger": 2, "GithubWorkflowSHA": 3, "GithubWorkflowName": 4, "GithubWorkflowRepository": 5, "GithubWorkflowRef": 6,
		"BuildSignerURI": 9, "BuildSignerDigest": 10, "RunnerEnvironment": 11, "SourceRepositoryURI": 12, "SourceRepositoryDigest": 13,
		"SourceRepositoryRef": 14, "SourceRepositoryIdentifier": 15, "SourceRepositoryOwnerURI": 16, "SourceRepositoryOwnerIdentifier": 17,
		"BuildConfigURI": 18, "BuildConfigDigest": 19, "BuildTrigger": 20, "RunInvocationURI": 21, "SourceRepositoryVisibilityAtSigning": 22,
	}
	var all []pkix.Extension
	add := func(n int, text string) {
		if text == "" {
			return
		}
		value := []byte(text)
		if n >= 8 {
			der, err := asn1.MarshalWithParams(text, "utf8")
			must(err)
			value = der
		}
		all = append(all, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, n}, Value: value})
	}
	add(1, e.Issuer)
	add(8, e.Issuer)
	fields := reflect.ValueOf(e)
	for i := range fields.NumField() {
		if n := number[fields.Type().Field(i).Name]; n != 0 {
			add(n, fields.Field(i).String())
		}
	}
	return all
}

// CTLog is a certificate log.
type CTLog struct {
	key *key
	now func() time.Time
}

// NewCTLog makes another certificate log of the estate.
func (e *Estate) NewCTLog(name string) *CTLog {
	return &CTLog{key: newKey(e.seed + "/" + name), now: e.now}
}

// timestamps is the extension with a timestamp of each log over a certificate without it (RFC 6962, 3.2 and 3.3).
func timestamps(logs []*CTLog, issuer *x509.Certificate, tbs []byte) pkix.Extension {
	var list []byte
	for _, l := range logs {
		sct := l.timestamp(issuer, tbs)
		list = append(binary.BigEndian.AppendUint16(list, uint16(len(sct))), sct...)
	}
	value, err := asn1.Marshal(append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...))
	must(err)
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}
}

func (l *CTLog) timestamp(issuer *x509.Certificate, tbs []byte) []byte {
	issuerKey := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	at := binary.BigEndian.AppendUint64(nil, uint64(l.now().UnixMilli()))
	signed := append([]byte{0, 0}, at...) // version 1, certificate_timestamp
	signed = append(signed, 0, 1)         // precert_entry
	signed = append(signed, issuerKey[:]...)
	signed = append(signed, byte(len(tbs)>>16), byte(len(tbs)>>8), byte(len(tbs)))
	signed = append(signed, tbs...)
	signed = append(signed, 0, 0) // no extensions
	sig := l.key.sign(signed)
	sct := append([]byte{0}, l.key.id[:]...)
	sct = append(sct, at...)
	sct = append(sct, 0, 0, 4, 3) // no extensions; SHA-256, ECDSA
	sct = binary.BigEndian.AppendUint16(sct, uint16(len(sig)))
	return append(sct, sig...)
}
