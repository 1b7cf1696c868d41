package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// fill sets every field of a value to something, so that whatever is added to the input later is in the tests at once.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d <&> \u2028 ü", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n) << 33)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		if v.Type() == countsType {
			v.Set(reflect.ValueOf(store.NewCounts(map[string]int{fmt.Sprintf("text %d ü", *n): *n << 33, "": -1})))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n)
			fill(value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{"a": []any{1, 2.5, "x", nil, true}, "b": map[string]string{"c": "d"}}))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 21, 12, 0, *n%60, *n, time.UTC)))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" {
				fill(v.Field(i), n)
			}
		}
	}
}

// TestDocument: what Rego reads is exactly the JSON of the input.
func TestDocument(t *testing.T) {
	enc, err := newEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		t.Fatal(err)
	}
	full, n := contract.Input{}, 0
	fill(reflect.ValueOf(&full).Elem(), &n)
	full.Request.Time = noon()
	sparse := *ask(contract.EntryPush)
	sparse.Signatures, sparse.Attestations = []contract.SignatureInput{}, []contract.AttestationInput{}
	everything := Reads{Fields: slices.Sorted(maps.Keys(schemaOf(t, policies.InputSchema())["properties"].(map[string]any)))}
	for name, in := range map[string]contract.Input{"full": full, "sparse": sparse} {
		in.Request.Entry = contract.EntryPush
		got, err := newDocument(enc, &in).question(everything, nil).Made()
		if err != nil {
			t.Fatal(err)
		}
		b, err := in.JSON()
		if err != nil {
			t.Fatal(err)
		}
		want, err := ast.ValueFromReader(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		if got.Compare(want) != 0 {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, want)
		}
		readsAs(t, enc, &in, everything, want)
	}
}

// TestDocument_Sparse: whatever is empty, and whatever comes again, the value is that of the JSON.
func TestDocument_Sparse(t *testing.T) {
	enc, err := newEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var thin func(v reflect.Value)
	thin = func(v reflect.Value) {
		switch {
		case v.Type() != reflect.TypeFor[time.Time]() && random.IntN(3) == 0 && v.Kind() != reflect.Slice:
			v.SetZero()
		case v.Kind() == reflect.String && random.IntN(2) == 0:
			v.SetString([]string{"high", "high\xff", "\u2028", "pkg:npm/a@1"}[random.IntN(4)])
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				thin(v.Index(i))
			}
			if v.Len() > 0 && random.IntN(3) == 0 {
				v.SetLen(0)
			}
		case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
			for i := range v.NumField() {
				thin(v.Field(i))
			}
		}
	}
	for range 200 {
		in, n := *ask(contract.EntryTag), 0
		var v contract.VulnerabilitiesInput
		var s []contract.SignatureInput
		fill(reflect.ValueOf(&v).Elem(), &n)
		fill(reflect.ValueOf(&s).Elem(), &n)
		thin(reflect.ValueOf(&v).Elem())
		thin(reflect.ValueOf(&s).Elem())
		v.ValidUntil, in.Vulnerabilities, in.Signatures, in.Attestations = time.Time{}, &v, append(s, s...), []contract.AttestationInput{}
		got, err := newDocument(enc, &in).question(Reads{Fields: []string{"signatures", "vulnerabilities"}}, nil).Made()
		if err != nil {
			t.Fatal(err)
		}
		for i := range in.Signatures {
			in.Signatures[i].Verified = in.Signatures[i].Verified && (in.Signatures[i].ValidUntil.IsZero() || in.Signatures[i].ValidUntil.After(noon()))
		}
		b, err := json.Marshal(map[string]any{"signatures": in.Signatures, "vulnerabilities": v})
		if err != nil {
			t.Fatal(err)
		}
		want, err := ast.ValueFromReader(strings.NewReader(string(b)))
		if err != nil || got.Compare(want) != 0 || got.Hash() != want.Hash() {
			t.Fatalf("%v\ngot  %v\nwant %v", err, got, want)
		}
		readsAs(t, enc, &in, Reads{Fields: []string{"signatures", "vulnerabilities"}}, want)
	}
}

// TestDocument_Mended: names of members that are no UTF-8 may become one, of which there is one then.
func TestDocument_Mended(t *testing.T) {
	enc, err := newEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		t.Fatal(err)
	}
	in := ask(contract.EntryPush)
	in.Manifest = &contract.ManifestInput{Annotations: map[string]string{"a\xff": "x", "a\xfe": "x", "b": "\xff"}}
	got, err := newDocument(enc, in).question(Reads{Fields: []string{"manifest"}}, nil).Made()
	want := ast.MustParseTerm(`{"manifest": {"layers": [], "annotations": {"a\ufffd": "x", "b": "\ufffd"}}}`)
	if err != nil || got.Compare(want.Value) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	readsAs(t, enc, in, Reads{Fields: []string{"manifest"}}, want.Value)
}

// TestDocument_Numbers: a summary is the same whether it was just made or read back from the store.
func TestDocument_Numbers(t *testing.T) {
	enc, err := newEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		t.Fatal(err)
	}
	of := func(summary map[string]any) ast.Value {
		in := ask(contract.EntryAdmit)
		in.Attestations = []contract.AttestationInput{{Summary: summary}}
		v, err := newDocument(enc, in).question(Reads{Fields: []string{"attestations"}}, nil).Made()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, n := range []int64{0, 7, 512, 1_234_567, 1 << 40} {
		fresh := map[string]any{"packages": n, "counts": map[string]any{"high": n}, "levels": []any{"x"}}
		b, err := json.Marshal(fresh)
		if err != nil {
			t.Fatal(err)
		}
		var stored map[string]any
		if err := json.Unmarshal(b, &stored); err != nil {
			t.Fatal(err)
		}
		if x, y := of(fresh), of(stored); x.Compare(y) != 0 || x.String() != y.String() {
			t.Errorf("%v and %v", x, y)
		}
	}
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
	enc, err := newEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		t.Fatal(err)
	}
	v, err := newDocument(enc, in).question(Reads{Fields: []string{"subject"}}, nil).Made()
	if err != nil || strings.Contains(v.String(), "only-a-tag") || strings.Contains(v.String(), "null") {
		t.Errorf("%v, %v", v, err)
	}
}

// TestDocument_Expired: what a fact proved ends with its time, under the code of its scheme.
func TestDocument_Expired(t *testing.T) {
	enc, err := newEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		t.Fatal(err)
	}
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

// TestDocument_Depth: a summary cannot be nested without end.
func TestDocument_Depth(t *testing.T) {
	deep := map[string]any{}
	for range 2 * maxDepth {
		deep = map[string]any{"a": deep}
	}
	in := ask(contract.EntryAdmit)
	in.Attestations = []contract.AttestationInput{{Summary: deep}}
	s := one(t, "package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if input.attestations[0].verified\n", Options{})
	if d := decide(t, s, in); codes(d.Deny) != CodeError {
		t.Errorf("%+v", d)
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
		if typ == countsType {
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
