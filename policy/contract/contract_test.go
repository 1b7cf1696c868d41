package contract_test

import (
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
)

// What is optional is absent, never null: a policy that asks whether something is there must not meet a null.
func TestOptionalMembersAreAbsent(t *testing.T) {
	in := &contract.Input{Schema: contract.InputSchema, Signatures: []contract.SignatureInput{}, Attestations: []contract.AttestationInput{}, Tags: &contract.TagsInput{}}
	b, err := in.JSON()
	if err != nil || strings.Contains(string(b), "null") || strings.Contains(string(b), `"sbom"`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestEarlierTakesZeroForNoEnd(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for _, c := range []struct{ x, y, want time.Time }{{early, late, early}, {late, early, early}, {early, time.Time{}, early}, {time.Time{}, late, late}, {}} {
		if got := contract.Earlier(c.x, c.y); !got.Equal(c.want) {
			t.Errorf("%v and %v: %v", c.x, c.y, got)
		}
	}
}

// Of two sets, what either reads is looked up, and what a pull may do without only where both can.
func TestTraitsOfTwoSets(t *testing.T) {
	both := contract.Traits{Matched: true, NoConfig: true}.And(contract.Traits{TagRules: true, Referrers: true})
	if !both.Matched || !both.TagRules || !both.Referrers || both.NoConfig || both.PushRules {
		t.Errorf("%+v", both)
	}
}

func TestWaiversOfADecisionAreNamedOnce(t *testing.T) {
	var none *contract.Decision
	d := &contract.Decision{Waived: []contract.Waived{{Waiver: "W-1"}, {Waiver: "W-2", BreakGlass: true}, {Waiver: "W-1"}}}
	if len(none.WaiverIDs(false)) != 0 || strings.Join(d.WaiverIDs(false), " ") != "W-1 W-2" || strings.Join(d.WaiverIDs(true), " ") != "W-2" {
		t.Errorf("%v, %v", d.WaiverIDs(false), d.WaiverIDs(true))
	}
}
