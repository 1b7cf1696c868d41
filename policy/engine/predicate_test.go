package engine

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	godigest "github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// layers is content in memory. It counts what is read.
type layers struct {
	blobs map[store.Digest][]byte
	reads int
	fail  error
}

func (l *layers) ReadContent(_ context.Context, d store.Digest, limit int64) ([]byte, error) {
	l.reads++
	if l.fail != nil {
		return nil, l.fail
	}
	b, ok := l.blobs[d]
	switch {
	case !ok:
		return nil, store.Errorf(store.CodeBlobUnknown, "absent")
	case int64(len(b)) > limit:
		return nil, store.Errorf(store.CodeSizeInvalid, "too large")
	}
	return b, nil
}

// attest stores a bare statement with a predicate and lists it in the input as verified.
func (l *layers) attest(in *contract.Input, predicate string) *contract.AttestationInput {
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":"p","predicate":%s}`, strings.TrimPrefix(testDigest, "sha256:"), predicate)
	return l.list(in, verify.SchemeNone, statement)
}

func (l *layers) list(in *contract.Input, s verify.Scheme, layer string) *contract.AttestationInput {
	d := store.DigestOf(godigest.SHA256, []byte(layer))
	l.blobs[d] = []byte(layer)
	in.Attestations = append(in.Attestations, contract.AttestationInput{Evidence: evidenceA, Layer: d, Scheme: s, PredicateType: "p", Verified: true, Authority: "ci"})
	return &in.Attestations[len(in.Attestations)-1]
}

// tells is a policy that denies with what the built-in answers for every attestation.
const tells = `package assay

admit.deny contains {"code": "a.value", "msg": sprintf("%v", [p.value])} if {
	some a in input.attestations
	p := assay.predicate(a.evidence, a.layer)
}

admit.deny contains {"code": "a.error", "msg": p.error} if {
	some a in input.attestations
	p := assay.predicate(a.evidence, a.layer)
}
`

func withLayers() (*layers, *contract.Input) {
	l, in := &layers{blobs: map[store.Digest][]byte{}}, ask(contract.EntryAdmit)
	in.Content = l
	return l, in
}

// TestPredicate: what is proven is given as it is, in every form; all else with a sentence why not.
func TestPredicate(t *testing.T) {
	s := one(t, tells, Options{})
	st := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"aa"}}],"predicateType":"p","predicate":{"n":1.50,"s":"x"}}`
	envelope := `{"payloadType":"application/vnd.in-toto+json","payload":"` + base64.StdEncoding.EncodeToString([]byte(st)) + `","signatures":[{"sig":"AAAA"}]}`
	for _, c := range []struct {
		name string
		make func(l *layers, in *contract.Input)
		want string
	}{
		{"bare", func(l *layers, in *contract.Input) { l.attest(in, `{"a":[1,true,null]}`) }, `a.value {"a": [1, true, null]}`},
		{"envelope", func(l *layers, in *contract.Input) { l.list(in, verify.SchemeDSSE, envelope) }, `a.value {"n": 1.50, "s": "x"}`},
		{"bundle", func(l *layers, in *contract.Input) { l.list(in, verify.SchemeBundle, `{"dsseEnvelope":`+envelope+`}`) }, `a.value {"n": 1.50, "s": "x"}`},
		{"not verified", func(l *layers, in *contract.Input) { l.attest(in, `{"a":1}`).Verified = false }, "a.error the attestation is not verified"},
		{"no layer", func(l *layers, in *contract.Input) { l.attest(in, `{"a":1}`).Layer = "" }, ""},
		{"another type", func(l *layers, in *contract.Input) { l.attest(in, `{"a":1}`).PredicateType = "q" }, "a.error the attestation has another predicate type than the input says"},
		{"no statement", func(l *layers, in *contract.Input) { l.list(in, verify.SchemeDSSE, "{}") }, "a.error the attestation cannot be read: the envelope has no payload"},
		{"no content", func(l *layers, in *contract.Input) { l.attest(in, `{"a":1}`); in.Content = nil },
			"a.error the stored evidence is not at hand where a document is judged by itself"},
		{"a large layer", func(l *layers, in *contract.Input) { l.attest(in, `"`+strings.Repeat("x", maxPredicateLayer)+`"`) }, "a.error the attestation has more than 2097152 bytes"},
		{"a large predicate", func(l *layers, in *contract.Input) { l.attest(in, `"`+strings.Repeat("x", maxPredicate)+`"`) }, "a.error the predicate has more than 1048576 bytes"},
		{"many values", func(l *layers, in *contract.Input) { l.attest(in, `[`+strings.Repeat("1,", maxPredicateValues)+`1]`) },
			"a.error the predicates of an evaluation have more than 65536 values"},
		{"damaged", func(l *layers, in *contract.Input) {
			a := l.attest(in, `{"a":1}`)
			l.blobs[a.Layer] = []byte("{}")
		}, CodeError},
		{"missing", func(l *layers, in *contract.Input) { l.attest(in, `{"a":1}`); clear(l.blobs) }, CodeError},
		{"unreadable", func(l *layers, in *contract.Input) { l.attest(in, `{"a":1}`); l.fail = errors.New("disk") }, CodeError},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, in := withLayers()
			c.make(l, in)
			d := decide(t, s, in)
			again := decide(t, s, in)
			if len(d.Deny) != min(1, len(c.want)) || fmt.Sprint(d.Deny) != fmt.Sprint(again.Deny) {
				t.Fatalf("got %v, then %v", d.Deny, again.Deny)
			}
			if len(d.Deny) == 1 && !strings.HasPrefix(d.Deny[0].Code+" "+d.Deny[0].Message, c.want) {
				t.Errorf("got %s %s, want %s", d.Deny[0].Code, d.Deny[0].Message, c.want)
			}
		})
	}
}

// TestPredicate_OnlyListed: no policy reaches what the input does not list, whatever is stored.
func TestPredicate_OnlyListed(t *testing.T) {
	l, in := withLayers()
	secret := l.attest(in, `{"secret":1}`).Layer
	in.Attestations = nil
	l.attest(in, `{"a":1}`)
	source := fmt.Sprintf("package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": assay.predicate(%q, %q).error}\n", evidenceA, secret)
	d := decide(t, one(t, source, Options{}), in)
	if len(d.Deny) != 1 || d.Deny[0].Message != "the input has no attestation of that evidence and layer" || l.reads != 0 {
		t.Errorf("%+v after %d reads", d.Deny, l.reads)
	}
}

// TestPredicate_Count: eight different ones, each read once, whoever asks how often.
func TestPredicate_Count(t *testing.T) {
	l, in := withLayers()
	for i := range maxPredicates + 2 {
		l.attest(in, fmt.Sprintf(`{"n":%d}`, i))
	}
	d := decide(t, one(t, tells, Options{}), in)
	if l.reads != maxPredicates || len(d.Deny) != maxPredicates+1 {
		t.Errorf("%d reads, %v", l.reads, d.Deny)
	}
}

// TestPredicate_Unread: a policy that opens nothing costs nothing.
func TestPredicate_Unread(t *testing.T) {
	l, in := withLayers()
	l.attest(in, `{"n":1}`)
	s := one(t, "package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if count(input.attestations) == 0\n", Options{})
	if d := decide(t, s, in); !d.Allow || l.reads != 0 || s.programs[0].entries[contract.EntryAdmit].reads.Predicates {
		t.Errorf("%+v after %d reads", d, l.reads)
	}
}

// TestPredicate_Reads: to open an attestation is to read it, so that push may not, and the verdict ends with it.
func TestPredicate_Reads(t *testing.T) {
	const rule = `.deny contains {"code": "a.b", "msg": "no"} if assay.predicate("x", "y").value == 1`
	if got := problems(t, Policy{Source: map[string]string{"p.rego": "package assay\n\npush" + rule}}); !strings.Contains(got, "reads input.attestations, which the entry point push may not") {
		t.Errorf("got %q", got)
	}
	s := one(t, "package assay\n\nadmit"+rule, Options{})
	if r := s.programs[0].entries[contract.EntryAdmit].reads; !r.Predicates || !r.Has("attestations") {
		t.Errorf("%+v", r)
	}
	in := ask(contract.EntryAdmit)
	in.Attestations = []contract.AttestationInput{{Verified: true, ValidUntil: noon().AddDate(0, 0, 1)}}
	if d := decide(t, s, in); !d.ValidUntil.Equal(noon().AddDate(0, 0, 1)) {
		t.Errorf("%+v", d)
	}
}

// TestPredicate_Bomb: a predicate cannot be multiplied without end, and an evaluation over it stops in time.
func TestPredicate_Bomb(t *testing.T) {
	body := &strings.Builder{}
	fmt.Fprintln(body, "x0 := assay.predicate(input.attestations[0].evidence, input.attestations[0].layer).value")
	for i := range 12 {
		fmt.Fprintf(body, "\tx%d := [x%d, x%d]\n", i+1, i, i)
	}
	source := "package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if {\n\t" + body.String() + "\tcount(x12) == 1\n}\n"
	if got := problems(t, Policy{Source: map[string]string{"p.rego": source}}); !strings.Contains(got, "larger than a policy may make") {
		t.Errorf("got %q", got)
	}
	l, in := withLayers()
	l.attest(in, "["+strings.Repeat("1,", 20_000)+"1]")
	endless := `package assay

admit.deny contains {"code": "a.b", "msg": "no"} if {
	p := assay.predicate(input.attestations[0].evidence, input.attestations[0].layer).value
	some a in p
	some b in p
	some c in p
	a + b + c == -1
}
`
	if d := decide(t, one(t, endless, Options{}), in); codes(d.Deny) != CodeTimeout {
		t.Errorf("%+v", d.Deny)
	}
}

// A policy's own tests replace the built-in: in a module that imports data.assay, that is done under another name.
func TestPredicate_InRegoTests(t *testing.T) {
	files := map[string]string{"p.rego": tells, "p_test.rego": `package assay_test

import data.assay as policy

attestation := {"evidence": "e", "layer": "l"}

answer(_, _) := {"value": 7}

test_value if {
	some r in policy.admit.deny with input as {"attestations": [attestation]} with assay.predicate as answer
	r == {"code": "a.value", "msg": "7"}
}

test_nothing_is_at_hand if {
	some r in policy.admit.deny with input as {"attestations": [attestation]}
	r.code == "a.error"
}
`}
	results, err := Test(t.Context(), files)
	if err != nil || len(results) != 2 {
		t.Fatalf("%v, %v", results, err)
	}
	for _, r := range results {
		if !r.Pass {
			t.Errorf("%s: %s", r.Name, r.Message)
		}
	}
}
