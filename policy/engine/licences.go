package engine

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/sbom"
)

// licence is one licence of an expression, as rules are compared with it.
type licence struct {
	upper    string // its name, in capitals
	category string
}

// licences remembers what expressions come to, and what rules say of them: an estate has some hundred, and each image has dozens of them again. It takes a kilobyte for each at most, whatever an
// SBOM says. Safe for concurrent use; nil remembers nothing.
type licences struct {
	seed     maphash.Seed
	readings places[[][]licence]

	mutex sync.Mutex
	rules []knownRules // asked for last, the latest last
}

const (
	longestRemembered = 128 // bytes of an expression
	mostRemembered    = 16  // licences of its alternatives together
	mostRules         = 8   // of which verdicts are remembered
)

// knownRules are the rules that an object of these members came to. Parameters, and what a policy writes out, are the same terms in every evaluation.
type knownRules struct {
	members [4]*ast.Term
	rules   *licenceRules
}

// ruleKeys are the members that rules may have.
var ruleKeys = [4]*ast.Term{ast.StringTerm("allowed"), ast.StringTerm("denied"), ast.StringTerm("allowed_categories"), ast.StringTerm("denied_categories")}

func newLicences() *licences { return &licences{seed: maphash.MakeSeed()} }

// rulesOf reads rules.
func (l *licences) rulesOf(t *ast.Term) (*licenceRules, error) {
	object, ok := t.Value.(ast.Object)
	if l == nil || !ok {
		return readLicenceRules(t)
	}
	var members [4]*ast.Term
	n := 0
	for i, key := range ruleKeys {
		if members[i] = object.Get(key); members[i] != nil {
			n++
		}
	}
	if n < object.Len() {
		return readLicenceRules(t)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, known := range l.rules {
		if known.members == members {
			return known.rules, nil
		}
	}
	r, err := readLicenceRules(t)
	if err != nil {
		return nil, err
	}
	r.verdicts = &places[licenceVerdict]{}
	if len(l.rules) == mostRules {
		l.rules = slices.Delete(l.rules, 0, 1)
	}
	l.rules = append(l.rules, knownRules{members, r})
	return r, nil
}

// read is what an expression comes to: alternatives of licences that hold together.
func (l *licences) read(expression string) [][]licence {
	if l == nil || len(expression) > longestRemembered {
		return readLicences(expression)
	}
	return l.readings.of(l.seed, expression, func(expression string) ([][]licence, bool) {
		r, n := readLicences(expression), 0
		for _, together := range r {
			n += len(together)
		}
		return r, n <= mostRemembered
	})
}

// readLicences reads an expression. What is none, or offers too much to be counted out, is taken for all that it names, or for one name.
func readLicences(expression string) [][]licence {
	names := [][]string{{expression}}
	if strings.ContainsAny(expression, licenceSeparators) { // else it is one name, whatever it is
		var err error
		if names, err = parseLicence(expression); err != nil {
			names = [][]string{sbom.Identifiers(expression)}
		}
		if len(names[0]) == 0 {
			names[0] = []string{expression}
		}
	}
	alternatives := make([][]licence, len(names))
	for i, together := range names {
		alternatives[i] = make([]licence, len(together))
		for j, id := range together {
			alternatives[i][j] = licence{strings.ToUpper(id), sbom.LicenseCategory(id)}
		}
	}
	return alternatives
}
