package engine

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// whole asks of a list of packages what the shipped policy asks of a summary, and what assay.packages asks of the index.
const whole = `package whole

deny contains p.purl if {
	some p in input.packages
	p.license in {"AGPL-3.0-only", "SSPL-1.0"}
}

deny contains p.purl if {
	some p in input.packages
	startswith(p.purl, "pkg:maven/")
	contains(p.purl, "/log4j-core@")
	semver.compare(p.version, "2.17.1") < 0
}
`

// asks is a policy of one's own about one package, and no more than 2 licences.
const asks = `package assay

admit.deny contains {"code": "package.log4j", "msg": "It has log4j-core before 2.17.1."} if not free

free if count(assay.packages({"purl": "pkg:maven/**/log4j-core", "range": "<2.17.1"}).value.packages) == 0

admit.deny contains {"code": "license.denied", "msg": "It has a package under a licence that is denied."} if {
	some id in ["AGPL-3.0-only", "SSPL-1.0"]
	input.sbom.packages.by_license[id]
}
`

// BenchmarkPackages is a decision about an image with 5,000 packages: from the summary and the index, and by handing the list to Rego, as JSON and as a value that is ready.
func BenchmarkPackages(b *testing.B) {
	const n = 5000
	type pkg struct {
		PURL    string `json:"purl"`
		Name    string `json:"name"`
		Version string `json:"version"`
		License string `json:"license"`
	}
	var list struct {
		Packages []pkg `json:"packages"`
	}
	licences := map[string]int{}
	for i := range n {
		p := pkg{fmt.Sprintf("pkg:deb/debian/package-%d@1.%d.0?arch=amd64", i, i%50), fmt.Sprintf("package-%d", i), fmt.Sprintf("1.%d.0", i%50), []string{"MIT", "Apache-2.0", "GPL-2.0-only"}[i%3]}
		licences[p.License]++
		list.Packages = append(list.Packages, p)
	}
	document, err := json.Marshal(list)
	if err != nil {
		b.Fatal(err)
	}
	in := ask(contract.EntryAdmit)
	in.SBOM = &contract.SBOMInput{Present: true, Origin: "generated", Verified: true, Packages: &contract.PackagesInput{Count: n, ByLicense: store.NewCounts(licences)}}
	in.Packages = &shelf{}
	in.Attestations = []contract.AttestationInput{{Evidence: evidenceA, Verified: true, Authority: "scanner", KeyID: "sha256:1", PredicateType: "https://cosign.sigstore.dev/attestation/vuln/v1",
		Summary: map[string]any{"finished": "2026-11-20T12:00:00Z", "counts": map[string]any{"critical": 0, "high": 12}}}}
	measured := func(name string, decide func() bool) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			start := processorTime(b)
			for b.Loop() {
				if !decide() {
					b.Fatal("denied")
				}
			}
			b.ReportMetric(float64(processorTime(b)-start)/float64(b.N)/1000, "cpu-µs/op")
		})
	}
	for _, name := range []string{"licences", "vulnerabilities"} {
		source, err := BuiltinSource("builtin:" + name)
		if err != nil {
			b.Fatal(err)
		}
		measured(name, deciding(b, in, source))
	}
	measured("summary and index", deciding(b, in, map[string]string{"p.rego": asks}))
	query, err := rego.New(rego.Query("count(data.whole.deny, n)"), rego.Module("whole.rego", whole)).PrepareForEval(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	answer := func(v ast.Value) bool {
		r, err := query.Eval(b.Context(), rego.EvalParsedInput(v))
		return err == nil && len(r) == 1 && r[0].Bindings["n"] == json.Number("0")
	}
	ready := ast.MustInterfaceToValue(list)
	measured("the list in Rego, ready", func() bool { return answer(ready) })
	measured("the list in Rego, from JSON", func() bool {
		var x any
		if json.Unmarshal(document, &x) != nil {
			return false
		}
		return answer(ast.MustInterfaceToValue(x))
	})
}

func deciding(b *testing.B, in *contract.Input, source map[string]string) func() bool {
	b.Helper()
	s, err := Compile(b.Context(), []Policy{{Name: "p", Repositories: store.Globs{"**"}, Source: source}}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	planAll(b, s)
	return func() bool {
		d, err := s.Decide(b.Context(), in)
		return err == nil && d.Allow
	}
}
