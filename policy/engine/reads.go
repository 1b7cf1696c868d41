package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
)

// Reads is what an entry point reads, found without running it. It decides what of the input is built for it, and what makes its verdict old.
type Reads struct {
	Fields []string `json:"fields"` // members of the input, ordered: signatures, subject, ...
	Clock  bool     `json:"clock"`  // it can reach time.now_ns

	Predicates bool `json:"predicates,omitempty"` // it can reach assay.predicate, and so reads attestations
	Packages   bool `json:"packages,omitempty"`   // it can reach assay.packages, and so reads the SBOM
	History    bool `json:"history,omitempty"`    // it reads input.tags.history
	Config     bool `json:"config,omitempty"`     // it reads what the image config says: input.config, or the platform of input.subject
	Manifest   bool `json:"manifest,omitempty"`   // it reads what the manifest's bytes say, or the config's: input.manifest, input.index, a type in input.subject
}

// Has reports whether a member of the input is read.
func (r Reads) Has(field string) bool { return slices.Contains(r.Fields, field) }

// forbidden lists what an entry point may not read, each with its reason. One verdict holds for every reader of a digest, so admit may not know
// who asks, how, or by which tag; a tag's verdict outlives the push that moved it; and a push is judged before any evidence can exist. What a cluster asks is
// answered anew each time, from everything.
func forbidden(e contract.Entry) map[string]string {
	switch e {
	case contract.EntryAdmit:
		const why = "the verdict on a digest holds for everyone who asks, however they ask; use the entry point push or tag"
		const pinned = "it is about one tag, and the verdict holds under any; use the entry point tag, or signatures of scheme tuf"
		return map[string]string{"actor": why, "request": why, "tags": why, "k8s": "the verdict on a digest holds for everyone who asks, however they ask; use the entry point k8s", "subject.tag": why, "subject.reference": why, "tuf": pinned}
	case contract.EntryTag:
		const why = "the verdict on a tag is taken again long after the push, by nobody; use the entry point push"
		return map[string]string{"actor": why, "request": why, "k8s": why}
	case contract.EntryK8s:
		return nil
	default:
		const why = "an image is signed and described after it was pushed; use the entry point admit"
		return map[string]string{"signatures": why, "attestations": why, "sbom": why, "vulnerabilities": why, "referrers": why, "tuf": why, "k8s": why}
	}
}

// analysis walks everything that an entry point can reach.
type analysis struct {
	policy   string
	compiler *ast.Compiler
	entry    contract.Entry
	banned   map[string]string
	fields   map[string]bool
	clock    bool
	opens    bool
	asks     bool
	config   bool
	manifest bool
	history  bool
	seen     map[*ast.Rule]bool
	queue    []*ast.Rule
	problems []Problem
}

// analyse finds what an entry point reads. It is simpler and stricter than OPA's dependencies.Base: the input may be reached only by references
// whose first name is a constant, so that no alias has to be followed, and over-approximates: a test holds that it finds all that Base finds.
func analyse(name string, c *ast.Compiler, e contract.Entry) (Reads, []Problem) {
	a := &analysis{policy: name, compiler: c, entry: e, banned: forbidden(e), fields: map[string]bool{}, seen: map[*ast.Rule]bool{}}
	a.enqueue(c.GetRulesWithPrefix(entryRef(e)))
	for len(a.queue) > 0 {
		rule := a.queue[0]
		a.queue = a.queue[1:]
		a.rule(rule)
	}
	return Reads{Fields: slices.Sorted(maps.Keys(a.fields)), Clock: a.clock, Predicates: a.opens, Packages: a.asks, Config: a.config, Manifest: a.config || a.manifest, History: a.history}, a.problems
}

func entryRef(e contract.Entry) ast.Ref {
	return ast.Ref{ast.DefaultRootDocument, ast.StringTerm(root), ast.StringTerm(string(e))}
}

func (a *analysis) enqueue(rules []*ast.Rule) {
	for _, r := range rules {
		if !a.seen[r] {
			a.seen[r] = true
			a.queue = append(a.queue, r)
		}
	}
}

func (a *analysis) rule(rule *ast.Rule) {
	ast.WalkRefs(rule, func(ref ast.Ref) bool {
		loc := ref[0].Location
		if loc == nil {
			loc = rule.Loc()
		}
		switch {
		case ref[0].Equal(ast.InputRootDocument):
			a.input(rule, ref, loc)
		case ref[0].Equal(ast.DefaultRootDocument):
			rules := a.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{})
			if len(rules) == 0 {
				a.complain(rule, loc, "reads %s, which nothing defines: it would be undefined, and a denial that needs it would never come", ref)
			}
			a.enqueue(rules)
		case ref.String() == clock:
			a.clock = true
		case ref.String() == predicateName:
			a.opens = true
			a.input(rule, ast.Ref{ast.InputRootDocument, ast.StringTerm("attestations")}, loc)
		case ref.String() == packagesName:
			a.asks = true
			a.input(rule, ast.Ref{ast.InputRootDocument, ast.StringTerm("sbom")}, loc)
		}
		return false
	})
}

// input judges one reference into the input.
func (a *analysis) input(rule *ast.Rule, ref ast.Ref, loc *ast.Location) {
	field, ok := constant(ref, 1)
	if !ok {
		a.complain(rule, loc, "reads %s, and which part of the input that is cannot be known before it runs; name the member, as in input.subject", ref)
		return
	}
	a.fields[field] = true
	member, named := constant(ref, 2)
	a.config = a.config || field == "config" || field == "subject" && (!named || member == "platform")
	a.manifest = a.manifest || field == "manifest" || field == "index" || field == "subject" && (!named || member == "media_type" || member == "artifact_type")
	a.history = a.history || field == "tags" && (!named || member == "history")
	if why, ok := a.banned[field]; ok {
		a.complain(rule, loc, "reads input.%s, which the entry point %s may not: %s", field, a.entry, why)
		return
	}
	if !a.partly(field) {
		return
	}
	if !named {
		a.complain(rule, loc, "reads %s, and which part of input.%s that is cannot be known before it runs; name the member", ref, field)
	} else if why, ok := a.banned[field+"."+member]; ok {
		a.complain(rule, loc, "reads input.%s.%s, which the entry point %s may not: %s", field, member, a.entry, why)
	}
}

// partly reports whether some members of a field are banned.
func (a *analysis) partly(field string) bool {
	for name := range a.banned {
		if strings.HasPrefix(name, field+".") {
			return true
		}
	}
	return false
}

func constant(ref ast.Ref, i int) (string, bool) {
	if len(ref) <= i {
		return "", false
	}
	s, ok := ref[i].Value.(ast.String)
	return string(s), ok
}

func (a *analysis) complain(rule *ast.Rule, loc *ast.Location, format string, args ...any) {
	p := problem(a.policy, "the rule %s "+format, append([]any{ruleName(rule)}, args...)...).at(loc)
	if !slices.Contains(a.problems, p) {
		a.problems = append(a.problems, p)
	}
}

func ruleName(r *ast.Rule) string {
	return strings.TrimPrefix(fmt.Sprint(r.Ref().GroundPrefix()), "data.")
}
