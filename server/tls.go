package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
)

// Certificate is a server certificate that can be read again while connections come in.
type Certificate struct {
	load    func() (cert, key []byte, err error)
	current atomic.Pointer[tls.Certificate]
}

// NewCertificate reads the certificate chain and key, both in PEM, by load.
func NewCertificate(load func() (cert, key []byte, err error)) (*Certificate, error) {
	c := &Certificate{load: load}
	return c, c.Reload()
}

// Reload reads again. After an error the old certificate stays in use.
func (c *Certificate) Reload() error {
	cert, key, err := c.load()
	if err != nil {
		return fmt.Errorf("read the TLS certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return errors.New("the TLS certificate and key do not fit or are not PEM")
	}
	c.current.Store(&pair)
	return nil
}

// TLSConfig is TLS 1.2 or newer, with forward secrecy and authenticated encryption only.
func TLSConfig(c *Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
		CipherSuites: []uint16{ // of TLS 1.2; 1.3 has no others
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}
