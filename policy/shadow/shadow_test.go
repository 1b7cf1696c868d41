package shadow_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// by decides by repository: it denies what has a code there.
type by map[store.Name]string

func (b by) Decide(_ context.Context, in *contract.Input) (*contract.Decision, error) {
	switch code := b[in.Subject.Repository]; code {
	case "":
		return &contract.Decision{Allow: true}, nil
	case "none":
		return nil, errors.New("no decision")
	default:
		return &contract.Decision{Deny: []contract.Reason{{Code: code, Policy: "base"}}}, nil
	}
}

func (b by) Traits(store.Name) contract.Traits {
	return contract.Traits{Matched: true, PushRules: len(b) == 1}
}

func (b by) Revision() string { return "" }

func TestDifferencesAreCounted(t *testing.T) {
	clock := func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }
	tally := shadow.NewTally(clock)
	p := shadow.New(by{"shut": "a", "other": "a"}, by{"open": "b"}, tally)
	if both := p.Traits(""); !both.PushRules || !both.Matched {
		t.Errorf("what only the staged set reads is not looked up: %+v", both)
	}
	p = shadow.New(by{"shut": "a", "other": "a"}, by{"open": "b", "other": "c", "lost": "none"}, tally)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	for _, repo := range []store.Name{"shut", "open", "other", "lost", "same", "open"} {
		d, err := p.Decide(ctx, &contract.Input{Request: contract.RequestInput{Entry: contract.EntryAdmit}, Subject: contract.SubjectInput{Repository: repo}})
		if err != nil || d.Allow != (repo != "shut" && repo != "other") {
			t.Errorf("%s: the set in force decides: %+v, %v", repo, d, err)
		}
	}
	p.Settled(ctx)
	stop()
	running.Wait()
	r := tally.Report()
	if r.Decisions != 5 || r.Agreed != 1 || r.NewlyDenied != 2 || r.NewlyAllowed != 1 || r.OtherReason != 1 || r.Failed != 1 || r.LeftOut != 0 {
		t.Errorf("%+v", r)
	}
	if len(r.Differences) != 3 || r.Differences[0].Count != 2 || r.Differences[0].Code != "b" || r.Differences[0].Difference != shadow.NewlyDenied {
		t.Errorf("the most frequent is not the first: %+v", r.Differences)
	}
}

// What nobody works off is left out and told, and costs who waits nothing.
func TestWhatCannotBeKeptUpWithIsLeftOut(t *testing.T) {
	tally := shadow.NewTally(time.Now)
	p := shadow.New(by{}, by{}, tally)
	for range 300 {
		if _, err := p.Decide(t.Context(), &contract.Input{}); err != nil {
			t.Fatal(err)
		}
	}
	if r := tally.Report(); r.LeftOut != 300-256 || r.Decisions != 0 {
		t.Errorf("%+v", r)
	}
}
