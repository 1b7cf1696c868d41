package engine

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// TestAPlanThatIsWrong: the interpreter is asked at first and now and then; where it says something else it is believed, then and ever after, and the log tells.
func TestAPlanThatIsWrong(t *testing.T) {
	const source = "package assay\n\n" + `admit.deny contains {"code": "a.b", "msg": "no"} if input.subject.kind == "image"` + "\n"
	for _, wrongFrom := range []int{1, 2} {
		var log bytes.Buffer
		set := one(t, source, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		e := set.programs[0].entries[contract.EntryAdmit]
		planAll(t, set)
		planned, asked := e.planned.Load().evaluate, 0
		e.planned.Load().evaluate = func(cancel topdown.Cancel, input *question, now time.Time) ([]*ast.Term, error) {
			if asked++; asked < wrongFrom {
				return planned(cancel, input, now)
			}
			return []*ast.Term{ast.SetTerm()}, nil
		}
		admitted := 0
		for range 2*secondEvery + 1 {
			if len(decide(t, set, ask(contract.EntryAdmit)).Deny) == 0 {
				admitted++
			}
		}
		if wanted := (wrongFrom - 1) * (secondEvery - 1); admitted != wanted || asked != wanted+1+(wrongFrom-1) {
			t.Errorf("wrong from %d on: admitted %d times, want %d; the plan was asked %d times", wrongFrom, admitted, wanted, asked)
		}
		if n := strings.Count(log.String(), "disagree"); n != 1 {
			t.Errorf("the log tells it %d times: %s", n, log.String())
		}
	}
}

// TestAnInterpreterThatDoesNotAnswer: that is no difference, and it is asked again at the next evaluation, a few times; the plan is believed, and told apart when it is wrong.
func TestAnInterpreterThatDoesNotAnswer(t *testing.T) {
	const source = "package assay\n\n" + `admit.deny contains {"code": "a.b", "msg": "no"} if input.subject.kind == "image"` + "\n"
	for name, fails := range map[string]error{
		"late": errTimeout, "left": context.Canceled, "over": context.DeadlineExceeded, "cancelled": &topdown.Error{Code: topdown.CancelErr}, "unavailable": fmt.Errorf("no answer: %w", store.Errorf(store.CodeUnavailable, "away")),
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			set := one(t, source, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			e := set.programs[0].entries[contract.EntryAdmit]
			planAll(t, set)
			interpret, asked := e.interpret, 0
			e.interpret = func(topdown.Cancel, *question, time.Time) ([]*ast.Term, error) { asked++; return nil, fails }
			for range secondEvery {
				if d := decide(t, set, ask(contract.EntryAdmit)); codes(d.Deny) != "a.b" {
					t.Fatalf("%+v", d.Deny)
				}
			}
			if plan := e.planned.Load(); plan.apart.Load() || asked != 1+maxSilent || plan.silent.Load() != 1+maxSilent {
				t.Errorf("apart: %v; it was asked %d times, and %d were silent", plan.apart.Load(), asked, plan.silent.Load())
			}
			e.interpret = interpret
			decide(t, set, ask(contract.EntryAdmit))
			if n := e.planned.Load().silent.Load(); n != 0 || log.Len() > 0 {
				t.Errorf("after an answer %d are silent; the log: %s", n, &log)
			}
			e.interpret = func(topdown.Cancel, *question, time.Time) ([]*ast.Term, error) { return nil, errUndefined }
			for range secondEvery {
				decide(t, set, ask(contract.EntryAdmit))
			}
			if !e.planned.Load().apart.Load() || strings.Count(log.String(), "disagree") != 1 {
				t.Errorf("an error of another kind is a difference: %s", &log)
			}
		})
	}
}

// TestAPolicyIsPlannedWhenItIsAskedOften: not before, and its answers are the same.
func TestAPolicyIsPlannedWhenItIsAskedOften(t *testing.T) {
	set := one(t, "package assay\n\n"+`admit.deny contains {"code": "a.b", "msg": "no"} if input.subject.kind == "image"`+"\n", Options{})
	e := set.programs[0].entries[contract.EntryAdmit]
	for n := range 2 * planAfter {
		if planned := e.planned.Load() != nil; planned != (n >= planAfter) {
			t.Fatalf("planned: %v, after %d evaluations", planned, n)
		}
		if d := decide(t, set, ask(contract.EntryAdmit)); len(d.Deny) != 1 {
			t.Fatalf("%d: %+v", n, d.Deny)
		}
	}
}

// TestAPolicyIsPlannedWhileOthersAsk: who asks meanwhile has the interpreter's answer.
func TestAPolicyIsPlannedWhileOthersAsk(t *testing.T) {
	source, err := BuiltinSource("builtin:baseline")
	if err != nil {
		t.Fatal(err)
	}
	set := set(t, Options{Deadline: time.Second}, Policy{Name: "baseline", Repositories: store.Globs{"**"}, Source: source})
	want := codes(decide(t, set, ask(contract.EntryAdmit)).Deny)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range planAfter {
				if d, err := set.Decide(t.Context(), ask(contract.EntryAdmit)); err != nil || codes(d.Deny) != want {
					t.Errorf("got %+v, %v; want %s", d, err, want)
				}
			}
		})
	}
	wg.Wait()
	if set.programs[0].entries[contract.EntryAdmit].planned.Load() == nil {
		t.Error("it was not planned")
	}
}
