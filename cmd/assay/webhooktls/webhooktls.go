package webhooktls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
)

// The files of the webhooks below keys/: each a certificate and its key in PEM, mode 0600. The next CA is one that clusters are told to trust already, and that
// signs nothing yet. Of the CA before there is the certificate alone: clusters go on trusting it for as long as what the server serves is from it.
const (
	CA         = "webhook-ca"
	NextCA     = "webhook-ca-next"
	PreviousCA = "webhook-ca-previous"
	Serving    = "webhook-tls"
)

const (
	CALife      = 10 * 365 * 24 * time.Hour // how long an authority is valid
	ServingLife = 90 * 24 * time.Hour       // how long what it issues is valid
	Soon        = 90 * 24 * time.Hour       // how long before an authority ends everybody is told
	skew        = time.Hour                 // clocks of clusters that may be behind
)

// pair is a certificate with its private key.
type pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// ReadPair reads a file of one certificate and one key. Errors name the file and never quote it.
func ReadPair(path string) (*pair, error) {
	text, err := place.ReadKey(path)
	if err != nil {
		return nil, err
	}
	damaged := fmt.Errorf("%s is damaged: it is not a certificate and its key in PEM; remove it, and the registry makes another", path)
	both, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, damaged
	}
	key, ok := both.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, damaged
	}
	return &pair{both.Leaf, key}, nil
}

// makePair makes a key, has it certified by ca (nil: by itself), and writes both.
func makePair(path string, template *x509.Certificate, ca *pair, rand io.Reader) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return nil, err
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(rand, serial); err != nil {
		return nil, err
	}
	serial[0] &= 0x7f // a serial number is positive
	template.SerialNumber = new(big.Int).SetBytes(serial)
	if ca == nil {
		ca = &pair{template, key}
	}
	der, err := x509.CreateCertificate(rand, template, ca.Cert, key.Public(), ca.Key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := append(EncodeCertificate(cert), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	return &pair{cert, key}, place.WriteDurably(path, text, 0o600)
}

// EncodeCertificate is a certificate in PEM.
func EncodeCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func makeCA(a *cli.App, path string) (*pair, error) {
	now := a.Clock().UTC()
	return makePair(path, &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Assay webhooks " + now.Format("2006-01-02")},
		NotBefore: now.Add(-skew), NotAfter: now.Add(CALife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, a.Rand)
}

// OpenCA reads the CA of the webhooks and makes it if there is none. The caller holds the lock of the data directory.
func OpenCA(a *cli.App, keys string) (*pair, error) {
	path := filepath.Join(keys, CA)
	ca, err := ReadPair(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeCA(a, path)
	}
	return ca, err
}

// Bundle is what clusters are told to trust: the CA that signs, the next one while it is being introduced, and the one before for as long as the server serves a certificate of that.
func Bundle(keys string) ([]byte, error) {
	ca, err := ReadPair(filepath.Join(keys, CA))
	if err != nil {
		return nil, err
	}
	bundle := EncodeCertificate(ca.Cert)
	next, err := ReadPair(filepath.Join(keys, NextCA))
	switch {
	case err == nil:
		bundle = append(bundle, EncodeCertificate(next.Cert)...)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	behind, err := Behind(keys)
	if behind != nil {
		bundle = append(bundle, EncodeCertificate(behind)...)
	}
	return bundle, err
}

// Behind is the CA before, where the server still serves a certificate of that one: it was not told of the CA in force. nil where it was.
func Behind(keys string) (*x509.Certificate, error) {
	text, err := os.ReadFile(filepath.Join(keys, PreviousCA))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s is damaged: it is not a certificate in PEM; remove it", filepath.Join(keys, PreviousCA))
	}
	previous, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: it is not a certificate in PEM; remove it", filepath.Join(keys, PreviousCA))
	}
	serving, err := ReadPair(filepath.Join(keys, Serving))
	if err != nil || serving.Cert.CheckSignatureFrom(previous) != nil {
		return nil, nil // none is served, or one of the CA in force; what is damaged the server makes anew
	}
	return previous, nil
}

// Webhooks is the certificate of the webhooks' listener. It is renewed by whoever meets it after two thirds of its life, so that no restart is needed.
type Webhooks struct {
	app      *cli.App
	Keys     string
	names    []string
	clientCA *x509.CertPool // nil: nobody is asked for a certificate
	log      *slog.Logger

	mu      sync.Mutex
	ca      *pair            // guarded by mu
	current *tls.Certificate // guarded by mu
	renew   time.Time        // guarded by mu
}

// Open reads or makes CA and certificate; nil without a listener.
func Open(a *cli.App, keys string, k config.Kubernetes, log *slog.Logger) (*Webhooks, error) {
	if k.Listen == "" {
		return nil, nil
	}
	w := &Webhooks{app: a, Keys: keys, names: k.Names, log: log}
	if k.ClientCA != "" {
		text, err := os.ReadFile(k.ClientCA)
		if err != nil {
			return nil, err
		}
		if w.clientCA = x509.NewCertPool(); !w.clientCA.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate in PEM", k.ClientCA)
		}
	}
	return w, w.Reload()
}

// Reload reads the CA again, which may have been replaced, and serves under it.
func (w *Webhooks) Reload() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	ca, err := OpenCA(w.app, w.Keys)
	if err != nil {
		return err
	}
	w.ca = ca
	serving, err := ReadPair(filepath.Join(w.Keys, Serving))
	if err == nil && w.usable(serving) {
		w.serve(serving)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return w.issue()
}

// usable reports whether a certificate is of this CA, for these names, and not to be renewed yet.
func (w *Webhooks) usable(p *pair) bool {
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.Cert)
	now := w.app.Clock()
	if _, err := p.Cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now}); err != nil || !now.Before(renewal(p.Cert)) {
		return false
	}
	for _, name := range w.names {
		if p.Cert.VerifyHostname(name) != nil {
			return false
		}
	}
	return len(p.Cert.DNSNames)+len(p.Cert.IPAddresses) == len(w.names)
}

// renewal is after two thirds of a certificate's life.
func renewal(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) * 2 / 3)
}

// issue makes a certificate under the CA that is in force now, whether the server was told of it or not. The caller holds mu.
func (w *Webhooks) issue() error {
	now := w.app.Clock().UTC()
	ca, err := ReadPair(filepath.Join(w.Keys, CA))
	if err != nil {
		return fmt.Errorf("the webhooks' certificate could not be made: %w", err)
	}
	if w.ca = ca; ca.Cert.NotAfter.Sub(now) < Soon {
		w.log.Error("the CA of the webhooks ends, and then no cluster can ask; run assay kubernetes rotate", "until", ca.Cert.NotAfter)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "Assay webhooks"}, NotBefore: now.Add(-skew), NotAfter: now.Add(ServingLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if template.NotAfter.After(w.ca.Cert.NotAfter) {
		template.NotAfter = w.ca.Cert.NotAfter
	}
	for _, name := range w.names {
		if address, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, address.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	p, err := makePair(filepath.Join(w.Keys, Serving), template, w.ca, w.app.Rand)
	if err != nil {
		return fmt.Errorf("the webhooks' certificate could not be made: %w", err)
	}
	w.serve(p)
	w.log.Info("the webhooks have a new certificate", "until", p.Cert.NotAfter, "renewed", w.renew)
	return nil
}

func (w *Webhooks) serve(p *pair) {
	w.current = &tls.Certificate{Certificate: [][]byte{p.Cert.Raw}, PrivateKey: p.Key, Leaf: p.Cert}
	w.renew = renewal(p.Cert)
	// One that ends with its CA cannot be renewed before there is another: that is looked at now and then, and not by each who asks.
	if again := w.app.Clock().Add(time.Hour); !p.Cert.NotAfter.Before(w.ca.Cert.NotAfter) && w.renew.Before(again) {
		w.renew = again
	}
}

// Certificate is the one to serve now. Where it cannot be renewed the old one is served as long as it lasts, and the log says why.
func (w *Webhooks) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.app.Clock(); !now.Before(w.renew) {
		if err := w.issue(); err != nil {
			w.log.Error("the webhooks' certificate was not renewed", "until", w.current.Leaf.NotAfter, "error", err)
			w.renew = now.Add(time.Minute)
		}
	}
	return w.current, nil
}

// Config is TLS 1.3: what asks is an API server or Gatekeeper of this decade.
func (w *Webhooks) Config() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: w.Certificate, SessionTicketsDisabled: true}
	if w.clientCA != nil {
		c.ClientCAs, c.ClientAuth = w.clientCA, tls.RequireAndVerifyClientCert
	}
	return c
}

// RotateCA introduces a new CA, and at the second call puts it into force. A new one is introduced once the server serves under the one in force.
func RotateCA(a *cli.App, keys string) (inForce bool, err error) {
	current, next := filepath.Join(keys, CA), filepath.Join(keys, NextCA)
	old, err := ReadPair(current)
	if err != nil {
		return false, err
	}
	_, err = ReadPair(next)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if behind, err := Behind(keys); err != nil {
			return false, err
		} else if behind != nil {
			return false, errors.New("the server still serves under the CA before: send it SIGHUP, then apply assay kubernetes manifests, and run this again where yet another CA is wanted")
		}
		_, err := makeCA(a, next)
		return false, err
	case err != nil:
		return false, err
	}
	if err := place.WriteDurably(filepath.Join(keys, PreviousCA), EncodeCertificate(old.Cert), 0o600); err != nil {
		return false, err
	}
	if err := os.Rename(next, current); err != nil {
		return false, err
	}
	return true, place.SyncDirectory(keys)
}
