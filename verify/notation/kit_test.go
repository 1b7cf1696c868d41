package notation

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"log/slog"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/digitorus/timestamp"
	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/signer"
	"github.com/notaryproject/tspclient-go"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	typeJWS  = jws.MediaTypeEnvelope
	typeCOSE = cose.MediaTypeEnvelope
)

// The estate's time: certificates count from began to ended unless a test says otherwise, so that the real signer, which asks the clock, finds them valid.
var (
	began  = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	signed = time.Date(2021, 6, 1, 12, 0, 0, 0, time.UTC)
	ended  = time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC)
	image  = []byte(`{"schemaVersion":2}`)
)

// entity is a certificate with its key and those above it, the nearest first.
type entity struct {
	key    crypto.Signer
	cert   *x509.Certificate
	issuer *entity
}

func (e *entity) chain() []*x509.Certificate {
	var all []*x509.Certificate
	for ; e != nil; e = e.issuer {
		all = append(all, e.cert)
	}
	return all
}

func pemOf(kind string, ders ...[]byte) string {
	var b []byte
	for _, der := range ders {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	return string(b)
}

func (e *entity) pem() string { return pemOf("CERTIFICATE", e.cert.Raw) }

func curve(t testing.TB, c elliptic.Curve) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// rsaKeys are made once: that takes a second.
var rsaKeys = map[int]func() (*rsa.PrivateKey, error){
	2048: sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }),
	3072: sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 3072) }),
}

func rsaOf(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	k, err := rsaKeys[bits]()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// certificate has issuer certify key; a nil issuer makes it certify itself. edit changes the template.
func certificate(t testing.TB, issuer *entity, key crypto.Signer, serial int64, subject pkix.Name, edit func(*x509.Certificate)) *entity {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: subject, NotBefore: began, NotAfter: ended, BasicConstraintsValid: true}
	if edit != nil {
		edit(template)
	}
	parent, by := template, key
	if issuer != nil {
		parent, by = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &entity{key: key, cert: cert, issuer: issuer}
}

func asCA(c *x509.Certificate) {
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
}

func asSigner(c *x509.Certificate) {
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
}

// asStamper marks the purpose as critical, as RFC 3161 demands.
func asStamper(c *x509.Certificate) {
	purpose, _ := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: purpose}}
}

// pki is a root, an issuer below it, and who signs.
type pki struct{ root, issuer, leaf *entity }

func wabbit() pkix.Name {
	return pkix.Name{Country: []string{"US"}, Province: []string{"WA"}, Organization: []string{"Acme"}, OrganizationalUnit: []string{"Build", "Tools"}, CommonName: "wabbit"}
}

const wabbitDN = "CN=wabbit,OU=Build+OU=Tools,O=Acme,ST=WA,C=US"

func newPKI(t testing.TB, key crypto.Signer, edit func(*x509.Certificate)) pki {
	t.Helper()
	root := certificate(t, nil, curve(t, elliptic.P256()), 1, pkix.Name{CommonName: "Root", Organization: []string{"Acme"}}, asCA)
	issuer := certificate(t, root, curve(t, elliptic.P384()), 2, pkix.Name{CommonName: "Issuer", Organization: []string{"Acme"}}, asCA)
	leaf := certificate(t, issuer, key, 0xbeef, wabbit(), func(c *x509.Certificate) {
		asSigner(c)
		if edit != nil {
			edit(c)
		}
	})
	return pki{root, issuer, leaf}
}

func plainPKI(t testing.TB) pki {
	t.Helper()
	return newPKI(t, curve(t, elliptic.P256()), nil)
}

// notary is an authority that trusts the root and wants wabbit.
func (p pki) notary() verify.Authority {
	return verify.Authority{Name: "notary", Kind: verify.KindNotation, Roots: p.root.pem(), Identities: []verify.Identity{{Subject: "CN=wabbit,O=Acme"}}, Repositories: store.Globs{"acme/**"}}
}

func app() verify.Subject { return subjectOf(image) }

func subjectOf(manifest []byte) verify.Subject {
	return verify.Subject{Repository: "acme/app", Alternate: store.DigestOf(digest.SHA512, manifest),
		Descriptor: store.Descriptor{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, manifest), Size: int64(len(manifest))}}
}

// descriptor is the subject as signers take it.
func descriptor(s verify.Subject) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: s.Descriptor.MediaType, Digest: digest.Digest(s.Descriptor.Digest), Size: s.Descriptor.Size}
}

// byNotation is a signature by notation-go's own signer, now.
func byNotation(t testing.TB, mediaType string, e *entity, d ocispec.Descriptor, edit func(*notation.SignerSignOptions)) verify.Layer {
	t.Helper()
	s, err := signer.NewGenericSigner(e.key, e.chain())
	if err != nil {
		t.Fatal(err)
	}
	opts := notation.SignerSignOptions{SignatureMediaType: mediaType}
	if edit != nil {
		edit(&opts)
	}
	b, _, err := s.Sign(context.Background(), d, opts)
	if err != nil {
		t.Fatal(err)
	}
	return layer(mediaType, b)
}

// byCore is a signature by the library below, which signs at any time and whatever it is told.
func byCore(t testing.TB, mediaType string, e *entity, edit func(*signature.SignRequest)) verify.Layer {
	t.Helper()
	local, err := signature.NewLocalSigner(e.chain(), e.key)
	if err != nil {
		t.Fatal(err)
	}
	r := &signature.SignRequest{
		Payload:     signature.Payload{ContentType: "application/vnd.cncf.notary.payload.v1+json", Content: payload(app())},
		Signer:      local,
		SigningTime: signed, SigningScheme: signature.SigningSchemeX509,
	}
	if edit != nil {
		edit(r)
	}
	envelope, err := signature.NewEnvelope(mediaType)
	if err != nil {
		t.Fatal(err)
	}
	b, err := envelope.Sign(r)
	if err != nil {
		t.Fatal(err)
	}
	return layer(mediaType, b)
}

func payload(s verify.Subject) []byte {
	return []byte(`{"targetArtifact":{"mediaType":"` + s.Descriptor.MediaType + `","digest":"` + string(s.Descriptor.Digest) + `","size":` + big.NewInt(s.Descriptor.Size).String() + `}}`)
}

func layer(mediaType string, b []byte) verify.Layer {
	return verify.Layer{Descriptor: store.Descriptor{MediaType: mediaType, Digest: store.DigestOf(digest.SHA256, b), Size: int64(len(b))}, Bytes: b}
}

func evidence(layers ...verify.Layer) []verify.Evidence {
	manifest := store.Descriptor{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, []byte("evidence")), Size: 8}
	return []verify.Evidence{{Manifest: manifest, ArtifactType: "application/vnd.cncf.notary.signature", Found: verify.FoundReferrers, Layers: layers}}
}

// one is the only fact about a layer under the authorities.
func one(t testing.TB, s verify.Subject, l verify.Layer, authorities ...verify.Authority) verify.Fact {
	t.Helper()
	for _, a := range authorities {
		if err := a.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	report, err := New(slog.New(slog.DiscardHandler)).Verify(context.Background(), s, evidence(l), authorities)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Facts) != 1 {
		t.Fatalf("%d facts: %+v", len(report.Facts), report.Facts)
	}
	return report.Facts[0]
}

// want demands a code; the empty one is a proof.
func want(t testing.TB, f verify.Fact, code verify.Code) {
	t.Helper()
	if f.Code != code || f.Verified != (code == "") || f.Verified != (f.Message == "") {
		t.Fatalf("wanted %q, got %+v", code, f)
	}
}

// stamper is a timestamping authority (RFC 3161) whose clock stands still.
type stamper struct {
	*entity
	at time.Time
}

func newStamper(t testing.TB, at time.Time) stamper {
	t.Helper()
	root := certificate(t, nil, rsaOf(t, 3072), 7, pkix.Name{CommonName: "TSA Root"}, asCA)
	return stamper{entity: certificate(t, root, rsaOf(t, 2048), 8, pkix.Name{CommonName: "TSA"}, asStamper), at: at}
}

func (s stamper) root() *x509.Certificate { return s.issuer.cert }

// Timestamp is tspclient.Timestamper.
func (s stamper) Timestamp(_ context.Context, r *tspclient.Request) (*tspclient.Response, error) {
	der, err := r.MarshalBinary()
	if err != nil {
		return nil, err
	}
	asked, err := timestamp.ParseRequest(der)
	if err != nil {
		return nil, err
	}
	answer := timestamp.Timestamp{
		HashAlgorithm: asked.HashAlgorithm, HashedMessage: asked.HashedMessage, Nonce: asked.Nonce, Time: s.at, Policy: asn1.ObjectIdentifier{1, 2, 3}, Accuracy: time.Second,
		AddTSACertificate: true, Certificates: []*x509.Certificate{s.root()},
	}
	b, err := answer.CreateResponseWithOpts(s.cert, s.key, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	response := new(tspclient.Response)
	return response, response.UnmarshalBinary(b)
}

// stamping has a signer ask the authority.
func (s stamper) stamping(r *signature.SignRequest) {
	r.Timestamper, r.TSARootCAs = s, x509.NewCertPool()
	r.TSARootCAs.AddCert(s.root())
}

// list is a revocation list by e, valid until next.
func list(t testing.TB, e *entity, next time.Time, edit func(*x509.RevocationList), serials ...int64) []byte {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: began, NextUpdate: next}
	for _, s := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: began})
	}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, e.cert, e.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
