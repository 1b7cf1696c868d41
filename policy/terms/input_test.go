package terms

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

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/store"
	"github.com/open-policy-agent/opa/v1/ast"
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

// TestInput: what Rego reads is exactly the JSON of the input.
func TestInput(t *testing.T) {
	enc := encoderOf(t)
	full, n := contract.Input{}, 0
	fill(reflect.ValueOf(&full).Elem(), &n)
	sparse := contract.Input{Signatures: []contract.SignatureInput{}, Attestations: []contract.AttestationInput{}}
	for name, in := range map[string]contract.Input{"full": full, "sparse": sparse} {
		b, err := in.JSON()
		if err != nil {
			t.Fatal(err)
		}
		want, err := ast.ValueFromReader(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		if got := madeOut(t, enc, &in); got.Compare(want) != 0 {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, want)
		}
		readsAs(t, enc, &in, want)
	}
}

// TestInput_Sparse: whatever is empty, and whatever comes again, the value is that of the JSON.
func TestInput_Sparse(t *testing.T) {
	enc := encoderOf(t)
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
		in, n := contract.Input{}, 0
		var v contract.VulnerabilitiesInput
		var s []contract.SignatureInput
		fill(reflect.ValueOf(&v).Elem(), &n)
		fill(reflect.ValueOf(&s).Elem(), &n)
		thin(reflect.ValueOf(&v).Elem())
		thin(reflect.ValueOf(&s).Elem())
		in.Vulnerabilities, in.Signatures = &v, append(s, s...)
		got := madeOut(t, enc, &in, "signatures", "vulnerabilities")
		b, err := json.Marshal(map[string]any{"signatures": in.Signatures, "vulnerabilities": v})
		if err != nil {
			t.Fatal(err)
		}
		want, err := ast.ValueFromReader(strings.NewReader(string(b)))
		if err != nil || got.Compare(want) != 0 || got.Hash() != want.Hash() {
			t.Fatalf("%v\ngot  %v\nwant %v", err, got, want)
		}
		readsAs(t, enc, &in, want)
	}
}

// TestInput_Mended: names of members that are no UTF-8 may become one, of which there is one then.
func TestInput_Mended(t *testing.T) {
	enc := encoderOf(t)
	in := &contract.Input{}
	in.Manifest = &contract.ManifestInput{Annotations: map[string]string{"a\xff": "x", "a\xfe": "x", "b": "\xff"}}
	got := madeOut(t, enc, in, "manifest")
	want := ast.MustParseTerm(`{"manifest": {"layers": [], "annotations": {"a\ufffd": "x", "b": "\ufffd"}}}`)
	if got.Compare(want.Value) != 0 {
		t.Errorf("%v", got)
	}
	readsAs(t, enc, in, want.Value)
}

// TestInput_Numbers: a summary is the same whether it was just made or read back from the store.
func TestInput_Numbers(t *testing.T) {
	enc := encoderOf(t)
	of := func(summary map[string]any) ast.Value {
		return madeOut(t, enc, &contract.Input{Attestations: []contract.AttestationInput{{Summary: summary}}}, "attestations")
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

// madeOut is an object of some members of a document, made; none names all that it has.
func madeOut(t *testing.T, e *Encoder, in *contract.Input, names ...string) ast.Value {
	t.Helper()
	p := NewInput(e, in)
	if err := p.Make(func(name string) bool { return len(names) == 0 || slices.Contains(names, name) }); err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(p.built))
	}
	o := ast.NewObject()
	for _, name := range names {
		if member, ok := p.Made(name); ok {
			o.Insert(member[0], member[1])
		}
	}
	return o
}

// readsAs holds a document that is read member by member to members of the same that were made: in any order, with what is made on the way.
func readsAs(t *testing.T, e *Encoder, in *contract.Input, want ast.Value) {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 8))
	for range 2 {
		p := NewInput(e, in)
		for _, name := range want.(ast.Object).Keys() {
			member, err := p.Member(name)
			if err != nil || member == nil {
				t.Fatalf("the input has no %v: %v", name, err)
			}
			memberwise(t, random, "input."+Text(name), member, ast.NewTerm(want).Get(name).Value)
		}
	}
}

func memberwise(t *testing.T, random *rand.Rand, path string, got *ast.Term, want ast.Value) {
	t.Helper()
	u, unread := got.Value.(*plan.Unread)
	if unread && random.IntN(8) > 0 {
		var keys []*ast.Term
		switch v := want.(type) {
		case ast.Object:
			keys = v.Keys()
		case *ast.Array:
			for i := range v.Len() {
				keys = append(keys, ast.InternedTerm(i))
			}
		}
		if _, list := want.(*ast.Array); list != u.List() {
			t.Fatalf("%s is a list: %v", path, u.List())
		}
		if n, err := u.Len(); err != nil || n != len(keys) {
			t.Fatalf("%s has %d members, want %d: %v", path, n, len(keys), err)
		}
		random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for _, key := range keys {
			for range 1 + random.IntN(2) {
				member, err := u.Member(key)
				if err != nil || member == nil {
					t.Fatalf("%s has no %v: %v", path, key, err)
				}
				memberwise(t, random, path+"."+key.String(), member, ast.NewTerm(want).Get(key).Value)
			}
		}
		for _, key := range []*ast.Term{ast.StringTerm("no such thing"), ast.InternedTerm(-1), ast.InternedTerm(len(keys)), ast.NumberTerm("0.5"), ast.InternedTerm(true)} {
			if member, err := u.Member(key); err != nil || member != nil {
				t.Fatalf("%s has %v at %v: %v", path, member, key, err)
			}
		}
	}
	if err := plan.Make(got); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if got.Value.Compare(want) != 0 || got.Value.Hash() != want.Hash() {
		t.Fatalf("%s:\ngot  %v\nwant %v", path, got, want)
	}
}

// TestParts_Odd: what cannot be found by its name as it stands here is found by that which a policy has of it.
func TestParts_Odd(t *testing.T) {
	e := encoderOf(t)
	for _, in := range []contract.Input{
		{SBOM: &contract.SBOMInput{Packages: &contract.PackagesInput{ByLicense: store.Counts{{Name: "b", N: 1}, {Name: "a", N: 2}}}}},
		{SBOM: &contract.SBOMInput{Packages: &contract.PackagesInput{ByLicense: store.Counts{{Name: "a\xff", N: 1}, {Name: "a\ufffd", N: 1}}}}},
		{Attestations: []contract.AttestationInput{{Extensions: map[string]string{"a\xff": "x"}, Summary: map[string]any{"a\xff": "x", "top": "none", "b": map[string]any{"top": []any{map[string]any{"id": "\xff"}, 7.5, nil}}}}}},
	} {
		readsAs(t, e, &in, madeOut(t, e, &in, "attestations", "sbom"))
	}
}

// TestParts_Deep: what is nested too deeply is an error wherever it is met, and nothing to who goes by.
func TestParts_Deep(t *testing.T) {
	var deep any = "x"
	for range 2 * maxDepth {
		deep = map[string]any{"a": deep}
	}
	in := contract.Input{Attestations: []contract.AttestationInput{{PredicateType: "x", Summary: map[string]any{"deep": deep}}}}
	q := NewInput(encoderOf(t), &in)
	if err := q.Make(func(name string) bool { return name == "attestations" }); err == nil {
		t.Error("it was made")
	}
	list, err := q.Member(ast.StringTerm("attestations"))
	if err != nil {
		t.Fatal(err)
	}
	at, err := list.Value.(*plan.Unread).Member(ast.InternedTerm(0))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := at.Value.(*plan.Unread).Member(ast.StringTerm("predicate_type")); err != nil || !text.Equal(ast.StringTerm("x")) {
		t.Errorf("%v %v", text, err)
	}
	at, err = at.Value.(*plan.Unread).Member(ast.StringTerm("summary"))
	key := ast.StringTerm("deep")
	for range maxDepth {
		u, ok := at.Value.(*plan.Unread)
		if !ok {
			break
		}
		if at, err = u.Member(key); err != nil {
			break
		}
		key = ast.StringTerm("a")
	}
	if err == nil {
		t.Error("it was read")
	}
}
