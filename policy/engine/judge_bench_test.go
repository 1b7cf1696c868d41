package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// BenchmarkJudge is what one decision costs under each shipped policy, without any cache: one that admits and one that refuses with its sentences, and what is large where a policy
// looks at lists. See BenchmarkPackages for the same with the whole SBOM in Rego.
func BenchmarkJudge(b *testing.B) {
	for _, which := range []string{
		"open/admit", "open/push_latest", "signed/good", "signed/missing", "threshold/good", "threshold/too_few", "provenance/good", "provenance/builder", "attested/good", "attested/missing",
		"pinned/good", "pinned/missing", "baseline/good", "baseline/base", "config/good", "config/everything", "tags/good", "tags/not_allowed", "sbom/generated", "sbom/missing",
		"licences/good", "licences/denied", "vulnerabilities/good", "vulnerabilities/critical", "age/good", "age/old", "cluster/good", "cluster/refused",
	} {
		in, params, mode := goldenInput(b, filepath.Join("testdata", "decision", which+".txtar"))
		b.Run(which, func(b *testing.B) { judging(b, path.Dir(which), params, mode, in) })
	}
	for _, n := range []int{10, 50, 500} {
		b.Run(fmt.Sprintf("licences/%d_expressions", n), func(b *testing.B) { judging(b, "licences", nil, contract.ModeEnforce, manyLicences(n)) })
		b.Run(fmt.Sprintf("licences/%d_expressions_denied", n), func(b *testing.B) {
			judging(b, "licences", map[string]any{"denied": []any{"GPL-*"}, "denied_categories": []any{"network"}}, contract.ModeEnforce, manyLicences(n))
		})
	}
	b.Run("licences/500_others", func(b *testing.B) { // expressions that nobody ever had before
		var list []*contract.Input
		for i := range 64 {
			in := manyLicences(500)
			for j := range in.SBOM.Packages.ByLicense {
				in.SBOM.Packages.ByLicense[j].Name += fmt.Sprintf(" OR LicenseRef-of-%d-%d", i, j)
			}
			slices.SortFunc(in.SBOM.Packages.ByLicense, func(a, b store.Count) int { return strings.Compare(a.Name, b.Name) })
			list = append(list, in)
		}
		judging(b, "licences", nil, contract.ModeEnforce, list...)
	})
	for _, n := range []int{1, 10, 100} {
		for _, r := range reports() {
			b.Run(fmt.Sprintf("vulnerabilities/%d_%s", n, r.name), func(b *testing.B) { judging(b, "vulnerabilities", r.params, contract.ModeEnforce, r.input(n)) })
		}
	}
	for _, r := range reports() { // of images that have nothing in common, so that nothing is known of the next one
		b.Run("vulnerabilities/100_others_"+r.name, func(b *testing.B) {
			var list []*contract.Input
			for i := range 64 {
				in := r.input(100)
				rename(in, i)
				list = append(list, in)
			}
			judging(b, "vulnerabilities", r.params, contract.ModeEnforce, list...)
		})
	}
	b.Run("signed/8_signatures", func(b *testing.B) { judging(b, "signed", nil, contract.ModeEnforce, manySignatures(8)) })
}

// goldenInput reads the question of a golden decision.
func goldenInput(tb testing.TB, file string) (*contract.Input, map[string]any, contract.Mode) {
	tb.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	in, mode := &contract.Input{}, contract.ModeEnforce
	var params map[string]any
	for _, f := range txtar.Parse(raw).Files {
		switch f.Name {
		case "input.json":
			err = json.Unmarshal(f.Data, in)
		case "params.json":
			err = json.Unmarshal(f.Data, &params)
		case "mode":
			mode = contract.Mode(strings.TrimSpace(string(f.Data)))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return in, params, mode
}

// manyLicences is an image of 5,000 packages under n different licences and expressions.
func manyLicences(n int) *contract.Input {
	known := []string{"MIT", "Apache-2.0", "GPL-2.0-only", "BSD-3-Clause", "MIT OR GPL-3.0-or-later", "(Apache-2.0 AND MIT) OR Zlib", "GPL-2.0-or-later WITH Classpath-exception-2.0"}
	licences := map[string]int{}
	for i := range n {
		name := known[i%len(known)]
		if i >= len(known) {
			name = fmt.Sprintf("%s AND LicenseRef-%d", name, i)
		}
		licences[name] = 5000 / n
	}
	in := ask(contract.EntryAdmit)
	in.SBOM = &contract.SBOMInput{Present: true, Origin: "generated", Origins: []string{"generated"}, Verified: true, Packages: &contract.PackagesInput{Count: 5000, ByLicense: store.NewCounts(licences)}}
	return in
}

// manySignatures are n by as many keys, each proven to be in a log.
func manySignatures(n int) *contract.Input {
	in := ask(contract.EntryAdmit)
	for i := range n {
		in.Signatures = append(in.Signatures, contract.SignatureInput{Evidence: evidenceA, Layer: store.Digest(evidenceA), Scheme: "cosign", Found: "tag", Verified: true, Authority: fmt.Sprintf("team-%d", i),
			KeyID: fmt.Sprintf("sha256:%064d", i), Signer: fmt.Sprintf("key:%d", i), Annotations: map[string]string{"build": fmt.Sprint(i)}})
	}
	return in
}

func judging(b *testing.B, name string, params map[string]any, mode contract.Mode, list ...*contract.Input) {
	b.Helper()
	source, err := BuiltinSource("builtin:" + name)
	if err != nil {
		b.Fatal(err)
	}
	s, err := Compile(b.Context(), []Policy{{Name: name, Repositories: store.Globs{"**"}, Source: source, Params: params, Mode: mode}}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	planAll(b, s)
	b.ReportAllocs()
	start := processorTime(b)
	b.ResetTimer()
	for n := 0; b.Loop(); n++ {
		if _, err := s.Decide(b.Context(), list[n%len(list)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime(b)-start)/float64(b.N)/1000, "cpu-µs/op")
}
