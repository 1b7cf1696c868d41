package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy"
)

// maxSBOMState bounds what is read of the state of SBOMs, in bytes.
const maxSBOMState = 1 << 20

// sbomsTold is how often it is written, if anything changed.
const sbomsTold = 10 * time.Second

// sbomState is what assay sbom status knows, with one failure for all.
type sbomState struct {
	*policy.SBOMProgress
	Reading int                 `json:"reading"`
	Failed  int                 `json:"failed"`
	More    bool                `json:"more,omitempty"` // more failed than are counted
	First   *policy.SBOMFailure `json:"first,omitempty"`
	At      time.Time           `json:"at"` // when it became so
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

// run tells until ctx ends, and then once more: who looks into a stopped server's directory finds what it left.
func (t *sbomTeller) run(ctx context.Context) {
	tick := time.NewTicker(sbomsTold)
	defer tick.Stop()
	for {
		t.tell(ctx)
		select {
		case <-ctx.Done():
			t.tell(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		}
	}
}

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
	s := sbomState{SBOMProgress: status.SBOMProgress, Reading: status.Reading, Failed: len(status.Failed), More: status.More}
	if s.Failed > 0 {
		first := slices.MinFunc(status.Failed, func(x, y policy.SBOMFailure) int { // their order is not always the same, and what did not change is not written
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

// sbomsMade says what there is to do about SBOMs, as the server wrote it down last. Without such a file no server has looked.
func sbomsMade(cfg *config.Config) []finding {
	const name = "sboms"
	s := sbomState{SBOMProgress: &policy.SBOMProgress{}}
	kept, err := place.KeptState(cfg.Data, place.StateSBOMs, maxSBOMState, &s)
	if !kept {
		return nil
	}
	if err != nil {
		return []finding{{name, broken, err.Error()}}
	}
	status, detail := fine, fmt.Sprintf("%d images wait, %d SBOMs are to be read", s.Waiting, s.Reading)
	if s.Retrying > 0 {
		status, detail = warning, fmt.Sprintf("%s, %d failed and are tried again (%s)", detail, s.Retrying, s.Reason)
	}
	if b := s.Backfill; b != nil && !b.Finished.IsZero() {
		detail += fmt.Sprintf("; the review of older images for %s is finished", b.Generator)
	} else if b != nil {
		detail += fmt.Sprintf("; the review of older images for %s saw %d manifests and queued %d images so far", b.Generator, b.Seen, b.Queued)
	}
	if s.Failed > 0 && s.First != nil {
		more := ""
		if s.More {
			more = "more than "
		}
		status = warning
		detail += fmt.Sprintf("; %s%d were given up, such as %s@%s, not %s: %s (assay sbom status lists them, assay sbom retry tries again)",
			more, s.Failed, s.First.Repository, s.First.Digest, s.First.What, s.First.Reason)
	}
	return []finding{{name, status, cli.Printable(detail + ", since " + cli.Moment(s.At))}}
}
