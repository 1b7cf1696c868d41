package proof

import (
	"testing"

	"github.com/assay-registry/assay/verify"
)

func TestFactsAreToldByTheirKind(t *testing.T) {
	one, two := signed(1, "a", "app"), signed(2, "b", "app")
	scan := verify.Fact{Kind: verify.KindAttestation, PredicateType: "p", Summary: map[string]any{"n": 1}}
	signatures, attestations := Inputs([]verify.Fact{one, scan, {Kind: verify.KindDocument}, two})
	if len(signatures) != 2 || signatures[0].Evidence != one.Evidence || signatures[0].KeyID != one.KeyID || signatures[1].Evidence != two.Evidence {
		t.Errorf("%+v", signatures)
	}
	if len(attestations) != 1 || attestations[0].PredicateType != "p" || attestations[0].Summary["n"] != 1 {
		t.Errorf("%+v", attestations)
	}
	if signatures, attestations = Inputs(nil); signatures == nil || attestations == nil {
		t.Error("policies are told of a list, be it empty")
	}
}
