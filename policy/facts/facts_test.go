package facts

import (
	"testing"

	"github.com/assay-registry/assay/policy/terms"
	"github.com/open-policy-agent/opa/v1/ast"
)

// TestFacts: which facts count, and what is said of those that do not.
func TestFacts(t *testing.T) {
	good := map[string]any{"verified": true, "authority": "release", "key_id": "k1", "evidence": "a", "annotations": map[string]any{"stage": "prod"}, "logs": []any{map[string]any{"log": "l1"}, map[string]any{"log": "l1"}}}
	with := func(changes map[string]any) map[string]any {
		m := map[string]any{}
		for k, v := range good {
			m[k] = v
		}
		for k, v := range changes {
			m[k] = v
		}
		return m
	}
	type d = map[string]any
	for name, c := range map[string]struct {
		kind    string
		facts   []any
		want    d
		counted int
		signers int
		nearest string
	}{
		"anybody":                  {"signature", []any{good}, d{}, 1, 1, ""},
		"one of two":               {"signature", []any{good}, d{"authorities": []any{"x", "release"}}, 1, 1, ""},
		"one text":                 {"signature", []any{good}, d{"authorities": "release"}, 1, 1, ""},
		"another":                  {"signature", []any{good}, d{"authorities": "x"}, 0, 0, "signature.untrusted"},
		"the registry":             {"signature", []any{with(d{"authority": "registry"})}, d{"authorities": []any{"registry"}}, 0, 0, "signature.untrusted"},
		"no authority":             {"signature", []any{with(d{"authority": ""})}, d{}, 0, 0, "signature.untrusted"},
		"TUF unasked":              {"signature", []any{with(d{"scheme": "tuf"})}, d{}, 0, 0, "signature.untrusted"},
		"TUF by its name":          {"signature", []any{with(d{"scheme": "tuf", "role": "r"})}, d{"authorities": "release"}, 1, 1, ""},
		"a misspelt member":        {"signature", []any{good}, d{"authority": "release"}, 0, 0, ""},
		"annotations":              {"signature", []any{good}, d{"annotations": d{"stage": "prod"}}, 1, 1, ""},
		"another value":            {"signature", []any{good}, d{"annotations": d{"stage": "dev"}}, 0, 0, "signature.annotations"},
		"one log":                  {"signature", []any{good}, d{"logs": 1}, 1, 1, ""},
		"two logs":                 {"signature", []any{good}, d{"logs": 2}, 0, 0, "signature.logs"},
		"an identity":              {"signature", []any{with(d{"identity": "me@x", "issuer": "i"})}, d{"identity": "*@x", "issuer": "i"}, 1, 1, ""},
		"of a key":                 {"signature", []any{good}, d{"identity": "*"}, 0, 0, "signature.untrusted"},
		"one signer twice":         {"signature", []any{good, with(d{"evidence": "b"})}, d{}, 2, 1, ""},
		"verified is true":         {"signature", []any{with(d{"verified": "true", "code": "signature.invalid"})}, d{}, 0, 0, "signature.invalid"},
		"the nearest":              {"signature", []any{with(d{"verified": false, "code": "signature.malformed"}), with(d{"verified": false, "code": "signature.revoked_key"})}, d{}, 0, 0, "signature.revoked_key"},
		"a code of the future":     {"signature", []any{with(d{"verified": false, "code": "signature.tomorrow"})}, d{}, 0, 0, "signature.invalid"},
		"a code of another kind":   {"signature", []any{with(d{"verified": false, "code": "attestation.ref"})}, d{}, 0, 0, "signature.invalid"},
		"no fact at all":           {"signature", []any{"x"}, d{}, 0, 0, ""},
		"of no type":               {"attestation", []any{good}, d{}, 0, 0, "attestation.predicate_type"},
		"a type":                   {"attestation", []any{with(d{"predicate_type": "https://a/b"})}, d{"predicate_types": []any{"https://a/*"}}, 1, 1, ""},
		"another type":             {"attestation", []any{with(d{"predicate_type": "https://a/b"})}, d{"predicate_types": "https://c"}, 0, 0, "attestation.predicate_type"},
		"another type by another":  {"attestation", []any{with(d{"predicate_type": "https://a/b"})}, d{"predicate_types": "https://c", "authorities": "x"}, 0, 0, ""},
		"a bad one of other type":  {"attestation", []any{with(d{"predicate_type": "https://a/b", "verified": false, "code": "signature.invalid"})}, d{"predicate_types": "https://c"}, 0, 0, ""},
		"a bad one of no type":     {"attestation", []any{with(d{"predicate_type": "", "verified": false, "code": "signature.malformed"})}, d{"predicate_types": "https://c"}, 0, 0, "signature.malformed"},
		"only the newest":          {"attestation", []any{with(d{"predicate_type": "t", "signed_at": "2026-11-01T00:00:00Z"}), with(d{"predicate_type": "t", "signed_at": "2026-11-02T00:00:00Z"})}, d{"newest": true}, 1, 1, ""},
		"two types":                {"attestation", []any{with(d{"predicate_type": "t", "signed_at": "2026-11-01T00:00:00Z"}), with(d{"predicate_type": "u", "signed_at": "2026-11-02T00:00:00Z"})}, d{"newest": true}, 2, 1, ""},
		"what has no time stays":   {"attestation", []any{with(d{"predicate_type": "t"}), with(d{"predicate_type": "t", "signed_at": "2026-11-02T00:00:00Z"})}, d{"newest": true}, 2, 1, ""},
		"the builder of a key":     {"attestation", []any{with(d{"predicate_type": "t", "summary": d{"builder": "https://b@refs/heads/main"}})}, d{"builder": "https://b"}, 1, 1, ""},
		"the certificate is first": {"attestation", []any{with(d{"predicate_type": "t", "summary": d{"builder": "https://b"}, "extensions": d{"build_signer_uri": "https://c"}})}, d{"builder": "https://b"}, 0, 0, "attestation.builder"},
		"no workflow":              {"attestation", []any{with(d{"predicate_type": "t"})}, d{"workflow": "**"}, 0, 0, "attestation.workflow"},
		"a branch":                 {"attestation", []any{with(d{"predicate_type": "t", "summary": d{"ref": "refs/heads/main"}})}, d{"ref": "main"}, 1, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			facts, err := ast.InterfaceToValue(c.facts)
			if err != nil {
				t.Fatal(err)
			}
			want, err := ast.InterfaceToValue(c.want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Judge(c.kind, ast.NewTerm(facts), ast.NewTerm(want), nil)
			if err != nil {
				t.Fatal(err)
			}
			o := got.Value.(ast.Object)
			member := func(name string) *ast.Term { return o.Get(ast.StringTerm(name)) }
			nearest := terms.TextIn(o, ast.StringTerm("nearest"))
			if n, s := member("facts").Value.(*ast.Array).Len(), member("signers").Value.(ast.Set).Len(); n != c.counted || s != c.signers || nearest != c.nearest {
				t.Errorf("%d facts, %d signers, nearest %q", n, s, nearest)
			}
			if near := member("near").Value.(*ast.Array).Len(); (near > 0) != (c.nearest != "") {
				t.Errorf("%d are near", near)
			}
		})
	}
	for name, want := range map[string]any{"authorities": 1, "annotations": "x", "logs": "many", "issuer": []any{1}} {
		v, err := ast.InterfaceToValue(map[string]any{name: want})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Judge("signature", ast.ArrayTerm(), ast.NewTerm(v), nil); err == nil {
			t.Errorf("%s: %v is taken", name, want)
		}
	}
}
