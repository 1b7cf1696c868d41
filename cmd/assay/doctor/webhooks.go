package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/webhooktls"
)

// webhooksLast says whether clusters can still ask. It comes first where it is bad: everything that is deployed waits for it.
func webhooksLast(_ context.Context, a *cli.App, cfg *config.Config) []finding {
	if cfg.Kubernetes.Listen == "" {
		return nil
	}
	keys := filepath.Join(cfg.Data, "keys")
	var found []finding
	for _, c := range []struct {
		name, file, remedy string
		soon               time.Duration
	}{
		{"webhook CA", webhooktls.CA, "run assay kubernetes rotate, and apply the manifests", webhooktls.Soon},
		{"webhook CA, next", webhooktls.NextCA, "remove it from keys/, and run assay kubernetes rotate", webhooktls.Soon},
		{"webhook certificate", webhooktls.Serving, "restart the server, which makes another; its log says why it was not renewed", webhooktls.ServingLife / 6},
	} {
		p, err := webhooktls.ReadPair(filepath.Join(keys, c.file))
		switch {
		case errors.Is(err, fs.ErrNotExist) && c.file == webhooktls.NextCA:
		case errors.Is(err, fs.ErrNotExist):
			found = append(found, finding{c.name, fine, "will be made by the server"})
		case err != nil:
			found = append(found, finding{c.name, broken, err.Error()})
		case !a.Clock().Before(p.Cert.NotAfter):
			found = append(found, finding{c.name, broken, fmt.Sprintf("expired %s, so that clusters cannot ask; %s", cli.Moment(p.Cert.NotAfter), c.remedy)})
		case p.Cert.NotAfter.Sub(a.Clock()) < c.soon:
			found = append(found, finding{c.name, warning, fmt.Sprintf("expires %s; %s", cli.Moment(p.Cert.NotAfter), c.remedy)})
		default:
			found = append(found, finding{c.name, fine, "until " + cli.Moment(p.Cert.NotAfter)})
		}
	}
	switch behind, err := webhooktls.Behind(keys); {
	case err != nil:
		found = append(found, finding{"webhook CA, previous", broken, err.Error()})
	case behind != nil:
		found = append(found, finding{"webhook CA, previous", warning, "the server still serves under it: send it SIGHUP, then apply assay kubernetes manifests, which trust the new one alone"})
	}
	return found
}
