package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy/waiverkeep"
)

// maxGlass bounds what is read of the waivers of every code: as many as a registry keeps, of which each is at most 64 KiB.
const maxGlass = waiverkeep.Max * 64 << 10

// glassBroken says first what lets everything through: nobody should have to look for it.
func glassBroken(_ context.Context, a *cli.App, cfg *config.Config) []finding {
	const name = "BREAK GLASS"
	var list []waiverkeep.View
	kept, err := place.KeptState(cfg.Data, place.StateGlass, maxGlass, &list)
	switch {
	case !kept:
		return nil
	case err != nil:
		return []finding{{name, broken, fmt.Sprintf("nobody knows what lets everything through: %v", err)}}
	}
	var found []finding
	now := a.Clock()
	for _, w := range list {
		end := w.Expires
		if !w.Until.IsZero() && w.Until.Before(end) {
			end = w.Until
		}
		if !now.Before(end) {
			continue
		}
		when := "until " + cli.Moment(end) + ", for " + end.Sub(now).Round(time.Minute).String() + " more"
		if now.Before(w.NotBefore) {
			when = "from " + cli.Moment(w.NotBefore) + " until " + cli.Moment(end)
		}
		found = append(found, finding{name, warning, cli.Printable(fmt.Sprintf("%s waives every code in %s %s: %s (approved by %s); assay waiver revoke %s ends it",
			w.ID, cli.Patterns(w.Match.Repositories), when, w.Reason, w.Approver, w.ID))})
	}
	return found
}
