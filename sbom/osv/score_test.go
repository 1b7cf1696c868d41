package osv_test

import (
	"fmt"
	"testing"

	"github.com/assay-registry/assay/sbom/osv"
)

// Vectors with the scores that FIRST publishes for them (CVSS 2, 3.0, 3.1 and 4.0 examples), and their classes.
func TestPublishedScores(t *testing.T) {
	for vector, want := range map[string]string{
		"AV:N/AC:L/Au:N/C:N/I:N/A:C":                                      "7.8 high",
		"AV:N/AC:L/Au:N/C:C/I:C/A:C":                                      "10.0 high",
		"AV:L/AC:H/Au:N/C:C/I:C/A:C":                                      "6.2 medium",
		"(AV:N/AC:M/Au:N/C:N/I:P/A:N)":                                    "4.3 medium",
		"AV:L/AC:H/Au:N/C:P/I:N/A:N":                                      "1.2 low",
		"CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N":                    "6.1 medium",
		"CVSS:3.0/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N":                    "3.1 low",
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H":                    "10.0 critical",
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H":                    "9.8 critical",
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N":                    "7.5 high",
		"CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N":                    "6.4 medium",
		"CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L":                    "4.2 medium",
		"CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:C/C:H/I:H/A:H":                    "8.2 high",
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N":                    "0.0 negligible",
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N/E:U":                "7.5 high",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H": "10.0 critical",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": "9.3 critical",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N": "8.7 high",
		"CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": "7.3 high",
		"CVSS:4.0/AV:A/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:H/SI:N/SA:H": "6.4 medium",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N": "0.0 negligible",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N":      "0.0 unknown",
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/AV:L":               "0.0 unknown",
		"9.8": "0.0 unknown",
	} {
		a, err := osv.ParseAdvisory([]byte(fmt.Sprintf(`{"id":"GHSA-a","severity":[{"type":"CVSS_V3","score":%q}]}`, vector)))
		if err != nil {
			t.Fatal(err)
		}
		same(t, vector, fmt.Sprintf("%.1f %s", a.Score, a.Severity), want)
	}
}
