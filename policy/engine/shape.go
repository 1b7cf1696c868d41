package engine

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
)

// root is the package below which the entry points stand.
const root = "assay"

// The outputs of an entry point, in the order of the query.
const (
	outDeny        = "deny"
	outWarn        = "warn"
	outObligations = "obligations"
	outValidUntil  = "valid_until"
)

func outputNames() []string { return []string{outDeny, outWarn, outObligations, outValidUntil} }

func entryNames() []contract.Entry {
	return []contract.Entry{contract.EntryPush, contract.EntryAdmit, contract.EntryTag, contract.EntryK8s}
}

// shape finds the outputs of each entry point. A rule that looks like one and stands in the wrong place is a problem: were it ignored, the policy
// would allow what its author meant to deny.
func shape(name string, c *ast.Compiler) (map[contract.Entry][]string, []Problem) {
	found := map[contract.Entry][]string{}
	var problems []Problem
	for _, m := range c.Modules {
		for _, rule := range m.Rules {
			entry, output, complaint := classify(rule)
			if complaint != "" {
				problems = append(problems, problem(name, "%s", complaint).at(rule.Loc()))
			} else if output != "" && !slices.Contains(found[entry], output) {
				found[entry] = append(found[entry], output)
			}
		}
	}
	for _, outputs := range found {
		slices.SortFunc(outputs, func(a, b string) int { return slices.Index(outputNames(), a) - slices.Index(outputNames(), b) })
	}
	if len(found) == 0 && len(problems) == 0 {
		problems = append(problems, problem(name, "it defines none of data.assay.push, data.assay.admit, data.assay.tag and data.assay.k8s, so that it would decide nothing"))
	}
	return found, problems
}

// classify says which output a rule defines, if any, or what is wrong with it.
func classify(rule *ast.Rule) (entry contract.Entry, output, complaint string) {
	ref := rule.Ref()
	var names []string
	for _, term := range ref[1:] {
		s, ok := term.Value.(ast.String)
		if !ok {
			break
		}
		names = append(names, string(s))
	}
	last := names[len(names)-1]
	ground := len(names) == len(ref)-1
	looks := slices.Contains([]string{outDeny, outWarn, outObligations}, last)
	switch {
	case names[0] != root:
		if looks {
			return "", "", "deny, warn and obligations stand below an entry point, such as data.assay.admit: this one would be ignored"
		}
		return "", "", ""
	case len(names) == 1:
		return "", "", "a rule below data.assay has a constant name: an entry point is known before it is evaluated"
	case !slices.Contains(entryNames(), contract.Entry(names[1])):
		if looks {
			return "", "", "the entry points are data.assay.push, data.assay.admit, data.assay.tag and data.assay.k8s: this rule would be ignored"
		}
		return "", "", ""
	case len(names) != 3 || !ground || !slices.Contains(outputNames(), last) || len(rule.Head.Args) > 0:
		return "", "", "below data.assay." + names[1] + " stand the sets deny, warn, obligations and valid_until, and nothing else: helper rules stand outside"
	}
	return contract.Entry(names[1]), last, ""
}
