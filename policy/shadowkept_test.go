package policy_test

import (
	"context"
	"reflect"
	"sync"
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// What a staged set showed is there after a restart, and after a crash all but the last counts; another staged set starts at nothing.
func TestShadowsOutliveTheProcess(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open")) })
	set, err := k.a.StagePolicies(k.ctx, admin, []policy.Binding{{Name: "strict", Repositories: store.Globs{"**"}, Rego: "strict.rego"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	load := func() *shadow.Tally {
		t.Helper()
		tally, err := shadow.LoadTally(k.ctx, k.local, set.Digest, set.At, k.clock.now)
		if err != nil {
			t.Fatal(err)
		}
		return tally
	}
	staged := compile(t, ruled("strict", refuseAll, "acme/app"), builtin("open"))
	run := func(tally *shadow.Tally, decisions int, crash bool) *shadow.Report {
		t.Helper()
		shadow := shadow.New(compile(t, builtin("open")), staged, tally)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var running sync.WaitGroup
		running.Go(func() { shadow.Run(ctx) })
		for range decisions {
			in := &contract.Input{Schema: contract.InputSchema, Request: contract.RequestInput{Entry: contract.EntryAdmit, Time: k.clock.now()}, Subject: contract.SubjectInput{Repository: "acme/app", Digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}
			if d, err := shadow.Decide(ctx, in); err != nil || !d.Allow {
				t.Fatal(d, err)
			}
			shadow.Settled(ctx)
		}
		report := tally.Report()
		if crash {
			return load().Report() // what is written by now
		}
		stop()
		running.Wait()
		return report
	}
	first := run(load(), 3, false)
	if first.NewlyDenied != 3 || len(first.Differences) != 1 {
		t.Fatalf("%+v", first)
	}
	if got := load().Report(); !reflect.DeepEqual(got.Differences, first.Differences) || got.Decisions != 3 || !got.Since.Equal(first.Since) {
		t.Errorf("after a restart %+v", got)
	}
	if got := run(load(), 2, false); got.NewlyDenied != 5 || got.Differences[0].Count != 5 {
		t.Errorf("it goes on: %+v", got)
	}
	if got := run(load(), 200, true); got.NewlyDenied < 5+128 || got.NewlyDenied > 5+200 {
		t.Errorf("after a crash %+v", got)
	}
	if set, err = k.a.StagePolicies(k.ctx, admin, set.Bindings, "again"); err != nil {
		t.Fatal(err)
	}
	k.clock.advance(1)
	again := *set
	again.At = k.clock.now()
	set = &again
	if got := load().Report(); got.Decisions != 0 {
		t.Errorf("another set: %+v", got)
	}
	if err := k.a.UnstagePolicies(k.ctx, admin); err != nil {
		t.Fatal(err)
	}
}
