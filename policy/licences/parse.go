package licences

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/assay-registry/assay/sbom"
	"github.com/open-policy-agent/opa/v1/ast"
)

// Limits of a licence expression.
const (
	maxExpression   = 2048 // bytes
	maxAlternatives = 64   // that an expression offers
	maxTogether     = 32   // licences of one alternative
	maxNesting      = 32   // parentheses
)

// Category is the built-in assay.licence.category(id): permissive, weak, copyleft, network, restricted or unknown.
func Category(id *ast.Term) (*ast.Term, error) {
	return ast.StringTerm(sbom.LicenseCategory(terms.Text(id))), nil
}

// Parse is the built-in assay.licence.parse(expression): the alternatives that an SPDX expression offers, each a list of licences that hold together.
func Parse(expression *ast.Term) (*ast.Term, error) {
	alternatives, err := parse(terms.Text(expression))
	if err != nil {
		return nil, err
	}
	all := make([]*ast.Term, len(alternatives))
	for i, together := range alternatives {
		ids := make([]*ast.Term, len(together))
		for j, id := range together {
			ids[j] = ast.StringTerm(id)
		}
		all[i] = ast.ArrayTerm(ids...)
	}
	return ast.ArrayTerm(all...), nil
}

// separators stand between the words of an expression.
const separators = " ()\t\n"

// parse reads an expression (SPDX specification 2.3, annex D): AND binds stronger than OR, WITH stronger than both.
func parse(expression string) ([][]string, error) {
	if len(expression) > maxExpression {
		return nil, wanted.Withheld(fmt.Sprintf("a licence expression has at most %d bytes", maxExpression))
	}
	if !strings.ContainsAny(expression, separators) && expression != "" { // most are one name
		p := &parser{words: []string{expression}}
		return p.either(0)
	}
	if strings.ContainsAny(expression, "()") {
		expression = strings.ReplaceAll(strings.ReplaceAll(expression, "(", " ( "), ")", " ) ")
	}
	p := &parser{words: strings.Fields(expression)}
	alternatives, err := p.either(0)
	if err == nil && len(p.words) > 0 {
		err = wanted.Withheld(fmt.Sprintf("the licence expression has %.40q where AND, OR or its end is wanted", p.words[0]))
	}
	return alternatives, err
}

type parser struct{ words []string }

// next takes the next word if it is this one, in whatever capitals.
func (p *parser) next(word string) bool {
	if len(p.words) == 0 || !strings.EqualFold(p.words[0], word) {
		return false
	}
	p.words = p.words[1:]
	return true
}

func (p *parser) either(depth int) ([][]string, error) {
	all, err := p.both(depth)
	for err == nil && p.next("OR") {
		var more [][]string
		more, err = p.both(depth)
		if all = append(all, more...); err == nil && len(all) > maxAlternatives {
			return nil, wanted.Withheld(fmt.Sprintf("a licence expression offers at most %d alternatives", maxAlternatives))
		}
	}
	return all, err
}

func (p *parser) both(depth int) ([][]string, error) {
	all, err := p.one(depth)
	for err == nil && p.next("AND") {
		var more, product [][]string
		if more, err = p.one(depth); err != nil {
			break
		}
		if len(all)*len(more) > maxAlternatives {
			return nil, wanted.Withheld(fmt.Sprintf("a licence expression offers at most %d alternatives", maxAlternatives))
		}
		for _, x := range all {
			for _, y := range more {
				if len(x)+len(y) > maxTogether {
					return nil, wanted.Withheld(fmt.Sprintf("a licence expression joins at most %d licences", maxTogether))
				}
				product = append(product, slices.Concat(x, y))
			}
		}
		all = product
	}
	return all, err
}

func (p *parser) one(depth int) ([][]string, error) {
	if p.next("(") {
		if depth >= maxNesting {
			return nil, wanted.Withheld(fmt.Sprintf("a licence expression nests at most %d deep", maxNesting))
		}
		all, err := p.either(depth + 1)
		if err == nil && !p.next(")") {
			err = wanted.Withheld("the licence expression lacks a closing parenthesis")
		}
		return all, err
	}
	id, err := p.word()
	if err == nil && p.next("WITH") {
		var exception string
		exception, err = p.word()
		id += " WITH " + exception
	}
	return [][]string{{id}}, err
}

// operator reports whether a word is no licence.
func operator(word string) bool {
	for _, o := range [...]string{"AND", "OR", "WITH", "(", ")"} {
		if strings.EqualFold(o, word) {
			return true
		}
	}
	return false
}

func (p *parser) word() (string, error) {
	if len(p.words) == 0 || operator(p.words[0]) {
		return "", wanted.Withheld("the licence expression lacks a licence where one is wanted")
	}
	word := p.words[0]
	p.words = p.words[1:]
	return word, nil
}
