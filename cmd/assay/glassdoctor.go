package main

import (
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/assay-registry/assay/policy"
)

// glassFile is where the server writes the waivers of every code, for the doctor, who cannot open the store of a running server.
const glassFile = "glass.json"

// maxGlass bounds that file: as many waivers as a registry keeps, of which each is at most 64 KiB.
const maxGlass = policy.MaxWaivers * 64 << 10

func glassTeller(d *directory, log *slog.Logger) func([]policy.WaiverView) {
	return func(list []policy.WaiverView) {
		text, err := json.Marshal(list)
		if err == nil {
			err = writeDurably(d.glass(), text, 0o600)
		}
		if err != nil {
			log.Warn("which waivers break glass could not be written for assay doctor", "error", err)
		}
	}
}

// glassBroken says first what lets everything through: nobody should have to look for it.
func (a *app) glassBroken(data string) []finding {
	const name = "BREAK GLASS"
	path := filepath.Join(data, glassFile)
	info, err := os.Stat(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	var list []policy.WaiverView
	if err == nil && info.Size() > maxGlass {
		err = errors.New("it is too large")
	}
	if err == nil {
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			err = json.Unmarshal(text, &list)
		}
	}
	if err != nil {
		return []finding{{name, broken, fmt.Sprintf("%s cannot be read, so that nobody knows what lets everything through: %v; restart the server", path, err)}}
	}
	var found []finding
	now := a.clock()
	for _, w := range list {
		end := w.Expires
		if !w.Until.IsZero() && w.Until.Before(end) {
			end = w.Until
		}
		if !now.Before(end) {
			continue
		}
		when := "until " + moment(end) + ", for " + end.Sub(now).Round(time.Minute).String() + " more"
		if now.Before(w.NotBefore) {
			when = "from " + moment(w.NotBefore) + " until " + moment(end)
		}
		found = append(found, finding{name, warning, printable(fmt.Sprintf("%s waives every code in %s %s: %s (approved by %s); assay waiver revoke %s ends it",
			w.ID, patterns(w.Match.Repositories), when, w.Reason, w.Approver, w.ID))})
	}
	return found
}
