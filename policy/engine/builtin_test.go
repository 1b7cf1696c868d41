package engine

import (
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/contract"
)

var update = flag.Bool("update", false, "write the decisions that golden files get now")

// shipped gathers a shipped policy with its Rego tests and golden decisions.
func shipped(t *testing.T, name string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, file := range []string{name + ".rego", name + "_test.rego"} {
		b, err := policies.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files[file] = string(b)
	}
	golden, err := filepath.Glob(filepath.Join("testdata", "decision", name, "*.txtar"))
	if err != nil || len(golden) == 0 {
		t.Fatalf("no golden decisions for %s (%v)", name, err)
	}
	for _, file := range golden {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files[file] = string(b)
	}
	return files
}

// TestShipped runs every Rego test and every golden decision of every shipped policy, as assay policy test does.
func TestShipped(t *testing.T) {
	for _, name := range policies.Names() {
		t.Run(name, func(t *testing.T) {
			files := shipped(t, name)
			if *update {
				rewrite(t, files)
			}
			results, err := Test(t.Context(), files)
			if err != nil {
				t.Fatal(err)
			}
			rego := 0
			for _, r := range results {
				if !r.Pass {
					t.Errorf("%s:%d: %s\n%s", r.File, r.Line, r.Name, r.Message)
				}
				if strings.HasSuffix(r.File, ".rego") {
					rego++
				}
			}
			if rego == 0 {
				t.Error("no Rego test ran")
			}
		})
	}
}

// TestLibrary runs the tests of the library, beside a policy that uses it.
func TestLibrary(t *testing.T) {
	b, err := policies.FS.ReadFile("lib/lib_test.rego")
	if err != nil {
		t.Fatal(err)
	}
	const short = `package assay

import data.assay.lib

admit.deny contains {"code": "signature.missing", "msg": "It is not signed."} if not lib.signed_by({"authorities": ["release"]})
`
	results, err := Test(t.Context(), map[string]string{"p.rego": short, "lib_test.rego": string(b)})
	if err != nil || len(results) == 0 {
		t.Fatal(results, err)
	}
	for _, r := range results {
		if !r.Pass {
			t.Errorf("%s:%d: %s\n%s", r.File, r.Line, r.Name, r.Message)
		}
	}
	s := one(t, short, Options{})
	in := ask(contract.EntryAdmit)
	if d := decide(t, s, in); codes(d.Deny) != "signature.missing" {
		t.Errorf("%+v", d)
	}
	in.Signatures = []contract.SignatureInput{{Verified: true, Authority: "release"}}
	if d := decide(t, s, in); !d.Allow {
		t.Errorf("%+v", d)
	}
	if s.programs[0].revision == s.programs[0].fingerprint(map[string]any{}, false) {
		t.Error("the revision does not know the library")
	}
	if own := problems(t, Policy{Source: map[string]string{"p.rego": short, "lib.rego": "package assay.lib\n\nsigned_by(_) := true\n"}}); own != "" {
		t.Errorf("a library of one's own: %s", own)
	}
}

// rewrite puts the present decisions into golden files.
func rewrite(t *testing.T, files map[string]string) {
	for file := range files {
		if filepath.Ext(file) != ".txtar" {
			continue
		}
		got, _, err := goldenDecision(t.Context(), file, files)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		a := txtar.Parse([]byte(files[file]))
		a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "decision.json" })
		a.Files = append(a.Files, txtar.File{Name: "decision.json", Data: got})
		files[file] = string(txtar.Format(a))
		if err := os.WriteFile(file, []byte(files[file]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNames: every shipped file has a name, and every name its files.
func TestNames(t *testing.T) {
	var found []string
	err := fs.WalkDir(policies.FS, ".", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".rego" && !strings.HasSuffix(path, "_test.rego") && !strings.HasPrefix(path, "lib/") {
			found = append(found, strings.TrimSuffix(path, ".rego"))
		}
		return err
	})
	want := slices.Sorted(slices.Values(policies.Names()))
	if slices.Sort(found); err != nil || !slices.Equal(found, want) {
		t.Errorf("files %v, names %v (%v)", found, want, err)
	}
	for _, name := range []string{"", "builtin:signed", "signed_test", "../signed", "nothing"} {
		if _, ok := policies.Builtin(name); ok {
			t.Errorf("Builtin(%q) is one", name)
		}
	}
	if _, err := BuiltinSource("signed"); err == nil {
		t.Error("BuiltinSource took a name without its prefix")
	}
}

// TestCatalogue: whatever can be given as a code is in the catalogue, and the catalogue has nothing else.
func TestCatalogue(t *testing.T) {
	used := map[string]bool{}
	code := regexp.MustCompile(`"((?:signature|attestation|tuf|sbom|vuln|license|base|config|cluster|image|tag|waiver|policy|policies)\.[a-z_]+)"`)
	collect := func(file string, text []byte) {
		for _, m := range code.FindAllSubmatch(text, -1) {
			used[string(m[1])] = true
		}
	}
	for _, name := range policies.Names() {
		source, _ := policies.Builtin(name)
		collect(name, []byte(source))
	}
	collect("lib", []byte(policies.Library()))
	for _, file := range []string{"result.go", filepath.Join("..", "judge.go"), filepath.Join("..", "image.go"), filepath.Join("..", "contract", "waived.go"), filepath.Join("..", "..", "verify", "codes.go"), filepath.Join("..", "..", "cmd", "assay", "rules", "trustpolicies.go"), filepath.Join("..", "..", "cmd", "assay", "rules", "policies.go")} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		collect(file, b)
	}
	previous := ""
	for _, c := range policies.Catalogue() {
		if !used[c.Name] {
			t.Errorf("the catalogue has %s, which nothing gives", c.Name)
		}
		delete(used, c.Name)
		if c.Name <= previous || !strings.HasSuffix(c.Meaning, ".") || c.Remedy == "" || !validCode(c.Name) {
			t.Errorf("the entry %s is out of order or incomplete", c.Name)
		}
		previous = c.Name
	}
	for name := range used {
		t.Errorf("the catalogue lacks %s", name)
	}
}

// TestGoldenCodes: some golden decision of a shipped policy gives each code that shipped policies give. What others give is shown where it is tested.
func TestGoldenCodes(t *testing.T) {
	given := map[string]string{}
	for _, name := range policies.Names() {
		for file, text := range shipped(t, name) {
			if filepath.Ext(file) != ".txtar" {
				continue
			}
			var d contract.Decision
			for _, member := range txtar.Parse([]byte(text)).Files {
				if member.Name == "decision.json" {
					if err := json.Unmarshal(member.Data, &d); err != nil {
						t.Fatalf("%s: %v", file, err)
					}
				}
			}
			for _, r := range slices.Concat(d.Deny, d.Warn, d.Shadow) {
				given[r.Code] = file
			}
		}
	}
	elsewhere := map[string][2]string{ // code -> file, and what stands for the code there
		CodeNone: {"set_test.go", "CodeNone"}, CodeError: {"b35_test.go", "CodeError"}, CodeMalformed: {"b35_test.go", "CodeMalformed"}, CodeTimeout: {"b35_test.go", "CodeTimeout"},
		CodePanic: {"b35_test.go", "CodePanic"}, "policy.incomplete": {"../attack_read_test.go", "signed and incomplete"}, "policy.revoked": {"../image_test.go", "policy.revoked"},
		"attestation.uncovered": {"../attack_index_test.go", "attestation.uncovered"}, "image.absent": {"../image_test.go", "CodeImageAbsent"}, "image.evidence": {"../image_test.go", "CodeImageEvidence"},
		"image.malformed": {"../../server/webhook_test.go", "image.malformed"}, "image.unknown": {"../../server/webhook_test.go", "image.unknown"}, "tuf.policies": {"../../cmd/assay/serve/trust_test.go", "tuf.policies"},
		"policies.absent":    {"../../cmd/assay/serve/policies_test.go", "policies.absent"},
		"waiver.break_glass": {"../waiver_test.go", "TestBreakGlassIsLoud"},
	}
	for _, c := range policies.Catalogue() {
		if at, ok := elsewhere[c.Name]; ok {
			b, err := os.ReadFile(filepath.FromSlash(at[0]))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(b), at[1]) {
				t.Errorf("%s does not speak of %s", at[0], c.Name)
			}
			continue
		}
		if given[c.Name] == "" {
			t.Errorf("no golden decision gives %s", c.Name)
		}
	}
}
