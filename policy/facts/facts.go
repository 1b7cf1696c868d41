package facts

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/assay-registry/assay/verify"
	"github.com/open-policy-agent/opa/v1/ast"
)

// The built-ins assay.signatures(facts, want) and assay.attestations(facts, want) judge facts of the input, input.signatures and input.attestations, by what a policy wants of them: see
// README.md of the policies. They are handed the facts, so that what a policy reads is seen in its text, and a test may hand them others. The value has
//
//	facts    those that are as wanted: verified, and never the registry's own word
//	signers  who made them, a set: a key or identity is one signer however often it signed
//	nearest  where there are none, the code of the miss that is the fewest steps away; absent where nothing comes near
//	near     the facts that miss in that way
//
// A member of want that is not known matches nothing, so that a misspelt one refuses.

// wish is what a policy wants of facts. An empty list asks for nothing.
type wish struct {
	authorities, issuer, identity, types, builder, workflow, source, ref []string
	annotations                                                          ast.Object
	logs                                                                 int
	newest                                                               bool // leave out what the same signer said earlier in the same type
}

// ranks orders the ways to miss, the fewest steps away from what counts first. Those of verify stand as the library's refusals do.
var ranks = func() map[string]int {
	order := []string{
		"signature.annotations", "signature.logs", "attestation.ref", "attestation.source", "attestation.builder", "attestation.workflow", "attestation.identity", "attestation.issuer",
		"attestation.untrusted", "signature.untrusted",
	}
	for _, code := range []verify.Code{
		verify.CodeOtherRepository, verify.CodeRevokedKey, verify.CodeRevokedCertificate, verify.CodeRevokedIdentity, verify.CodeRevokedEntry,
		verify.CodeKeyExpired, verify.CodeCertificateExpired, verify.CodeExpired, verify.CodeTUFExpired, verify.CodeDigestMismatch, verify.CodeIdentity,
		verify.CodeOutOfScope,
		verify.CodeNoSCT, verify.CodeNoTimestamp, verify.CodeLogMismatch, verify.CodeNoLog, verify.CodeUntrustedRoot, verify.CodeUntrustedKey,
		verify.CodeNoAuthority, verify.CodeInvalid, verify.CodePayloadType, verify.CodeUnsupported, verify.CodeTooBig, verify.CodeMalformed,
		verify.CodeUnsigned, verify.CodeInternal,
	} {
		order = append(order, string(code))
	}
	m := map[string]int{}
	for i, code := range append(order, "attestation.predicate_type") {
		m[code] = i
	}
	return m
}()

// The names of what they answer.
var (
	keyFacts     = ast.StringTerm("facts")
	keySigners   = ast.StringTerm("signers")
	keyNear      = ast.StringTerm("near")
	keyNearest   = ast.StringTerm("nearest")
	keyBuilders  = ast.StringTerm("builders")
	keyWorkflows = ast.StringTerm("workflows")
	keySources   = ast.StringTerm("sources")
)

// The kinds of facts.
const (
	Signature   = "signature"
	Attestation = "attestation"
)

// judgement is what is found on the way.
type judgement struct {
	kind    string
	want    wish
	steps   int
	counted []Fact
	near    []*ast.Term
	nearest string

	note func(f Fact, code string) // tells a person which fact missed what; nil where nobody asked
}

// Judge is either of the two, its answer as a policy reads it. Where note is not nil, it is told what each fact misses: the code of the first, empty if it counts.
func Judge(kind string, facts, want *ast.Term, note func(f Fact, code string)) (*ast.Term, error) {
	j := judgement{kind: kind, steps: wanted.MaxSteps, note: note}
	known, err := j.want.read(want)
	if err != nil {
		return nil, err
	}
	err = eachMember(facts, func(t *ast.Term) error {
		if known {
			j.judge(t)
		}
		if j.steps <= 0 {
			return wanted.ErrTooLong
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return j.value(), nil
}

// eachMember calls f for the facts of an array, which may be unread.
func eachMember(t *ast.Term, f func(*ast.Term) error) error {
	if list, ok := t.Value.(*ast.Array); ok {
		return list.Iter(f)
	}
	list, ok := t.Value.(*plan.Unread)
	if !ok || !list.List() {
		return fmt.Errorf("a %s stands where the facts of the input are wanted", nameOf(t))
	}
	n, err := list.Len()
	for i := 0; err == nil && i < n; i++ {
		var one *ast.Term
		if one, err = list.Member(ast.InternedTerm(i)); err == nil {
			err = f(one)
		}
	}
	return err
}

// nameOf is what kind of value a term has.
func nameOf(t *ast.Term) string {
	if _, ok := t.Value.(*plan.Unread); ok {
		return "object"
	}
	return ast.ValueName(t.Value)
}

// read reports whether all of a wish is known.
func (w *wish) read(t *ast.Term) (known bool, err error) {
	object, ok := t.Value.(ast.Object)
	if !ok {
		return false, fmt.Errorf("what is wanted of facts is an object, and not a %s", ast.ValueName(t.Value))
	}
	known = true
	err = object.Iter(func(k, v *ast.Term) (err error) {
		switch terms.Text(k) {
		case "authorities":
			w.authorities, err = wanted.Texts(v)
		case "issuer":
			w.issuer, err = wanted.Texts(v)
		case "identity":
			w.identity, err = wanted.Texts(v)
		case "predicate_types":
			w.types, err = wanted.Texts(v)
		case "builder":
			w.builder, err = wanted.Texts(v)
		case "workflow":
			w.workflow, err = wanted.Texts(v)
		case "source":
			w.source, err = wanted.Texts(v)
			for i, s := range w.source {
				w.source[i] = sourceAddress(s)
			}
		case "ref":
			w.ref, err = wanted.Texts(v)
			for i, r := range w.ref {
				if !strings.HasPrefix(r, "refs/") {
					w.ref[i] = "refs/heads/" + r
				}
			}
		case "annotations":
			if w.annotations, ok = v.Value.(ast.Object); !ok {
				err = fmt.Errorf("annotations are an object, and not a %s", ast.ValueName(v.Value))
			}
		case "logs":
			n, _ := v.Value.(ast.Number)
			if w.logs, ok = n.Int(); !ok {
				err = fmt.Errorf("logs is a whole number")
			}
		case "newest":
			w.newest = v.Value.Compare(ast.Boolean(true)) == 0
		default:
			known = false
		}
		return err
	})
	return known, err
}

// judge sorts one fact.
func (j *judgement) judge(t *ast.Term) {
	f, ok := of(t)
	if !ok {
		return
	}
	code := j.miss(f)
	if j.note != nil {
		j.note(f, code)
	}
	if code == "" {
		j.counted = append(j.counted, f)
		return
	}
	rank, ok := ranks[code]
	switch best, some := ranks[j.nearest]; {
	case !ok:
	case !some || rank < best:
		j.nearest, j.near = code, append(j.near[:0], t)
	case code == j.nearest:
		j.near = append(j.near, t)
	}
}

// miss is why a fact does not count; empty if it does, and a code without rank where it has nothing to do with what is wanted.
func (j *judgement) miss(f Fact) string {
	w := &j.want
	typed := j.kind == Signature || f.text(keyPredicateType) != "" && j.among(w.types, f.text(keyPredicateType))
	if !f.Verified() {
		code := f.text(keyCode)
		switch _, known := ranks[code]; {
		case !typed && f.text(keyPredicateType) != "":
			return "other"
		case !known || !strings.HasPrefix(code, "signature.") && !strings.HasPrefix(code, "tuf."):
			return "signature.invalid"
		}
		return code
	}
	switch accepted := f.accepted(w.authorities); {
	case !typed && accepted:
		return "attestation.predicate_type"
	case !typed:
		return "other"
	case !accepted:
		return j.kind + ".untrusted"
	}
	return j.amiss(f)
}

// amiss is what is not as wanted of a verified fact that an accepted authority signed: the first of these. Whatever is wanted and not said is amiss.
func (j *judgement) amiss(f Fact) string {
	w := &j.want
	issuer, identity, workflow, builder, source, ref := "attestation.issuer", "attestation.identity", "attestation.workflow", "attestation.builder", "attestation.source", "attestation.ref"
	if j.kind == Signature {
		issuer, identity = "signature.untrusted", "signature.untrusted"
	}
	switch {
	case len(w.issuer) > 0 && !j.among(w.issuer, f.text(keyIssuer)):
		return issuer
	case len(w.identity) > 0 && !j.among(w.identity, f.text(keyIdentity)):
		return identity
	case len(w.workflow) > 0 && !j.oneOf(w.workflow, f.workflows()):
		return workflow
	case len(w.builder) > 0 && !j.oneOf(w.builder, f.builders()):
		return builder
	case len(w.source) > 0 && !j.oneOf(w.source, f.sources()):
		return source
	case len(w.ref) > 0 && !j.among(w.ref, f.ref()):
		return ref
	case w.annotations != nil && !f.annotated(w.annotations):
		return "signature.annotations"
	case w.logs > 0 && f.logs() < w.logs:
		return "signature.logs"
	}
	return ""
}

// among reports whether one of the patterns matches, or there are none.
func (j *judgement) among(patterns []string, s string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return wanted.InPaths.Match(p, s, &j.steps) })
}

func (j *judgement) oneOf(patterns, forms []string) bool {
	return slices.ContainsFunc(forms, func(form string) bool { return j.among(patterns, form) })
}

// value is the judgement as a policy reads it.
func (j *judgement) value() *ast.Term {
	counted := j.counted
	if j.want.newest {
		counted = newest(counted)
	}
	facts, signers := make([]*ast.Term, len(counted)), ast.NewSetWithCapacity(len(counted))
	for i, f := range counted {
		facts[i] = f.term
		if who := f.signer(); who != nil {
			signers.Add(who)
		}
	}
	items := [][2]*ast.Term{{keyFacts, plan.NewList(facts)}, {keySigners, ast.NewTerm(signers)}, {keyNear, ast.InternedEmptyArray}}
	if len(counted) == 0 {
		items[2][1] = plan.NewList(j.near)
		if j.nearest != "" {
			items = append(items, [2]*ast.Term{keyNearest, ast.StringTerm(j.nearest)})
		}
	}
	return plan.NewObject(items...)
}

// newest leaves out what the same signer said earlier in the same type. What has no time is never left out.
func newest(list []Fact) []Fact {
	if len(list) < 2 {
		return list
	}
	type said struct {
		at   time.Time
		ok   bool
		what string // by whom, and of which type
	}
	all, last := make([]said, len(list)), map[string]time.Time{}
	for i, f := range list {
		if who := f.signer(); who != nil {
			all[i].what = f.text(keyPredicateType) + "\x00" + f.text(keyAuthority) + "\x00" + who.String()
			if all[i].at, all[i].ok = f.made(); all[i].ok && all[i].at.After(last[all[i].what]) {
				last[all[i].what] = all[i].at
			}
		}
	}
	kept := make([]Fact, 0, len(list))
	for i, f := range list {
		if !all[i].ok || !all[i].at.Before(last[all[i].what]) {
			kept = append(kept, f)
		}
	}
	return kept
}

// Signers is the built-in assay.signers(facts): who made them, a set.
func Signers(facts *ast.Term) (*ast.Term, error) {
	signers := ast.NewSet()
	err := eachFact(facts, func(f Fact) {
		if who := f.signer(); who != nil {
			signers.Add(who)
		}
	})
	return ast.NewTerm(signers), err
}

// Provenance is the built-in assay.provenance(attestation): what provenance says, the certificate first: builders, workflows and sources by all the names they may have, source and ref.
func Provenance(attestation *ast.Term) (*ast.Term, error) {
	f, ok := of(attestation)
	if !ok {
		return nil, wanted.Withheld("an attestation of the input is wanted")
	}
	set := func(list []string) *ast.Term {
		s := ast.NewSetWithCapacity(len(list))
		for _, one := range list {
			s.Add(ast.StringTerm(one))
		}
		return ast.NewTerm(s)
	}
	return ast.ObjectTerm(ast.Item(keyBuilders, set(f.builders())), ast.Item(keyWorkflows, set(f.workflows())), ast.Item(keySources, set(f.sources())),
		ast.Item(keySource, ast.StringTerm(f.source())), ast.Item(keyRef, ast.StringTerm(f.ref()))), nil
}

func eachFact(t *ast.Term, f func(Fact)) error {
	one := func(t *ast.Term) error {
		fact, ok := of(t)
		if !ok {
			return wanted.Withheld("facts of the input are wanted")
		}
		f(fact)
		return nil
	}
	switch v := t.Value.(type) {
	case *ast.Array:
		return v.Iter(one)
	case ast.Set:
		return v.Iter(one)
	case *plan.Unread:
		if v.List() {
			return eachMember(t, one)
		}
	}
	return one(t)
}

// Newest is the built-in assay.newest(attestations): the list without what the same signer said earlier in the same type. What has no time is never left out.
func Newest(attestations *ast.Term) (*ast.Term, error) {
	var list []Fact
	if err := eachFact(attestations, func(f Fact) { list = append(list, f) }); err != nil {
		return nil, err
	}
	kept := newest(list)
	terms := make([]*ast.Term, len(kept))
	for i, f := range kept {
		terms[i] = f.term
	}
	return plan.NewList(terms), nil
}
