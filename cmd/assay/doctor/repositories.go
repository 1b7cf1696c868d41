package doctor

import (
	"context"
	"fmt"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/verify"
)

// trustFresh says where the TUF repositories stand, as the server wrote it down last.
func trustFresh(_ context.Context, a *cli.App, cfg *config.Config) []finding {
	return repositories(a, cfg.Data, cfg.Trust())
}

func repositories(a *cli.App, data string, authorities []verify.Authority) []finding {
	wanted := map[string]bool{}
	for _, au := range authorities {
		if au.Kind == verify.KindTUF {
			wanted[au.Name] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	var list []server.TrustStatus
	kept, err := place.KeptState(data, place.StateTrust, place.MaxState, &list)
	if !kept {
		return []finding{{"TUF", warning, "no server has asked the sources yet; start one, and see assay trust status"}}
	}
	if err != nil {
		return []finding{{"TUF", broken, err.Error()}}
	}
	var found []finding
	for _, s := range list {
		if wanted[s.Authority] {
			delete(wanted, s.Authority)
			found = append(found, repositoryFresh(a, s)...)
		}
	}
	for _, au := range authorities {
		if wanted[au.Name] {
			found = append(found, finding{"TUF " + au.Name, warning, "its source was not asked yet; see assay trust status"})
		}
	}
	return found
}

func repositoryFresh(a *cli.App, s server.TrustStatus) []finding {
	name := "TUF " + s.Authority
	detail := fmt.Sprintf("root %d, targets %d, ends %s, checked %s", s.Root, s.Targets, cli.Moment(s.Expires), cli.Moment(s.CheckedAt))
	first := finding{name, fine, detail}
	switch {
	case s.Root == 0:
		first = finding{name, broken, "nothing was had from " + s.Source + " yet: " + s.Error}
	case !a.Clock().Before(s.Expires):
		first = finding{name, broken, "the metadata has expired: " + detail}
	case s.Error != "":
		first = finding{name, warning, fmt.Sprintf("%d attempts failed: %s; %s", s.Failures, s.Error, detail)}
	}
	found := []finding{first}
	for _, p := range s.Problems {
		found = append(found, finding{name, warning, p})
	}
	return found
}
