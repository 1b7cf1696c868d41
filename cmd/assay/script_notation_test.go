package main_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-go"
	notationregistry "github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// cmdNotary is "notary NAME SUBJECT": a private PKI of a root, an issuer and one signer whose common name is SUBJECT, of the organization Acme. The folder NAME has
// ca.pem (the root), chain.pem and key.pem (the signer's), and empty.crl and revoked.crl, the issuer's lists without and with the signer. $NAME_serial is its serial number.
func cmdNotary(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: notary NAME SUBJECT")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	began := time.Now().Add(-time.Hour)
	var signing []*ecdsa.PrivateKey
	var certs []*x509.Certificate
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	ts.Check(err)
	for i, name := range []string{args[0] + " Root", args[0] + " Issuer", args[1]} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 1), Subject: pkix.Name{CommonName: name, Organization: []string{"Acme"}, Country: []string{"US"}, Province: []string{"WA"}},
			NotBefore: began, NotAfter: began.Add(48 * time.Hour), BasicConstraintsValid: true, IsCA: i < 2, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		if i == 2 {
			template.SerialNumber, template.KeyUsage, template.ExtKeyUsage = serial, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
		}
		parent, by := template, key
		if i > 0 {
			parent, by = certs[i-1], signing[i-1]
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
		ts.Check(err)
		cert, err := x509.ParseCertificate(der)
		ts.Check(err)
		signing, certs = append(signing, key), append(certs, cert)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signing[2])
	ts.Check(err)
	writePEM(ts, dir, "ca.pem", "CERTIFICATE", certs[0].Raw)
	writePEM(ts, dir, "chain.pem", "CERTIFICATE", certs[2].Raw, certs[1].Raw, certs[0].Raw)
	writePEM(ts, dir, "key.pem", "PRIVATE KEY", private)
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: began, NextUpdate: began.Add(48 * time.Hour)}
	for _, name := range []string{"empty.crl", "revoked.crl"} {
		der, err := x509.CreateRevocationList(rand.Reader, list, certs[1], signing[1])
		ts.Check(err)
		writePEM(ts, dir, name, "X509 CRL", der)
		list.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: serial, RevocationTime: began}}
	}
	ts.Setenv(args[0]+"_serial", serial.Text(16))
}

func writePEM(ts *testscript.TestScript, dir, name, kind string, ders ...[]byte) {
	var b bytes.Buffer
	for _, der := range ders {
		ts.Check(pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}))
	}
	ts.Check(os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600))
}

// cmdNotarize is "notarize [-cose] [-expiry DURATION] [-metadata KEY=VALUE] [-damage] USER NOTARY REPOSITORY DIGEST": notation-go signs the manifest with the signer's key of
// "notary NAME" and pushes the signature as notation does. -damage changes the signed size before it is pushed.
func cmdNotarize(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("notarize", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	cose, damage := flags.Bool("cose", false, ""), flags.Bool("damage", false, "")
	expiry, metadata := flags.Duration("expiry", 0, ""), flags.String("metadata", "", "")
	if err := flags.Parse(args); err != nil || flags.NArg() != 4 {
		ts.Fatalf("usage: notarize [-cose] [-expiry DURATION] [-metadata KEY=VALUE] [-damage] USER NOTARY REPOSITORY DIGEST")
	}
	user, dir, repository, digest := flags.Arg(0), ts.MkAbs(flags.Arg(1)), flags.Arg(2), flags.Arg(3)
	host := serverOf(ts).address
	repo, err := remote.NewRepository(host + "/" + repository)
	ts.Check(err)
	repo.PlainHTTP = true
	repo.Client = &auth.Client{Credential: auth.StaticCredential(host, auth.Credential{Username: user, Password: user + "-secret"})}
	s, err := signer.NewFromFiles(filepath.Join(dir, "key.pem"), filepath.Join(dir, "chain.pem"))
	ts.Check(err)
	if *damage {
		s = damaging{s}
	}
	opts := notation.SignOptions{ArtifactReference: digest, SignerSignOptions: notation.SignerSignOptions{SignatureMediaType: "application/jose+json", ExpiryDuration: *expiry}}
	if *cose {
		opts.SignatureMediaType = "application/cose"
	}
	if key, value, found := bytes.Cut([]byte(*metadata), []byte("=")); found {
		opts.UserMetadata = map[string]string{string(key): string(value)}
	}
	_, err = notation.Sign(context.Background(), s, notationregistry.NewRepository(repo), opts)
	if neg {
		if err == nil {
			ts.Fatalf("the signature was taken")
		}
		fmt.Fprintln(ts.Stderr(), err)
		return
	}
	ts.Check(err)
}

// damaging spoils what another signer signs: the last digit of the signed size.
type damaging struct{ notation.Signer }

func (d damaging) Sign(ctx context.Context, desc ocispec.Descriptor, opts notation.SignerSignOptions) ([]byte, *signature.SignerInfo, error) {
	b, info, err := d.Signer.Sign(ctx, desc, opts)
	if err != nil {
		return nil, nil, err
	}
	spoil := func(payload []byte) []byte {
		old := fmt.Sprintf(`"size":%d`, desc.Size)
		return bytes.Replace(payload, []byte(old), fmt.Appendf(nil, `"size":%d`, desc.Size^1), 1)
	}
	if opts.SignatureMediaType == "application/cose" {
		return spoil(b), info, nil
	}
	var envelope map[string]any
	if err := json.Unmarshal(b, &envelope); err != nil {
		return nil, nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(envelope["payload"].(string))
	if err != nil {
		return nil, nil, err
	}
	envelope["payload"] = base64.RawURLEncoding.EncodeToString(spoil(payload))
	b, err = json.Marshal(envelope)
	return b, info, err
}
