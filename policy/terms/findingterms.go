package terms

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
)

// findingTerms remembers what findings are as terms, when they come a second time: images of one base have the same ones, and an image has them again whenever it is judged. It has so many
// places of a few kilobytes at most, whatever reports say: a finding has two that it may be in, and puts out what is in the second. Safe for concurrent use.
type findingTerms struct {
	seed   maphash.Seed
	seen   [2 * findingPlaces]atomic.Uint32 // of findings that came once, a part of the hash
	places [findingPlaces]atomic.Pointer[findingTerm]
}

const (
	findingPlaces  = 2048
	longestFinding = 512 // bytes of the texts of one that is remembered, its statements included
	mostOfFinding  = 4   // aliases, and statements
)

// findingTerm is a finding, with texts of its own, and what it is.
type findingTerm struct {
	finding contract.VulnerabilityInput
	term    *ast.Term
}

func newFindingTerms() *findingTerms { return &findingTerms{seed: maphash.MakeSeed()} }

// of is the term of a finding.
func (m *findingTerms) of(t *maker, f *contract.VulnerabilityInput) *ast.Term {
	hash := maphash.String(m.seed, f.ID)*31 + maphash.String(m.seed, f.Package)
	first, second := &m.places[hash%findingPlaces], &m.places[hash>>32%findingPlaces]
	for _, place := range [...]*atomic.Pointer[findingTerm]{first, second} {
		if known := place.Load(); known != nil && known.is(f) {
			return known.term
		}
	}
	n, mark := 0, uint32(hash>>16)|1
	eachTextOf(f, func(s *string) { n += len(*s) })
	if len(f.Aliases) > mostOfFinding || len(f.Statements) > mostOfFinding || n > longestFinding || m.seen[hash%uint64(len(m.seen))].Swap(mark) != mark {
		return t.finding(f, t.said(&t.once, f.Statements))
	}
	kept := &findingTerm{finding: ownTexts(f, n)}
	own := maker{Encoder: t.Encoder, pairs: t.pairs[len(t.pairs):], room: make([]ast.Term, 8)} // nothing else of the input is kept
	kept.term = own.finding(&kept.finding, t.said(&t.kept, kept.finding.Statements))
	if !first.CompareAndSwap(nil, kept) {
		second.Store(kept)
	}
	return kept.term
}

func (k *findingTerm) is(f *contract.VulnerabilityInput) bool {
	g := &k.finding
	return f.ID == g.ID && f.Package == g.Package && f.Severity == g.Severity && f.FixedIn == g.FixedIn && f.Published == g.Published && f.VEX == g.VEX &&
		f.Exploited == g.Exploited && f.Uncertain == g.Uncertain && slices.Equal(f.Aliases, g.Aliases) && slices.Equal(f.Statements, g.Statements)
}

// eachTextOf calls do for the texts of a finding.
func eachTextOf(f *contract.VulnerabilityInput, do func(*string)) {
	for _, s := range [...]*string{&f.ID, &f.Severity, &f.Package, &f.FixedIn, &f.Published, &f.VEX} {
		do(s)
	}
	for i := range f.Aliases {
		do(&f.Aliases[i])
	}
	for i := range f.Statements {
		s := &f.Statements[i]
		for _, s := range [...]*string{&s.Authority, &s.Status, &s.Reason, (*string)(&s.Evidence), &s.At} {
			do(s)
		}
	}
}

// ownTexts is a finding whose n bytes of texts are no part of the document that it was read from.
func ownTexts(f *contract.VulnerabilityInput, n int) contract.VulnerabilityInput {
	own := *f
	own.Aliases, own.Statements = slices.Clone(f.Aliases), slices.Clone(f.Statements)
	var all strings.Builder
	all.Grow(n)
	eachTextOf(&own, func(s *string) { all.WriteString(*s) })
	texts := all.String()
	eachTextOf(&own, func(s *string) { *s, texts = texts[:len(*s)], texts[len(*s):] })
	return own
}

// lastSaid is what was said of a finding, and as a term.
type lastSaid struct {
	list []contract.VEXInput
	term *ast.Term
}

// said are statements. One document mostly says the same of many findings: then they are the same term. Those of findings that are kept are apart, for their texts are.
func (t *maker) said(last *lastSaid, list []contract.VEXInput) *ast.Term {
	if len(list) > 0 && (last.term == nil || !slices.Equal(last.list, list)) {
		own := maker{Encoder: t.Encoder}
		*last = lastSaid{slices.Clone(list), own.statements(list)}
	}
	return last.term
}
