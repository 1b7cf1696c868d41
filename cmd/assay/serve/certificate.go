package serve

import (
	"crypto/tls"
	"os"
	"sync/atomic"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/server"
)

// certificate is the server's certificate, of the files that the configuration names at the moment. A nil one is plain HTTP.
type certificate struct {
	*server.Certificate
	files atomic.Pointer[config.TLS]
}

func loadCertificate(files config.TLS) (*certificate, error) {
	if files.Cert == "" {
		return nil, nil
	}
	c := &certificate{}
	c.files.Store(&files)
	var err error
	c.Certificate, err = server.NewCertificate(func() (cert, key []byte, err error) {
		now := c.files.Load()
		if cert, err = os.ReadFile(now.Cert); err == nil {
			key, err = os.ReadFile(now.Key)
		}
		return cert, key, err
	})
	return c, err
}

// replace reads the files of another configuration. Turning TLS on or off takes a restart.
func (c *certificate) replace(files config.TLS) error {
	if c == nil || files.Cert == "" {
		return nil
	}
	c.files.Store(&files)
	return c.Reload()
}

func (c *certificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	return server.TLSConfig(c.Certificate)
}
