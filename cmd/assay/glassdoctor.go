package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy"
)

// maxGlass bounds what is read of the waivers of every code: as many as a registry keeps, of which each is at most 64 KiB.
const maxGlass = policy.MaxWaivers * 64 << 10

// glassTeller writes the waivers of every code down for the doctor.
func glassTeller(d *place.Directory, log *slog.Logger) func([]policy.WaiverView) {
	return func(list []policy.WaiverView) {
		if err := place.KeepState(d.Path, place.StateGlass, list); err != nil {
			log.Warn("which waivers break glass could not be written for assay doctor", "error", err)
		}
	}
}

// glassBroken says first what lets everything through: nobody should have to look for it.
func glassBroken(a *cli.App, data string) []finding {
	const name = "BREAK GLASS"
	var list []policy.WaiverView
	kept, err := place.KeptState(data, place.StateGlass, maxGlass, &list)
	switch {
	case !kept:
		return nil
	case err != nil:
		return []finding{{name, broken, fmt.Sprintf("%s cannot be read, so that nobody knows what lets everything through: %v; restart the server", filepath.Join(data, place.StateGlass), err)}}
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
