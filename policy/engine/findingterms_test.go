package engine

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
)

func encoderOf(t *testing.T) *encoder {
	t.Helper()
	e, err := newEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestReportedFindings: whatever a report names, what a policy has is the value of its JSON; of findings that are known, and of what looks like one and has something else.
func TestReportedFindings(t *testing.T) {
	random, e := rand.New(rand.NewPCG(3, 4)), encoderOf(t)
	pick := func(list ...any) any { return list[random.IntN(len(list))] }
	object := func(members map[string][]any) map[string]any {
		m := map[string]any{}
		for name, values := range members {
			if v := pick(values...); v != "-" {
				m[name] = v
			}
		}
		return m
	}
	said := func() any {
		return object(map[string][]any{"authority": {"a", "b", "", "a", "a"}, "status": {"fixed", "fixed", "fixed", ""}, "evidence": {"sha256:a", "sha256:a", "sha256:a", "-", 1}, "suppresses": {true, true, false, true, "yes"},
			"reason": {"", "x", "x", "-"}, "at": {"-", "-", "2026-11-01T00:00:00Z", nil}})
	}
	plain := 0
	for range 3000 {
		list := []any{"none", nil, []any{}}[:random.IntN(2)]
		for range random.IntN(5) {
			m := object(map[string][]any{"id": {"CVE-1", "CVE-2", "CVE-3", "", "-", 1}, "severity": {"high", "low", "high", "-", "high\xff"}, "package": {"pkg:npm/a", "-", "pkg:npm/b", ""}, "fixed_in": {"-", "1", nil},
				"published": {"-", "2026-11-01T00:00:00Z"}, "vex": {"-", "-", "fixed"}, "aliases": {"-", "-", "-", []any{"GHSA-1"}}, "other": {"-", "-", "-", "-", 7}})
			if random.IntN(2) == 0 {
				m["statements"] = []any{said(), said()}[:random.IntN(3)]
			}
			list = append(list, m)
			if (&terms{encoder: e}).asFinding(m) {
				plain++
			}
		}
		summary := map[string]any{"top": list, "counts": map[string]any{"high": 1.0}}
		in := ask(contract.EntryAdmit)
		in.Attestations = []contract.AttestationInput{{Summary: summary}}
		got, err := newDocument(e, in).question(Reads{Fields: []string{"attestations"}}, nil).Made()
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(map[string]any{"attestations": in.Attestations})
		if err != nil {
			t.Fatal(err)
		}
		want, err := ast.ValueFromReader(strings.NewReader(string(b)))
		if err != nil || got.Compare(want) != 0 || got.Hash() != want.Hash() {
			t.Fatalf("%v\ngot  %v\nwant %v", err, got, want)
		}
		readsAs(t, e, in, Reads{Fields: []string{"attestations"}}, want)
	}
	if plain < 200 {
		t.Errorf("only %d of them were nothing but findings", plain)
	}
}

// TestFindingsAreRemembered: whoever asks beside, each gets what was asked for; what is long is not kept, and nothing is kept of what it was read from.
func TestFindingsAreRemembered(t *testing.T) {
	e := encoderOf(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 3 * findingPlaces {
				one := &terms{encoder: e}
				for i, f := range manyFindings(3, "high", n%2 == 0) {
					f.FixedIn = strings.Repeat("x", n%700)
					got := e.known.of(one, &f)
					if i == 0 && (memberText(got.Value.(ast.Object), keyID) != f.ID || memberText(got.Value.(ast.Object), keyFixedIn) != f.FixedIn || (got.Get(keyStatements) != nil) != (n%2 == 0)) {
						t.Errorf("%v of %+v", got, f)
					}
				}
			}
		})
	}
	wg.Wait()
	fresh, f := newFindingTerms(), manyFindings(1, "high", true)[0]
	once := fresh.of(&terms{encoder: e}, &f)
	first := fresh.of(&terms{encoder: e}, &f)
	if once == first || !once.Equal(first) || fresh.of(&terms{encoder: e}, &f) != first {
		t.Error("what comes twice is not kept, or what comes once is")
	}
	f.Statements[0].Suppresses = false // the caller's own
	if again := fresh.of(&terms{encoder: e}, &f); again == first || again.Equal(first) {
		t.Errorf("it is %v", again)
	}
	f.Package = strings.Repeat("x", longestFinding)
	fresh.of(&terms{encoder: e}, &f)
	second := fresh.of(&terms{encoder: e}, &f)
	if third := fresh.of(&terms{encoder: e}, &f); second == third {
		t.Error("what is long is kept")
	}
}
