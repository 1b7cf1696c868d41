package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
)

// renewal is how long before its end a server's certificate should have been replaced: what renews by itself does so earlier.
const renewal = 14 * 24 * time.Hour

// certificateLasts says whether clients take the server's own certificate.
func certificateLasts(_ context.Context, a *cli.App, cfg *config.Config) []finding {
	const name = "tls certificate"
	if cfg.TLS.Cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return []finding{{name, broken, fmt.Sprintf("%s and %s cannot be used, so that the server does not start: %v", cfg.TLS.Cert, cfg.TLS.Key, err)}}
	}
	leaf, now := pair.Leaf, a.Clock()
	found := []finding{{name, fine, "until " + cli.Moment(leaf.NotAfter)}}
	switch {
	case !now.Before(leaf.NotAfter):
		found[0] = finding{name, broken, fmt.Sprintf("%s expired %s, so that clients refuse it; replace it, and send SIGHUP", cfg.TLS.Cert, cli.Moment(leaf.NotAfter))}
	case now.Before(leaf.NotBefore):
		found[0] = finding{name, broken, fmt.Sprintf("%s counts only from %s on, so that clients refuse it; look at the clock", cfg.TLS.Cert, cli.Moment(leaf.NotBefore))}
	case leaf.NotAfter.Sub(now) < renewal:
		found[0] = finding{name, warning, fmt.Sprintf("%s expires %s; replace it, and send SIGHUP", cfg.TLS.Cert, cli.Moment(leaf.NotAfter))}
	}
	if u, err := url.Parse(cfg.ExternalURL); err == nil && u.Hostname() != "" {
		if err := leaf.VerifyHostname(u.Hostname()); err != nil {
			found = append(found, finding{name, warning, fmt.Sprintf("clients that reach the registry as external_url says refuse it: %v", err)})
		}
	}
	if info, err := os.Stat(cfg.TLS.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
		found = append(found, finding{name, warning, fmt.Sprintf("%s has mode %04o: everybody on this machine can read the key; chmod 600", cfg.TLS.Key, info.Mode().Perm())})
	}
	return found
}
