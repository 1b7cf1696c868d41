package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"

	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// TestReads_Forbidden: what an entry point may not read is a problem that names the rule and the line, however the policy gets there.
func TestReads_Forbidden(t *testing.T) {
	const reason = `{"code": "a.b", "msg": "no"}`
	tests := []struct{ name, rules, want string }{
		{"actor", "admit.deny contains " + reason + " if input.actor.name == \"x\"", "p.rego:3: the rule assay.admit.deny reads input.actor, which the entry point admit may not"},
		{"request", "admit.deny contains " + reason + " if input.request.protocol == \"x\"", "input.request"},
		{"request.time", "admit.deny contains " + reason + " if input.request.time == \"x\"", "input.request"},
		{"tags", "admit.deny contains " + reason + " if count(input.tags.current) == 0", "input.tags"},
		{"subject.tag", "admit.deny contains " + reason + " if input.subject.tag == \"x\"", "input.subject.tag"},
		{"in a helper", "admit.deny contains " + reason + " if helper\n\nhelper if other(1)\n\nother(_) if input.actor", "p.rego:7: the rule assay.other reads input.actor"},
		{"in an else", "admit.deny contains " + reason + " if h == 1\n\nh := 2 if input.subject.size > 1\nelse := 1 if input.actor", "p.rego:6"},
		{"in a default's sibling", "admit.deny contains " + reason + " if h == 1\n\ndefault h := 2\n\nh := 1 if input.actor", "p.rego:7"},
		{"in a comprehension", "admit.deny contains " + reason + " if count([x | x := input.actor]) == 1", "input.actor"},
		{"in every", "admit.deny contains " + reason + " if every x in input.actor.roles { x == \"a\" }", "input.actor"},
		{"in a value", "admit.deny contains {\"code\": \"a.b\", \"msg\": input.actor.name}", "input.actor"},
		{"in a template", "admit.deny contains {\"code\": \"a.b\", \"msg\": $\"{input.actor.name}\"}", "input.actor"},
		{"in a with", "admit.deny contains " + reason + " if h with input.params as input.actor\n\nh if true", "input.actor"},
		{"in another entry point", "admit.deny contains " + reason + " if count(data.assay.push.deny) > 0\n\npush.deny contains " + reason + " if input.actor", "assay.push.deny reads input.actor"},
		{"through a name of a rule", "admit.deny contains " + reason + " if data.assay.by[input.subject.kind]\n\nby.image if input.actor", "assay.by.image reads input.actor"},
		{"in a bracket", "admit.deny contains " + reason + " if input.config.labels[input.actor.name]", "input.actor"},
		{"by a string", "admit.deny contains " + reason + " if input[\"actor\"]", "input.actor"},
		{"by a variable", "admit.deny contains " + reason + " if { some x; input[x] }", "cannot be known"},
		{"by a computed name", "admit.deny contains " + reason + " if input[lower(\"ACTOR\")]", "cannot be known"},
		{"all of it", "admit.deny contains " + reason + " if { x := input; x.actor }", "cannot be known"},
		{"all of it in a call", "admit.deny contains " + reason + " if f(input)\n\nf(x) if x.actor", "cannot be known"},
		{"all of it in an array", "admit.deny contains " + reason + " if { x := [input]; x[0].actor }", "cannot be known"},
		{"all of it by walk", "admit.deny contains " + reason + " if { walk(input, [p, v]); v == 1; p }", "cannot be known"},
		{"all of it by object.get", "admit.deny contains " + reason + " if object.get(input, \"actor\", 0) == 0", "cannot be known"},
		{"all of it by some in", "admit.deny contains " + reason + " if { some x in input; x }", "cannot be known"},
		{"all of it by union", "admit.deny contains " + reason + " if object.union(input, {}) == {}", "cannot be known"},
		{"all of the subject", "admit.deny contains " + reason + " if { s := input.subject; s.tag }", "input.subject that is"},
		{"the subject by a variable", "admit.deny contains " + reason + " if { some x; input.subject[x] }", "input.subject that is"},
		{"the actor at tag", "tag.deny contains " + reason + " if input.actor", "the entry point tag may not"},
		{"the request at tag", "tag.deny contains " + reason + " if input.request.id", "the entry point tag may not"},
		{"signatures at push", "push.deny contains " + reason + " if count(input.signatures) == 0", "the entry point push may not"},
		{"the SBOM at push", "push.deny contains " + reason + " if not input.sbom", "the entry point push may not"},
		{"a misspelt member", "admit.deny contains " + reason + " if input.subjct.size > 1", "p.rego:3: undefined ref: input.subjct"},
		{"a misspelt member below", "admit.deny contains " + reason + " if input.subject.sise > 1", "undefined ref: input.subject.sise"},
		{"a misspelt member of a signature", "admit.deny contains " + reason + " if { some s in input.signatures; s.verifed }", "verifed"},
		{"a parameter that is not declared", "admit.deny contains " + reason + " if input.params.x == 1", "undefined ref: input.params"},
		{"a type that cannot be", "admit.deny contains " + reason + " if startswith(input.subject.size, \"x\")", "invalid argument"},
		{"k8s", "admit.deny contains " + reason + " if input.k8s.namespace == \"x\"", "input.k8s, which the entry point admit may not"},
		{"data that nothing defines", "admit.deny contains " + reason + " if data.settings.strict", "which nothing defines"},
		{"a rule that nothing defines", "admit.deny contains " + reason + " if data.assay.helpr", "which nothing defines"},
	}
	for _, test := range tests {
		got := problems(t, Policy{Source: map[string]string{"p.rego": "package assay\n\n" + test.rules + "\n"}})
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestReads_Permitted: what a neighbouring entry point reads, and what nobody reaches, is nobody's problem.
func TestReads_Permitted(t *testing.T) {
	source := `package assay

push.deny contains {"code": "a.b", "msg": "no"} if {
	input.actor.name == "x"
	input.request.protocol == "oci"
	s := input.subject
	s.tag == "v1"
}

admit.deny contains {"code": "a.b", "msg": time.clock(time.now_ns())} if false

tag.deny contains {"code": "a.b", "msg": "no"} if {
	some t in input.tags.current
	t == input.subject.tag
}

unreached if input.actor
`
	source = strings.Replace(source, "time.clock(time.now_ns())", "now", 1) + "\nnow := sprintf(\"%d\", [time.now_ns()])\n"
	d := one(t, source, Options{}).Describe()[0]
	want := map[contract.Entry]Reads{"push": {Fields: []string{"actor", "request", "subject"}}, "admit": {Fields: nil, Clock: true}, "tag": {Fields: []string{"subject", "tags"}}}
	for name, w := range want {
		if got := d.Entries[name].Reads; !slices.Equal(got.Fields, w.Fields) || got.Clock != w.Clock {
			t.Errorf("%s reads %+v, want %+v", name, got, w)
		}
	}
}

// TestReads_Base: the analysis finds whatever OPA's own does.
func TestReads_Base(t *testing.T) {
	for _, name := range policies.Names() {
		source, _ := policies.Builtin(name)
		caps := capabilities()
		p := Policy{Name: name, Source: map[string]string{"p.rego": source}}
		modules, _ := parse(p, caps)
		_, declared, _ := annotations(p, modules)
		c, err := newCompiler(caps, declared)
		if err != nil {
			t.Fatal(err)
		}
		if c.Compile(modules); c.Failed() {
			t.Fatal(c.Errors)
		}
		for _, e := range entryNames() {
			reads, _ := analyse(name, c, e)
			refs, err := dependencies.Base(c, ast.MustParseBody("x = data.assay."+string(e)))
			if err != nil {
				t.Fatal(err)
			}
			for _, ref := range refs {
				if !ref[0].Equal(ast.InputRootDocument) {
					continue
				}
				if field, ok := constant(ref, 1); !ok || !reads.Has(field) {
					t.Errorf("%s, %s: Base finds %s, which the analysis (%v) does not", name, e, ref, reads.Fields)
				}
			}
		}
	}
}

// TestShape: a rule that would be ignored is a problem.
func TestShape(t *testing.T) {
	tests := []struct{ source, want string }{
		{"package assay\n\ndeny contains 1", "the entry points are"},
		{"package assay\n\nadmits.deny contains 1", "the entry points are"},
		{"package assay\n\nadmit.denies contains 1", "nothing else"},
		{"package assay.admit\n\nhelper := 1", "nothing else"},
		{"package assay.admit\n\ndeny[x] contains 1 if x := 1", "nothing else"},
		{"package assay\n\nadmit[x] contains 1 if x := \"deny\"", "nothing else"},
		{"package assay\n\nadmit.deny(x) := 1 if x", "nothing else"},
		{"package assay\n\nadmit.deny.x := 1", "nothing else"},
		{"package main\n\ndeny contains 1", "would be ignored"},
		{"package policies.admit\n\nwarn contains 1", "would be ignored"},
		{"package assay\n\nhelper := 1", "decide nothing"},
		{"package assay\n\nimport rego.v1\n\nx = y if y := 1\n\nx = 2\n\nadmit.deny := set()", ""},
		{"package assay.admit\n\nimport data.lib\n\ndeny contains r if some r in lib.reasons", "which nothing defines"},
	}
	for _, test := range tests {
		if got := problems(t, Policy{Source: map[string]string{"p.rego": test.source + "\n"}}); (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.source, got, test.want)
		}
	}
	several := map[string]string{
		"admit.rego": "package assay.admit\n\nimport data.lib\n\ndeny contains r if some r in lib.reasons\n", "lib.rego": "package lib\n\nreasons contains {\"code\": \"a.b\", \"msg\": \"no\"}\n",
		"push.rego": "package assay.push\n\ndeny := set()\n", "README.md": "no policy", "lib_test.rego": "this is no Rego",
	}
	if got := problems(t, Policy{Source: several}); got != "" {
		t.Errorf("several modules: %s", got)
	}
}

// TestParams: parameters are checked when a set is loaded.
func TestParams(t *testing.T) {
	tests := []struct {
		builtin string
		params  map[string]any
		want    string
	}{
		{"signed", nil, ""},
		{"signed", map[string]any{"authorities": []string{"release"}, "threshold": 2, "annotations": map[string]string{"a": "b"}}, ""},
		{"signed", map[string]any{"treshold": 2}, `there is no parameter "treshold"`},
		{"signed", map[string]any{"threshold": 0}, "out of range"},
		{"signed", map[string]any{"threshold": 1.5}, "a whole number is wanted"},
		{"signed", map[string]any{"threshold": "2"}, "a whole number is wanted"},
		{"signed", map[string]any{"threshold": nil}, "a whole number is wanted"},
		{"signed", map[string]any{"authorities": "release"}, ""}, // one stands for a list of it
		{"signed", map[string]any{"authorities": "registry"}, "not permitted"},
		{"signed", map[string]any{"authorities": map[string]any{"release": true}}, "a list is wanted"},
		{"provenance", nil, ""},
		{"provenance", map[string]any{"builder": "https://ci.example/builder", "issuer": "https://issuer.example", "workflow": []string{"a", "b"}}, ""},
		{"provenance", map[string]any{"builder": ""}, "does not match"},
		{"provenance", map[string]any{"predicate_types": []string{}}, "at least 1"},
		{"provenance", map[string]any{"builders": "x"}, `there is no parameter "builders"`},
		{"pinned", map[string]any{"authorities": "acme-tuf"}, ""},
		{"signed", map[string]any{"authorities": []any{1}}, "member 1: a string is wanted"},
		{"signed", map[string]any{"authorities": []any{"release", "registry"}}, "not permitted"},
		{"signed", map[string]any{"annotations": map[string]any{"a": 1}}, `member "a": a string is wanted`},
		{"baseline", map[string]any{"latest": "no"}, "is none of"},
		{"baseline", map[string]any{"max_bytes": -1}, "out of range"},
		{"baseline", map[string]any{"base_images": []any{"[a"}}, "does not match"},
		{"sbom", map[string]any{"origins": []any{}}, "at least 1"},
		{"sbom", map[string]any{"origins": []any{"bought"}}, "is none of"},
		{"open", map[string]any{"x": 1}, `there is no parameter "x"; there is none`},
		{"attested", map[string]any{"require": []any{map[string]any{"predicate_types": "https://x.example/*", "count": 2}}}, ""},
		{"attested", map[string]any{"require": []any{map[string]any{"count": 2}}}, `member 1: the member "predicate_types" is missing`},
		{"attested", map[string]any{"require": []any{map[string]any{"predicate_type": "x"}}}, `the member "predicate_types" is missing`},
		{"attested", map[string]any{"require": []any{map[string]any{"predicate_types": "x", "type": "x"}}}, `there is no member "type"`},
		{"attested", map[string]any{"require": []any{map[string]any{"predicate_types": "x", "count": 0}}}, "out of range"},
		{"signed", map[string]any{"annotations": map[string]any{"a": strings.Repeat("x", maxParams)}}, "at most"},
		{"signed", map[string]any{"threshold": func() {}}, "cannot be written as JSON"},
	}
	for _, test := range tests {
		source, err := BuiltinSource("builtin:" + test.builtin)
		if err != nil {
			t.Fatal(err)
		}
		if got := problems(t, Policy{Source: source, Params: test.params}); (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s %v: got %q, want %q", test.builtin, test.params, got, test.want)
		}
	}
}

// TestParams_Declaration: a malformed declaration does not load.
func TestParams_Declaration(t *testing.T) {
	for declaration, want := range map[string]string{
		"x: {type: number}":                        "is none of string",
		"x: {type: array}":                         "needs items",
		"x: {type: string, pattern: '['}":          "missing closing",
		"x: {type: integer, default: no-number}":   "does not fit",
		"x: {type: array, items: {type: nothing}}": "is none of string",
		"x: {type: integer}":                       "must be given",
		"x: {type: string, enum: [a], default: b}": "does not fit",
		"x: 5": "malformed",
		"x: {type: object, enum: [{}], default: {}}":                     "single values",
		"x: {type: object, required: [a], default: {}}":                  "no property",
		"x: {type: object, properties: {a: {type: no}}}":                 "is none of string",
		"x: {type: object, properties: {a: {type: string, default: 1}}}": "a member's default does not fit",
	} {
		source := "# METADATA\n# scope: package\n# custom:\n#   params:\n#     " + declaration + "\npackage assay\n\nadmit.deny := set()\n"
		if got := problems(t, Policy{Source: map[string]string{"p.rego": source}}); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", declaration, got, want)
		}
	}
}

// TestParams_Types: what is declared is what the type checker knows.
func TestParams_Types(t *testing.T) {
	source := "# METADATA\n# scope: package\n# custom:\n#   params:\n#     n: {type: integer, default: 3}\npackage assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if "
	for end, want := range map[string]string{"input.params.n == 3": "", "input.params.m == 3": "undefined ref: input.params.m", "startswith(input.params.n, \"x\")": "invalid argument"} {
		if got := problems(t, Policy{Source: map[string]string{"p.rego": source + end}}); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", end, got, want)
		}
	}
}

func FuzzParams(f *testing.F) {
	f.Add(`{"x": {"type": "array", "items": {"type": "string", "enum": ["a"]}}}`, `{"x": ["a"]}`)
	f.Add(`{"x": {"type": "integer", "minimum": 1, "default": 2}}`, `{"x": 1e99}`)
	f.Add(`{"x": {"type": "object", "additionalProperties": {"type": "boolean"}, "not": {"enum": [{}]}}}`, `{"x": {"y": null}}`)
	f.Fuzz(func(t *testing.T, declaration, given string) {
		var custom, params map[string]any
		if json.Unmarshal([]byte(declaration), &custom) != nil || json.Unmarshal([]byte(given), &params) != nil {
			return
		}
		declared, err := declaredParams(map[string]any{"params": custom})
		if err != nil {
			return
		}
		resolved, err := resolveParams(declared, params)
		if err != nil {
			return
		}
		for name := range resolved {
			if _, ok := declared[name]; !ok {
				t.Errorf("%s is resolved and not declared", name)
			}
		}
		if len(resolved) != len(declared) {
			t.Errorf("%d resolved, %d declared", len(resolved), len(declared))
		}
	})
}

// TestK8sReadsEverything, and no other entry point reads what a cluster says.
func TestK8sReadsEverything(t *testing.T) {
	for _, field := range []string{"actor.name", "attestations", "k8s.namespace", "request.dry_run", "sbom", "signatures", "subject.tag", "tags", "tuf"} {
		for _, e := range entryNames() {
			if e != contract.EntryK8s && field != "k8s.namespace" {
				continue
			}
			source := "package assay\n\n" + string(e) + `.deny contains {"code": "x.y", "msg": "m"} if input.` + field
			_, found, err := Check(t.Context(), []Policy{{Name: "p", Repositories: store.Globs{"**"}, Source: map[string]string{"p.rego": source}}}, Options{})
			if err != nil || (len(found) > 0) == (e == contract.EntryK8s) {
				t.Errorf("%s reads %s: %v %v", e, field, found, err)
			}
		}
	}
}

// TestK8sRules: an image of another registry reaches the rules of the entry point k8s, and nothing but those.
func TestK8sRules(t *testing.T) {
	s, err := Compile(t.Context(), []Policy{{Name: "p", Repositories: store.Globs{"**"}, Source: map[string]string{"p.rego": `package assay

admit.deny contains {"code": "x.never", "msg": "m"}

k8s.deny contains {"code": "image.elsewhere", "msg": sprintf("%s is not allowed in %s", [input.k8s.registry, input.k8s.namespace])} if {
	input.subject.state == "unknown"
	input.k8s.registry != "registry.k8s.io"
}
`}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if traits := s.Traits("a"); !traits.K8sRules || traits.TagRules {
		t.Errorf("%+v", traits)
	}
	for registry, allow := range map[string]bool{"registry.k8s.io": true, "docker.io": false} {
		document := fmt.Appendf(nil, `{"schema":"policy.input/v1","request":{"id":"1","entry":"k8s","time":"2026-11-20T12:00:00Z","protocol":"k8s.validating"},"subject":{"repository":"%[1]s/library/nginx","digest":"",
"media_type":"","size":0,"kind":"","state":"unknown"},"k8s":{"image":"%[1]s/nginx","registry":"%[1]s","namespace":"team"},"signatures":[],"attestations":[]}`, registry)
		d, err := Eval(t.Context(), s, document)
		if err != nil || d.Allow != allow {
			t.Errorf("%s: %+v %v", registry, d, err)
		}
	}
}
