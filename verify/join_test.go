package verify

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

// engine is a verifier that knows what it will say of each layer, by digest: an engine without signatures.
type engine struct {
	says  map[store.Digest][]Fact
	again []Fact // of a layer whose bytes another had
	check error
	fails error
}

func (e engine) Check(Authority) error { return e.check }

func (e engine) Verify(_ context.Context, _ Subject, evidence []Evidence, _ []Authority) (*Report, error) {
	if e.fails != nil {
		return nil, e.fails
	}
	r := &Report{Facts: []Fact{}}
	for _, ev := range evidence {
		seen := map[store.Digest]int{}
		for _, l := range ev.Layers {
			scheme, kind, _ := SchemeOf(l.MediaType)
			base := Fact{Evidence: ev.Manifest.Digest, Layer: l.Digest, Scheme: scheme, Kind: kind}
			facts, known := e.says[l.Digest]
			if !known {
				r.Facts = append(r.Facts, Unserved(base))
				continue
			}
			if seen[l.Digest]++; seen[l.Digest] > 1 {
				facts = e.again
			}
			for _, f := range facts {
				f.Evidence, f.Layer, f.Scheme, f.Kind = base.Evidence, base.Layer, scheme, kind
				r.Facts = append(r.Facts, f)
			}
		}
	}
	return r, nil
}

func proven(by string) Fact { return Fact{Verified: true, Authority: by} }

func refusedAs(c Code) Fact { return Fact{Code: c, Message: "Because."} }

func layersOf(digests ...string) []Evidence {
	e := Evidence{Manifest: store.Descriptor{Digest: "evidence"}}
	for _, d := range digests {
		e.Layers = append(e.Layers, Layer{Descriptor: store.Descriptor{Digest: store.Digest(d), MediaType: "application/jose+json"}})
	}
	return []Evidence{e}
}

func told(r *Report) string {
	var all []string
	for _, f := range r.Facts {
		s := string(f.Layer) + ":" + string(f.Code)
		if f.Verified {
			s = string(f.Layer) + "=" + f.Authority
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

func TestJoin(t *testing.T) {
	type says = map[store.Digest][]Fact
	for _, c := range []struct {
		name    string
		engines []says
		layers  []string
		want    string
	}{
		{"proven by one", []says{{}, {"a": {proven("n")}}}, []string{"a"}, "a=n"},
		{"proven by the first", []says{{"a": {proven("k")}}, {}}, []string{"a"}, "a=k"},
		{"proven by both", []says{{"a": {proven("k"), proven("l")}}, {"a": {proven("n")}}}, []string{"a"}, "a=k a=l a=n"},
		{"a proof beside a refusal", []says{{"a": {refusedAs(CodeRevokedKey)}}, {"a": {proven("n")}}}, []string{"a"}, "a=n"},
		{"the most telling", []says{{"a": {refusedAs(CodeUntrustedKey)}}, {"a": {refusedAs(CodeIdentity)}}}, []string{"a"}, "a:signature.identity"},
		{"whoever comes first", []says{{"a": {refusedAs(CodeIdentity)}}, {"a": {refusedAs(CodeUntrustedKey)}}}, []string{"a"}, "a:signature.identity"},
		{"unsupported for a reason of its own, first", []says{{"a": {refusedAs(CodeUnsupported)}}, {}}, []string{"a"}, "a:signature.unsupported"},
		{"no authority is more than not served", []says{{}, {"a": {refusedAs(CodeNoAuthority)}}}, []string{"a"}, "a:signature.no_authority"},
		{"and in the other order", []says{{"a": {refusedAs(CodeNoAuthority)}}, {}}, []string{"a"}, "a:signature.no_authority"},
		{"served by none", []says{{}, {}}, []string{"a", "b"}, "a:signature.unsupported b:signature.unsupported"},
		{"the order is that of the layers", []says{{"b": {proven("k")}}, {"a": {proven("n")}, "c": {refusedAs(CodeInvalid)}}}, []string{"a", "b", "c"}, "a=n b=k c:signature.invalid"},
		{"one engine alone", []says{{"a": {refusedAs(CodeInvalid)}}}, []string{"a"}, "a:signature.invalid"},
		{"no engine", nil, []string{"a"}, ""},
		{"no layer", []says{{}, {}}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var engines []Verifier
			for _, s := range c.engines {
				engines = append(engines, engine{says: s})
			}
			r, err := Join(engines...).Verify(t.Context(), Subject{}, layersOf(c.layers...), nil)
			if err != nil || r.Facts == nil {
				t.Fatalf("got %+v %v", r, err)
			}
			if told(r) != c.want {
				t.Fatalf("got %s, wanted %s", told(r), c.want)
			}
			for _, f := range r.Facts {
				if !f.Verified && f.Message == "" {
					t.Fatalf("a refusal without a reason: %+v", f)
				}
			}
		})
	}
}

// Two signatures of one payload, as cosign writes them, have the same bytes and each its own fact.
func TestJoinSameBytes(t *testing.T) {
	for _, engines := range [][]Verifier{
		{engine{says: map[store.Digest][]Fact{"a": {proven("k")}}, again: []Fact{refusedAs(CodeUntrustedKey)}}, engine{}},
		{engine{}, engine{says: map[store.Digest][]Fact{"a": {proven("k")}}, again: []Fact{refusedAs(CodeUntrustedKey)}}},
	} {
		r, err := Join(engines...).Verify(t.Context(), Subject{}, layersOf("a", "a"), nil)
		if err != nil || told(r) != "a=k a:signature.untrusted_key" {
			t.Fatalf("got %+v %v", r, err)
		}
	}
}

// A reason of an engine's own stands beside another that does not serve the scheme.
func TestJoinKeepsTheReason(t *testing.T) {
	own := Fact{Code: CodeUnsupported, Message: "A reason of its own."}
	for _, engines := range [][]Verifier{{engine{says: map[store.Digest][]Fact{"a": {own}}}, engine{}}, {engine{}, engine{says: map[store.Digest][]Fact{"a": {own}}}}} {
		r, err := Join(engines...).Verify(t.Context(), Subject{}, layersOf("a"), nil)
		if err != nil || len(r.Facts) != 1 || r.Facts[0].Message != own.Message {
			t.Fatalf("got %+v %v", r, err)
		}
	}
	r, err := Join(engine{}, engine{}).Verify(t.Context(), Subject{}, layersOf("a"), nil)
	if err != nil || !strings.HasPrefix(r.Facts[0].Message, "A Notary Project signature needs an authority of kind notation") {
		t.Fatalf("got %+v %v", r, err)
	}
}

// No answer of one engine is no answer of all.
func TestJoinFails(t *testing.T) {
	failure := errors.New("no answer")
	good := engine{says: map[store.Digest][]Fact{"a": {proven("k")}}}
	for _, engines := range [][]Verifier{{good, engine{fails: failure}}, {engine{fails: failure}, good}} {
		if r, err := Join(engines...).Verify(t.Context(), Subject{}, layersOf("a"), nil); !errors.Is(err, failure) || r != nil {
			t.Fatalf("got %v %v", r, err)
		}
	}
	if err := Join(good, engine{check: failure}).Check(Authority{}); !errors.Is(err, failure) {
		t.Fatalf("got %v", err)
	}
	if err := Join(good, engine{}).Check(Authority{}); err != nil {
		t.Fatal(err)
	}
}

func TestUnserved(t *testing.T) {
	for scheme, says := range map[Scheme]string{SchemeNotation: "kind notation", SchemeCosign: "kind key", SchemeBundle: "sigstore", SchemeNone: "not signed"} {
		f := Unserved(Fact{Scheme: scheme, Layer: "a"})
		if f.Verified || f.Code != CodeUnsupported || !strings.Contains(f.Message, says) || f.Layer != "a" || !f.unserved() {
			t.Errorf("got %+v", f)
		}
	}
}
