package doctor

import (
	"strings"
	"testing"
)

// A policy that names an authority which is not trusted for what the policy wants of it is told by the doctor, with the remedy.
func TestDoctorSeesWhoIsNotTrustedForWhatIsWanted(t *testing.T) {
	f := newPatient(t)
	f.write("cosign.pub", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n")
	said := func(attests, params string) string {
		f.write("doctor.yaml", `
sbom: {formats: []}
authorities:
  - {name: release, kind: key, key: cosign.pub, repositories: [acme/app]`+attests+`}
policies:
  - {name: v, repositories: [acme/app], rego: "builtin:vulnerabilities", params: {`+params+`}}
`)
		cfg := f.configuration("doctor.yaml")
		var all []string
		for _, found := range append(f.found(scopesFit, cfg), f.found(materialLasts, cfg)...) {
			all = append(all, found.Name+": "+found.Detail)
		}
		return strings.Join(all, "\n")
	}
	for _, c := range []struct{ attests, params, want string }{
		{"", "", "authority release: kind key for acme/app"},
		{"", "vex_authorities: release", "policy v: vex_authorities names release, which is not trusted for that: add vex to attests"},
		{"", "vex_authorities: [other, release]", "add vex to attests"},
		{"", "authorities: [release]", "policy v: authorities names release, which is not trusted for that: add vulnerabilities"},
		{"", "origins: [attested]", "no authority of the configuration is trusted for one: add vulnerabilities"},
		{", attests: [vex, vulnerabilities]", "vex_authorities: release, authorities: release, origins: [attested]", "attests vex, vulnerabilities"},
	} {
		got := said(c.attests, c.params)
		if !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s", c, got)
		}
		if warned := strings.Contains(got, "policy v"); warned != strings.Contains(c.want, "add ") {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
