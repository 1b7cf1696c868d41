package doctor

import (
	"context"
	"fmt"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rehearse"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/server"
)

// policiesStand says which policies are in force, and where they come from, as the server wrote it down last. Without such a file no server changed anything.
func policiesStand(_ context.Context, _ *cli.App, cfg *config.Config) []finding {
	const name = "policies in force"
	var s server.PolicyStatus
	kept, err := place.KeptState(cfg.Data, place.StatePolicies, place.MaxState, &s)
	if !kept {
		return nil
	}
	if err != nil {
		return []finding{{name, broken, err.Error()}}
	}
	found := []finding{{name, fine, "those of the configuration"}}
	switch {
	case s.Revision > 0:
		found[0].Detail = fmt.Sprintf("revision %d, by %s at %s: those of the configuration do not count until assay policy rollback, or until they change", s.Revision, s.By, cli.Moment(s.At))
	case s.Lapsed > 0:
		found[0] = finding{name, warning, fmt.Sprintf("those of the configuration: revision %d, which was activated, ended because they changed", s.Lapsed)}
	}
	if s.Staged != nil && s.Staged.Error != "" {
		found = append(found, finding{"staged policies", warning, "they decide nothing: " + s.Staged.Error})
	}
	for _, o := range s.Sources {
		found = append(found, originStands(o))
	}
	return found
}

func originStands(o server.PolicyOrigin) finding {
	detail := fmt.Sprintf("revision %d, signed by %s", o.Revision, o.SignedBy)
	switch {
	case o.Revision == 0:
		return finding{o.Ref, broken, "nothing was accepted yet, so that everything is refused: " + o.Error}
	case o.Error != "":
		return finding{o.Ref, warning, fmt.Sprintf("%s; %s stays in force", o.Error, detail)}
	}
	return finding{o.Ref, fine, detail}
}

func policiesCompile(ctx context.Context, a *cli.App, cfg *config.Config) []finding {
	set, err := rules.CompileAlone(ctx, cfg, engine.Options{Rehearse: rehearse.New(a.Self).Rehearse})
	if err != nil {
		return []finding{{"policies", broken, err.Error()}}
	}
	return []finding{{"policies", fine, fmt.Sprintf("%d compiled, revision %s", len(cfg.Policies), cli.Short(set.Revision()))}}
}
