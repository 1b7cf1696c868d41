package engine

import "testing"

// TestLicenceVerdictsAreRemembered: of each rules their own.
func TestLicenceVerdictsAreRemembered(t *testing.T) {
	s := one(t, `package assay

strict := {"denied": ["MIT*"], "allowed": []}

admit.deny contains {"code": "a.strict", "msg": "no"} if count(assay.licence.judge(input.sbom.packages.by_license, strict).value.denied) > 0

admit.deny contains {"code": "a.own", "msg": "no"} if count(assay.licence.judge(input.sbom.packages.by_license, {"denied": input.sbom.origins}).value.denied) > 0

admit.deny contains {"code": "a.none", "msg": "no"} if count(assay.licence.judge(input.sbom.packages.by_license, {}).value.denied) > 0
`, Options{})
	planAll(t, s)
	for range 3 {
		if got := codes(decide(t, s, manyLicences(10)).Deny); got != "a.strict" {
			t.Errorf("got %s", got)
		}
	}
}
