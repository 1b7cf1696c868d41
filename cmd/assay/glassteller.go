package main

import (
	"log/slog"

	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy"
)

// glassTeller writes the waivers of every code down for the doctor.
func glassTeller(d *place.Directory, log *slog.Logger) func([]policy.WaiverView) {
	return func(list []policy.WaiverView) {
		if err := place.KeepState(d.Path, place.StateGlass, list); err != nil {
			log.Warn("which waivers break glass could not be written for assay doctor", "error", err)
		}
	}
}
