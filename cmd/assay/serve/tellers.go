package serve

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/waiverkeep"
)

// told is how often the doctor is told of something, if anything changed.
const told = 10 * time.Second

// repeat tells until ctx ends, and then once more: who looks into a stopped server's directory finds what it left.
func repeat(ctx context.Context, tell func(context.Context)) {
	tick := time.NewTicker(told)
	defer tick.Stop()
	for {
		tell(ctx)
		select {
		case <-ctx.Done():
			tell(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		}
	}
}

// sbomTeller writes the state of SBOMs.
type sbomTeller struct {
	admission *policy.Admission
	data      string // directory
	clock     func() time.Time
	log       *slog.Logger
	last      []byte // what was written, without its time
}

func (r *registry) sbomTeller(clock func() time.Time, log *slog.Logger) *sbomTeller {
	return &sbomTeller{r.admission, r.directory.Path, clock, log, nil}
}

func (t *sbomTeller) run(ctx context.Context) { repeat(ctx, t.tell) }

func (t *sbomTeller) tell(ctx context.Context) {
	if err := t.attempt(ctx); err != nil && ctx.Err() == nil {
		t.log.Warn("what there is to do about SBOMs could not be written for assay doctor", "error", err)
	}
}

func (t *sbomTeller) attempt(ctx context.Context) error {
	status, err := t.admission.CountSBOMs(ctx)
	if err != nil {
		return err
	}
	s := place.SBOMState{SBOMProgress: status.SBOMProgress, Reading: status.Reading, Failed: len(status.Failed), More: status.More}
	if s.Failed > 0 {
		first := slices.MinFunc(status.Failed, func(x, y inventory.Failure) int { // their order is not always the same, and what did not change is not written
			return cmp.Or(cmp.Compare(x.Repository, y.Repository), cmp.Compare(x.Digest, y.Digest), cmp.Compare(x.What, y.What))
		})
		s.First = &first
	}
	text, err := json.Marshal(s)
	if err != nil || bytes.Equal(text, t.last) {
		return err
	}
	last := text
	s.At = t.clock().UTC()
	if err := place.KeepState(t.data, place.StateSBOMs, s); err != nil {
		return err
	}
	t.last = last
	return nil
}

// authorityTeller writes the names of the authorities that were added at run time.
type authorityTeller struct {
	admission *policy.Admission
	data      string // directory
	log       *slog.Logger
	last      []string // what was written
}

func (t *authorityTeller) run(ctx context.Context) { repeat(ctx, t.tell) }

func (t *authorityTeller) tell(context.Context) {
	names := addedAtRunTime(t.admission)
	if t.last != nil && slices.Equal(names, t.last) {
		return
	}
	if err := place.KeepState(t.data, place.StateAuthorities, names); err != nil {
		t.log.Warn("which authorities were added at run time could not be written for assay doctor", "error", err)
		return
	}
	t.last = names
}

// addedAtRunTime are the names of the authorities that are in no configuration, sorted.
func addedAtRunTime(a *policy.Admission) []string {
	names := []string{}
	for _, au := range a.Trust().Authorities {
		if au.Origin == "runtime" {
			names = append(names, au.Name)
		}
	}
	slices.Sort(names)
	return names
}

// glassTeller writes the waivers of every code down for the doctor.
func glassTeller(d *place.Directory, log *slog.Logger) func([]waiverkeep.View) {
	return func(list []waiverkeep.View) {
		if err := place.KeepState(d.Path, place.StateGlass, list); err != nil {
			log.Warn("which waivers break glass could not be written for assay doctor", "error", err)
		}
	}
}
