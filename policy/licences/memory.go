package licences

import (
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Memory remembers what rules say of expressions and of the names in them: an estate has some hundred, and each image has dozens of them again. Safe for concurrent use; nil remembers nothing.
type Memory struct {
	mutex sync.Mutex
	rules []knownRules // asked for last, the latest last
}

const (
	longestRemembered = 128 // bytes of an expression
	mostRules         = 8   // of which verdicts are remembered
)

// knownRules are the rules that an object of these members came to. Parameters, and what a policy writes out, are the same terms in every evaluation.
type knownRules struct {
	members [4]*ast.Term
	rules   *ruleSet
}

// ruleKeys are the members that rules may have.
var ruleKeys = [4]*ast.Term{ast.StringTerm("allowed"), ast.StringTerm("denied"), ast.StringTerm("allowed_categories"), ast.StringTerm("denied_categories")}

// rulesOf reads rules.
func (l *Memory) rulesOf(t *ast.Term) (*ruleSet, error) {
	object, ok := t.Value.(ast.Object)
	if l == nil || !ok {
		return readRules(t)
	}
	var members [4]*ast.Term
	n := 0
	for i, key := range ruleKeys {
		if members[i] = object.Get(key); members[i] != nil {
			n++
		}
	}
	if n < object.Len() {
		return readRules(t)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, known := range l.rules {
		if known.members == members {
			return known.rules, nil
		}
	}
	r, err := readRules(t)
	if err != nil {
		return nil, err
	}
	r.verdicts = newPlaces[verdict]()
	if len(l.rules) == mostRules {
		l.rules = slices.Delete(l.rules, 0, 1)
	}
	l.rules = append(l.rules, knownRules{members, r})
	return r, nil
}
