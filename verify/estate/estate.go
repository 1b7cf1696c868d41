package estate

import (
	"crypto/x509"
	"encoding/pem"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrust "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The windows in which the estate's own keys and certificates count, around the moment of its making.
const (
	before = 24 * time.Hour
	after  = 10 * 365 * 24 * time.Hour
)

// Estate is one instance with everything that it has. Tests that need less write a trusted root of parts of it, see [Parts].
type Estate struct {
	Fulcio *CA    // issues certificates to identities
	CT     *CTLog // where Fulcio logs what it issues
	Rekor  *Log   // version 1
	Tiles  *Log   // version 2
	TSA    *TSA

	seed string
	now  func() time.Time
	born time.Time
}

// New makes an instance. Different seeds make strangers: nothing of one verifies under the trusted root of another.
func New(seed string, now func() time.Time) *Estate {
	e := &Estate{seed: seed, now: now, born: now().UTC().Truncate(time.Second)}
	e.Fulcio = e.NewCA("fulcio", x509.ExtKeyUsageCodeSigning)
	e.CT = &CTLog{key: newKey(seed + "/ctlog"), now: now}
	e.Rekor = e.NewLog("rekor", 1)
	e.Tiles = e.NewLog("tiles", 2)
	e.TSA = e.NewTSA("tsa")
	return e
}

// Parts are what a trusted root describes.
type Parts struct {
	Fulcio []*CA
	CT     []*CTLog
	Logs   []*Log
	TSAs   []*TSA
}

// All is every part of the estate.
func (e *Estate) All() Parts {
	return Parts{Fulcio: []*CA{e.Fulcio}, CT: []*CTLog{e.CT}, Logs: []*Log{e.Rekor, e.Tiles}, TSAs: []*TSA{e.TSA}}
}

// TrustedRoot is the trusted root of all of the estate as JSON.
func (e *Estate) TrustedRoot() string { return e.TrustedRootOf(e.All()) }

// TrustedRootOf is a trusted root of these parts as JSON (protobuf-specs, sigstore_trustroot.proto). The parts may be of several estates.
func (e *Estate) TrustedRootOf(p Parts) string {
	doc := &prototrust.TrustedRoot{MediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
	for _, ca := range p.Fulcio {
		doc.CertificateAuthorities = append(doc.CertificateAuthorities, e.described(ca, ca.Intermediate, ca.Root))
	}
	for _, tsa := range p.TSAs {
		doc.TimestampAuthorities = append(doc.TimestampAuthorities, e.described(tsa.CA, tsa.Leaf, tsa.CA.Intermediate, tsa.CA.Root))
	}
	for _, ct := range p.CT {
		doc.Ctlogs = append(doc.Ctlogs, e.instance("https://ct.estate.example", ct.key))
	}
	for _, log := range p.Logs {
		doc.Tlogs = append(doc.Tlogs, e.instance("https://"+log.origin, log.key))
	}
	b, err := protojson.MarshalOptions{Multiline: true}.Marshal(doc)
	must(err)
	return string(b)
}

func (e *Estate) window() *protocommon.TimeRange {
	return &protocommon.TimeRange{Start: timestamppb.New(e.born.Add(-before)), End: timestamppb.New(e.born.Add(after))}
}

func (e *Estate) described(ca *CA, chain ...*x509.Certificate) *prototrust.CertificateAuthority {
	list := &protocommon.X509CertificateChain{}
	for _, c := range chain {
		list.Certificates = append(list.Certificates, &protocommon.X509Certificate{RawBytes: c.Raw})
	}
	return &prototrust.CertificateAuthority{
		Subject:   &protocommon.DistinguishedName{CommonName: ca.Root.Subject.CommonName, Organization: "estate.example"},
		Uri:       "https://" + ca.name + ".estate.example",
		CertChain: list, ValidFor: e.window(),
	}
}

func (e *Estate) instance(url string, k *key) *prototrust.TransparencyLogInstance {
	return &prototrust.TransparencyLogInstance{
		BaseUrl: url, HashAlgorithm: protocommon.HashAlgorithm_SHA2_256,
		PublicKey: &protocommon.PublicKey{RawBytes: k.spki, KeyDetails: protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, ValidFor: e.window()},
		LogId:     &protocommon.LogId{KeyId: k.id[:]},
	}
}

// PublicPEM are the public keys of the logs as cosign reads them from files.
func (l *Log) PublicPEM() string { return l.key.publicPEM() }

// PublicPEM is the public key of the certificate log.
func (l *CTLog) PublicPEM() string { return l.key.publicPEM() }

func pemOf(kind string, der ...[]byte) string {
	var out []byte
	for _, b := range der {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})...)
	}
	return string(out)
}

// must ends the test: the estate handed a library something that it does not take.
func must(err error) {
	if err != nil {
		panic("estate: " + err.Error())
	}
}
