package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/verify"
)

// scopesFit looks for policies that count on what authorities attest, without any being trusted for it.
func scopesFit(_ context.Context, _ *cli.App, cfg *config.Config) (found []finding) {
	for _, p := range cfg.Policies {
		if p.Rego != "builtin:vulnerabilities" {
			continue
		}
		for _, c := range []struct{ param, what, predicate string }{
			{"authorities", verify.AttestsVulnerabilities, "https://cosign.sigstore.dev/attestation/vuln/v1"}, {"vex_authorities", verify.AttestsVEX, "https://openvex.dev/ns/v0.2.0"},
		} {
			for _, name := range texts(p.Params[c.param]) {
				if i := slices.IndexFunc(cfg.Trust(), func(a verify.Authority) bool { return a.Name == name }); i >= 0 && !attests(cfg.Trust()[i], c.predicate) {
					found = append(found, finding{"policy " + p.Name, warning, fmt.Sprintf("%s names %s, which is not trusted for that: add %s to attests of the authority, which may say %s", c.param, name, c.what, strings.Join(cfg.Trust()[i].MayAttest(), ", "))})
				}
			}
		}
		scans := slices.ContainsFunc(cfg.Trust(), func(a verify.Authority) bool { return attests(a, "https://cosign.sigstore.dev/attestation/vuln/v1") })
		if slices.Equal(texts(p.Params["origins"]), []string{"attested"}) && !scans {
			found = append(found, finding{"policy " + p.Name, warning, "it wants an attested report, and no authority of the configuration is trusted for one: add vulnerabilities to attests of the scanner's authority, or everything is refused"})
		}
	}
	return found
}

// attests reports whether an authority's statements of a type count.
func attests(a verify.Authority, predicate string) bool {
	return a.Kind != verify.KindTUF && a.Scope(verify.Fact{Kind: verify.KindAttestation, Verified: true, PredicateType: predicate}).Verified
}

// texts are a parameter that is one text, or a list.
func texts(v any) (list []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, one := range v {
			if s, ok := one.(string); ok {
				list = append(list, s)
			}
		}
	}
	return list
}
