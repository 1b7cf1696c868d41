package engine

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

func encoderOf(t *testing.T) *terms.Encoder {
	t.Helper()
	e, err := terms.NewEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestDocument_Absent: nil lists are empty and never null, and admit has no tag.
func TestDocument_Absent(t *testing.T) {
	source := `package assay

admit.deny contains {"code": "a.b", "msg": "null"} if {
	some list in [input.signatures, input.attestations]
	not is_array(list)
}
`
	in := ask(contract.EntryAdmit)
	in.Subject.Tag = "only-a-tag"
	if d := decide(t, one(t, source, Options{}), in); !d.Allow || in.Subject.Tag != "only-a-tag" {
		t.Errorf("%+v", d.Deny)
	}
	enc := encoderOf(t)
	v, err := newDocument(enc, in).question(Reads{Fields: []string{"subject"}}, nil).Made()
	if err != nil || strings.Contains(v.String(), "only-a-tag") || strings.Contains(v.String(), "null") {
		t.Errorf("%v, %v", v, err)
	}
}

// TestDocument_Expired: what a fact proved ends with its time, under the code of its scheme.
func TestDocument_Expired(t *testing.T) {
	enc := encoderOf(t)
	in := ask(contract.EntryTag)
	for _, s := range []verify.Scheme{verify.SchemeCosign, verify.SchemeNotation, verify.SchemeTUF} {
		in.Signatures = append(in.Signatures, contract.SignatureInput{Scheme: s, Verified: true, ValidUntil: noon()})
	}
	in.TUF = &contract.TUFInput{DigestMatch: true, ValidUntil: noon()}
	d := newDocument(enc, in)
	for i, want := range []verify.Code{verify.CodeKeyExpired, verify.CodeExpired, verify.CodeTUFExpired} {
		if s := d.in.Signatures[i]; s.Verified || s.Code != want || !in.Signatures[i].Verified {
			t.Errorf("%s: %+v", s.Scheme, s)
		}
	}
	if d.in.TUF.DigestMatch || d.in.TUF.Code != verify.CodeTUFExpired || !in.TUF.DigestMatch {
		t.Errorf("%+v of %+v", d.in.TUF, in.TUF)
	}
	later := noon().Add(time.Hour)
	in.TUF.ValidUntil = later
	if d := newDocument(enc, in); !d.in.TUF.DigestMatch || !d.end(Reads{Fields: []string{"tuf"}}).Equal(later) {
		t.Errorf("%+v", d.in.TUF)
	}
}

// deepSummary is deeper than any that is read.
func deepSummary() map[string]any {
	deep := map[string]any{}
	for range 200 {
		deep = map[string]any{"a": deep}
	}
	return deep
}

// TestDocument_Depth: a summary cannot be nested without end.
func TestDocument_Depth(t *testing.T) {
	in := ask(contract.EntryAdmit)
	in.Attestations = []contract.AttestationInput{{Summary: deepSummary()}}
	s := one(t, "package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if input.attestations[0].verified\n", Options{})
	if d := decide(t, s, in); codes(d.Deny) != CodeError {
		t.Errorf("%+v", d)
	}
}

// TestDocument_DepthUnread: what is nested too deeply is an error wherever it is met.
func TestDocument_DepthUnread(t *testing.T) {
	in := ask(contract.EntryAdmit)
	in.Attestations = []contract.AttestationInput{{PredicateType: "x", Summary: map[string]any{"deep": deepSummary()}}}
	s := one(t, "package assay\n\n"+`admit.deny contains {"code": "a.b", "msg": "no"} if input.attestations[0].summary.deep.a == "x"`+"\n", Options{})
	planAll(t, s)
	if d := decide(t, s, in); codes(d.Deny) != CodeError {
		t.Errorf("%+v", d.Deny)
	}
}

// TestStraysReadTheirOwn: what an evaluation that was given up still reads is nobody else's, and what one that answered made is there for the next.
func TestStraysReadTheirOwn(t *testing.T) {
	s := one(t, denyNothing, Options{})
	p := s.programs[0]
	e, doc := p.entries[contract.EntryAdmit], newDocument(s.encoder, ask(contract.EntryAdmit))
	parts := func(how func()) *terms.Input {
		asked := make(chan *question, 1)
		s.evaluate(t.Context(), func(_ topdown.Cancel, q *question, _ time.Time) ([]*ast.Term, error) {
			asked <- q
			how()
			return nil, errors.New("no answer")
		}, p, e, doc, aids{})
		return (<-asked).parts
	}
	first, second := parts(func() {}), parts(func() {})
	if first != second {
		t.Error("what was made is made again")
	}
	release := make(chan struct{})
	defer close(release)
	s.runner.deadline, s.runner.hard = time.Millisecond, 2*time.Millisecond
	stray := parts(func() { <-release })
	if next := parts(func() {}); next == stray {
		t.Error("two evaluations at a time have the same parts")
	}
}

func schemaOf(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestSchemas: the published schemas have exactly the members that the Go types have, all the way down.
func TestSchemas(t *testing.T) {
	compareSchema(t, "input", schemaOf(t, policies.InputSchema()), reflect.TypeFor[contract.Input]())
	compareSchema(t, "result", schemaOf(t, policies.ResultSchema()), reflect.TypeFor[contract.Decision]())
}

func compareSchema(t *testing.T, path string, schema map[string]any, typ reflect.Type) {
	t.Helper()
	want := func(kind string) {
		if schema["type"] != kind {
			t.Errorf("%s has the type %v, want %s", path, schema["type"], kind)
		}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		compareSchema(t, path, schema, typ.Elem())
	case reflect.String:
		want("string")
	case reflect.Bool:
		want("boolean")
	case reflect.Int, reflect.Int64:
		want("integer")
	case reflect.Slice:
		if typ == reflect.TypeFor[store.Counts]() {
			want("object")
			compareSchema(t, path+".*", schema["additionalProperties"].(map[string]any), reflect.TypeFor[int]())
			return
		}
		want("array")
		compareSchema(t, path+"[]", schema["items"].(map[string]any), typ.Elem())
	case reflect.Map:
		want("object")
		if sub, ok := schema["additionalProperties"].(map[string]any); ok {
			compareSchema(t, path+".*", sub, typ.Elem())
		} else if typ.Elem().Kind() != reflect.Interface {
			t.Errorf("%s does not say what its members are", path)
		}
	case reflect.Struct:
		if typ == reflect.TypeFor[time.Time]() {
			want("string")
			return
		}
		want("object")
		compareMembers(t, path, schema, typ)
	}
}

func compareMembers(t *testing.T, path string, schema map[string]any, typ reflect.Type) {
	t.Helper()
	properties := schema["properties"].(map[string]any)
	seen := map[string]bool{}
	var required []string
	for i := range typ.NumField() {
		name, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		seen[name] = true
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
		if sub, ok := properties[name].(map[string]any); ok {
			compareSchema(t, path+"."+name, sub, typ.Field(i).Type)
		} else {
			t.Errorf("the schema lacks %s.%s", path, name)
		}
	}
	for name := range properties {
		if !seen[name] {
			t.Errorf("the schema has %s.%s, which does not exist", path, name)
		}
	}
	var listed []string
	for _, name := range asList(schema["required"]) {
		listed = append(listed, name.(string))
	}
	slices.Sort(required)
	if slices.Sort(listed); !slices.Equal(required, listed) {
		t.Errorf("%s requires %v, and the schema says %v", path, required, listed)
	}
	if schema["additionalProperties"] != false {
		t.Errorf("%s permits other members: a misspelt one would not be found", path)
	}
}

func asList(x any) []any {
	list, _ := x.([]any)
	return list
}
