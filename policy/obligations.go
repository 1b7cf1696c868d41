package policy

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/outbox"
	"github.com/assay-registry/assay/store"
)

// oblige asks for what a verdict entails. It is called for each one that is written, in its transaction; recorded says that its decision is a new one.
func (a *Admission) oblige(tx *store.Txn, s *subjectManifest, v *verdict, recorded bool) {
	if v.decision == nil || s.rec.Kind == store.KindEvidence || s.rec.Kind == store.KindAttestation {
		return
	}
	i := store.Item{Repository: s.repo, Digest: s.rec.Digest}
	if v.state == store.StateAdmitted && a.o.Verdicts.Key != nil && a.o.Verdicts.Stale(tx.Records, i, v.input, v.decision) {
		a.requestVSA(tx, i)
	}
	if recorded && slices.Contains(v.decision.Obligations, contract.Obligation{Type: contract.ObligationNotify}) {
		e := a.outbox.Event(outbox.EventObligation, i, s.det, v.state, v.state)
		e.Data.Deny, e.Data.Warn = codes(v.decision.Deny), codes(v.decision.Warn)
		a.outbox.Tell(tx, e)
	}
}

// moved follows a change of state, in its transaction: the summary of a verdict goes with it, and whoever wants to know is told.
func (a *Admission) moved(tx *store.Txn, i store.Item, kind store.Kind, from, to store.State, det *store.Detail, r AuditRecord) {
	if kind == store.KindEvidence || kind == store.KindAttestation || from == to {
		return
	}
	if from == store.StateAdmitted {
		if err := a.withdrawVSA(tx, i); err != nil {
			a.log.Error("the summary of a verdict could not be withdrawn at once and is tried again", "repository", i.Repository, "digest", i.Digest, "error", err)
			a.requestVSA(tx, i)
		}
	}
	if name := outbox.EventName(to); name != "" {
		e := a.outbox.Event(name, i, det, from, to)
		if r.Reason != "" {
			e.Data.Reason = r.Reason
		}
		a.outbox.Tell(tx, e)
	}
}

func codes(reasons []contract.Reason) []string {
	var list []string
	for _, r := range reasons {
		if !slices.Contains(list, r.Code) {
			list = append(list, r.Code)
		}
	}
	return list
}

// ObligationView is one piece of work that is not done.
type ObligationView struct {
	Type       string       `json:"type"`             // generate_sbom, emit_vsa, notify
	ID         string       `json:"id,omitempty"`     // of the event
	Event      string       `json:"event,omitempty"`  // its type
	Target     string       `json:"target,omitempty"` // where it goes: scheme and host
	Repository store.Name   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	Attempts   int          `json:"attempts"`
	Next       time.Time    `json:"next,omitzero"`
	Reason     string       `json:"reason,omitempty"` // of the last failure
	Failed     bool         `json:"failed,omitempty"` // it is not tried again
}

// ObligationReport is what waits, of each type at most as many as were asked for, and how many there are.
type ObligationReport struct {
	Waiting     map[string]int   `json:"waiting"` // by type
	Failed      map[string]int   `json:"failed"`
	Obligations []ObligationView `json:"obligations"`
}

// maxCounted bounds what a report counts of one type.
const maxCounted = 100_000

// Obligations says what policies and the configuration asked for and is not done yet. Only an administrator of everything may ask.
func (a *Admission) Obligations(ctx context.Context, p access.Principal, limit int) (*ObligationReport, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	return a.obligations(ctx, max(0, min(limit, maxPage)))
}

// CountObligations is for metrics.
func (a *Admission) CountObligations(ctx context.Context) (*ObligationReport, error) {
	return a.obligations(ctx, 0)
}

func (a *Admission) obligations(ctx context.Context, limit int) (*ObligationReport, error) {
	r := &ObligationReport{Waiting: map[string]int{}, Failed: map[string]int{}, Obligations: []ObligationView{}}
	add := func(v ObligationView) bool {
		count := r.Waiting
		if v.Failed {
			count = r.Failed
		}
		if count[v.Type]++; count[v.Type] <= limit {
			r.Obligations = append(r.Obligations, v)
		}
		return count[v.Type] < maxCounted
	}
	for _, t := range contract.Obligations() {
		r.Waiting[t], r.Failed[t] = 0, 0
	}
	if err := a.outbox.Each(ctx, outbox.Summaries, func(_ []byte, w *outbox.Work) (bool, error) {
		return add(ObligationView{Type: contract.ObligationVSA, Repository: w.Item.Repository, Digest: w.Item.Digest, Attempts: w.Attempts, Next: w.Next, Reason: w.Reason, Failed: w.Failed}), nil
	}); err != nil {
		return nil, err
	}
	if err := a.outbox.Each(ctx, outbox.Events, func(key []byte, w *outbox.Work) (bool, error) {
		id, _, _ := strings.Cut(string(key[1:]), "\x00")
		var e outbox.Event
		if err := json.Unmarshal(w.Event, &e); err != nil {
			return true, nil
		}
		return add(ObligationView{Type: contract.ObligationNotify, ID: e.ID, Event: e.Type, Target: a.outbox.TargetName(id), Repository: w.Item.Repository, Digest: w.Item.Digest,
			Attempts: w.Attempts, Next: w.Next, Reason: w.Reason, Failed: w.Failed}), nil
	}); err != nil {
		return nil, err
	}
	return r, a.eachSBOMWork(ctx, func(i store.Item, w sbomWork) bool {
		return add(ObligationView{Type: contract.ObligationSBOM, Repository: i.Repository, Digest: i.Digest, Attempts: w.Attempts, Next: w.Next, Reason: w.Reason})
	})
}

func (a *Admission) eachSBOMWork(ctx context.Context, do func(store.Item, sbomWork) bool) error {
	var after *store.Item
	for ctx.Err() == nil {
		var page []store.Item
		var work []sbomWork
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			page, work = s.SBOMWorkPage(after, batch), nil
			for _, i := range page {
				var w sbomWork
				if err := json.Unmarshal(s.SBOMWork(i), &w); err != nil {
					return store.Errorf(store.CodeInternal, "an SBOM work record is damaged; run assay check: %w", err)
				}
				work = append(work, w)
			}
			return nil
		}); err != nil {
			return err
		}
		for n, i := range page {
			if !do(i, work[n]) {
				return nil
			}
		}
		if len(page) < batch {
			return nil
		}
		after = &page[len(page)-1]
	}
	return ctx.Err()
}

// Deliver delivers the events that are due to every target once, whoever of them rested before.
func (a *Admission) Deliver(ctx context.Context) error { return a.outbox.Deliver(ctx) }
