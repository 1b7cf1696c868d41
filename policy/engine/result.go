package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
)

// The codes that the engine itself gives. They are no answer of a policy: callers may treat a digest with one of them as pending.
const (
	CodeNone      = "policy.none"      // no policy matches the repository
	CodeError     = "policy.error"     // the evaluation ended in an error
	CodeMalformed = "policy.malformed" // the result is undefined or ill-typed
	CodeTimeout   = "policy.timeout"   // there was no answer in time
	CodePanic     = "policy.panic"     // the interpreter panicked
)

// Limits of a result. A reason as a whole stays below 4 KiB.
const (
	maxReasons  = 100  // and the first of each further code
	maxMessage  = 300  // characters of msg
	maxRemedy   = 1024 // bytes
	maxCode     = 64
	maxEvidence = 16
)

// outcome is what one policy said at one entry point.
type outcome struct {
	deny        []contract.Reason
	warn        []contract.Reason
	obligations []contract.Obligation
	validUntil  time.Time // the earliest time that the policy returned and that is still to come
}

// keyEvidence is the name under which a reason has its evidence.
var keyEvidence = ast.StringTerm("evidence")

// malformed says what is wrong with a result.
type malformed string

func (m malformed) Error() string { return string(m) }

// decode judges the outputs of an evaluation, term by term: whatever is not exactly a reason, an obligation or a time is malformed.
func decode(outputs []*ast.Term, names []string, now time.Time) (*outcome, error) {
	o := &outcome{}
	for i, name := range names {
		term := outputs[i]
		set, ok := term.Value.(ast.Set)
		if !ok {
			return nil, malformed(fmt.Sprintf("%s is a %s and not a set", name, ast.ValueName(term.Value)))
		}
		for _, member := range set.Slice() {
			if err := o.add(name, member, now); err != nil {
				return nil, err
			}
		}
	}
	return o, nil
}

func (o *outcome) add(name string, member *ast.Term, now time.Time) error {
	switch name {
	case outObligations:
		f, err := members(name, member, "type")
		if err != nil {
			return err
		}
		if !slices.Contains(contract.Obligations(), f[0]) {
			return malformed(fmt.Sprintf("there is no obligation %.40q; there is %s", f[0], strings.Join(contract.Obligations(), ", ")))
		}
		o.obligations = append(o.obligations, contract.Obligation{Type: f[0]})
		return nil
	case outValidUntil:
		s, ok := member.Value.(ast.String)
		if !ok {
			return malformed("a member of valid_until is a " + ast.ValueName(member.Value) + " and not a string")
		}
		t, err := time.Parse(time.RFC3339, string(s))
		if err != nil {
			return malformed("a member of valid_until is no time in RFC 3339")
		}
		// A time that has passed says "ask again": the least that a verdict can hold is until now.
		o.returns(t, now)
		return nil
	}
	reason, err := decodeReason(name, member)
	if err != nil {
		return err
	}
	if name == outDeny && !reason.EffectiveOn.After(now) {
		return o.denies(reason)
	}
	if name == outDeny {
		o.returns(reason.EffectiveOn, now)
	}
	if len(o.warn) < maxReasons {
		o.warn = append(o.warn, reason)
	}
	return nil
}

// denies keeps a denial. Of those beyond the limit the first of each code is enough: what else may take denials away, a waiver, goes by that.
func (o *outcome) denies(r contract.Reason) error {
	switch known := slices.ContainsFunc(o.deny, func(d contract.Reason) bool { return d.Code == r.Code }); {
	case len(o.deny) < maxReasons || !known && len(o.deny) < 2*maxReasons:
		o.deny = append(o.deny, r)
	case !known:
		return malformed(fmt.Sprintf("it denies with more than %d different codes", maxReasons))
	}
	return nil
}

// returns records a time that bounds the result, if it is still to come.
func (o *outcome) returns(t, now time.Time) {
	if t.After(now) {
		o.validUntil = earliest(o.validUntil, t)
	}
}

func decodeReason(name string, member *ast.Term) (contract.Reason, error) {
	r := contract.Reason{}
	evidence, err := evidenceOf(name, member)
	if err != nil {
		return r, err
	}
	f, err := members(name, member, "code", "msg", "remedy", "subject", "effective_on", "evidence")
	if err != nil {
		return r, err
	}
	switch code := f[0]; {
	case !validCode(code):
		return r, malformed(fmt.Sprintf("a member of %s has the code %.80q, which is none: lower-case words joined by dots", name, code))
	case strings.HasPrefix(code, "policy."):
		return r, malformed(fmt.Sprintf("a member of %s has the code %s, and policy.* is the engine's own", name, code))
	case f[1] == "":
		return r, malformed(fmt.Sprintf("a member of %s has no msg", name))
	}
	r.Code, r.Message, r.Remedy, r.Evidence = f[0], sentence.Clean(f[1], maxMessage), sentence.Clean(f[2], maxRemedy), evidence
	if s := f[3]; s != "" {
		if r.Subject, err = store.ParseDigest(s); err != nil {
			return r, malformed(fmt.Sprintf("a member of %s has a subject that is no digest", name))
		}
	}
	if s := f[4]; s != "" {
		if r.EffectiveOn, err = time.Parse(time.RFC3339, s); err != nil {
			return r, malformed(fmt.Sprintf("a member of %s has an effective_on that is no time in RFC 3339", name))
		}
	}
	return r, nil
}

// members reads an object of strings that has no other names than those known, in their order. The member evidence is read by evidenceOf.
func members(name string, member *ast.Term, known ...string) ([]string, error) {
	object, ok := member.Value.(ast.Object)
	if !ok {
		return nil, malformed(fmt.Sprintf("a member of %s is a %s and not an object", name, ast.ValueName(member.Value)))
	}
	found := make([]string, len(known))
	err := object.Iter(func(k, v *ast.Term) error {
		key, _ := k.Value.(ast.String)
		i := slices.Index(known, string(key))
		if i < 0 {
			return malformed(fmt.Sprintf("a member of %s has %.40q, which is not known", name, string(key)))
		}
		s, ok := v.Value.(ast.String)
		if !ok && known[i] != "evidence" {
			return malformed(fmt.Sprintf("%s of a member of %s is a %s and not a string", known[i], name, ast.ValueName(v.Value)))
		}
		found[i] = string(s)
		return nil
	})
	return found, err
}

// evidenceOf reads the array or set of digests that a reason may have.
func evidenceOf(name string, member *ast.Term) ([]store.Digest, error) {
	object, ok := member.Value.(ast.Object)
	if !ok {
		return nil, nil // members says what is wrong
	}
	term := object.Get(keyEvidence)
	if term == nil {
		return nil, nil
	}
	var terms []*ast.Term
	switch v := term.Value.(type) {
	case *ast.Array:
		v.Foreach(func(t *ast.Term) { terms = append(terms, t) })
	case ast.Set:
		terms = v.Slice()
	default:
		return nil, malformed(fmt.Sprintf("evidence of a member of %s is a %s and not an array of digests", name, ast.ValueName(v)))
	}
	digests := make([]store.Digest, 0, min(len(terms), maxEvidence))
	for _, t := range terms[:min(len(terms), maxEvidence)] {
		s, _ := t.Value.(ast.String)
		d, err := store.ParseDigest(string(s))
		if err != nil {
			return nil, malformed(fmt.Sprintf("evidence of a member of %s has a member that is no digest", name))
		}
		digests = append(digests, d)
	}
	return digests, nil
}

// validCode is [a-z0-9_]+(\.[a-z0-9_]+)+ of at most maxCode bytes.
func validCode(s string) bool {
	words := strings.Split(s, ".")
	if len(s) > maxCode || len(words) < 2 {
		return false
	}
	for _, w := range words {
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return false
		}
	}
	return true
}
