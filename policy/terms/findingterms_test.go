package terms

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/open-policy-agent/opa/v1/ast"
)

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
			if (&maker{Encoder: e}).asFinding(m) {
				plain++
			}
		}
		summary := map[string]any{"top": list, "counts": map[string]any{"high": 1.0}}
		in := &contract.Input{Attestations: []contract.AttestationInput{{Summary: summary}}}
		got := madeOut(t, e, in, "attestations")
		b, err := json.Marshal(map[string]any{"attestations": in.Attestations})
		if err != nil {
			t.Fatal(err)
		}
		want, err := ast.ValueFromReader(strings.NewReader(string(b)))
		if err != nil || got.Compare(want) != 0 || got.Hash() != want.Hash() {
			t.Fatalf("%v\ngot  %v\nwant %v", err, got, want)
		}
		readsAs(t, e, in, want)
	}
	if plain < 200 {
		t.Errorf("only %d of them were nothing but findings", plain)
	}
}

// someFindings are n, with a statement about each where that is said.
func someFindings(n int, said bool) []contract.VulnerabilityInput {
	list := make([]contract.VulnerabilityInput, n)
	for i := range list {
		list[i] = contract.VulnerabilityInput{ID: fmt.Sprintf("CVE-2026-%d", 10000+i), Severity: "high", Package: fmt.Sprintf("pkg:deb/debian/lib%d@1.%d-2+deb13u1?arch=amd64", i/3, i), Published: fmt.Sprintf("2026-10-%02dT%02d:15:00Z", 1+i%30, i%24)}
		if said {
			list[i].VEX = "not_affected"
			list[i].Statements = []contract.VEXInput{{Authority: "security", Status: "not_affected", Suppresses: true, Evidence: "sha256:a", At: "2026-11-01T00:00:00Z"}}
		}
	}
	return list
}

// TestFindingsAreRemembered: whoever asks beside, each gets what was asked for; what is long is not kept, and nothing is kept of what it was read from.
func TestFindingsAreRemembered(t *testing.T) {
	e := encoderOf(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 3 * findingPlaces {
				one := &maker{Encoder: e}
				for i, f := range someFindings(3, n%2 == 0) {
					f.FixedIn = strings.Repeat("x", n%700)
					got := e.known.of(one, &f)
					if i == 0 && (Text(got.Get(nameID)) != f.ID || n%700 > 0 && Text(got.Get(nameFixedIn)) != f.FixedIn || (got.Get(nameStatements) != nil) != (n%2 == 0)) {
						t.Errorf("%v of %+v", got, f)
					}
				}
			}
		})
	}
	wg.Wait()
	fresh, f := newFindingTerms(), someFindings(1, true)[0]
	once := fresh.of(&maker{Encoder: e}, &f)
	first := fresh.of(&maker{Encoder: e}, &f)
	if once == first || !once.Equal(first) || fresh.of(&maker{Encoder: e}, &f) != first {
		t.Error("what comes twice is not kept, or what comes once is")
	}
	f.Statements[0].Suppresses = false // the caller's own
	if again := fresh.of(&maker{Encoder: e}, &f); again == first || again.Equal(first) {
		t.Errorf("it is %v", again)
	}
	f.Package = strings.Repeat("x", longestFinding)
	fresh.of(&maker{Encoder: e}, &f)
	second := fresh.of(&maker{Encoder: e}, &f)
	if third := fresh.of(&maker{Encoder: e}, &f); second == third {
		t.Error("what is long is kept")
	}
}
func encoderOf(t *testing.T) *Encoder {
	t.Helper()
	e, err := NewEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		t.Fatal(err)
	}
	return e
}
