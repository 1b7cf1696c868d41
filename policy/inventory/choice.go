package inventory

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// candidate is an SBOM with its place among the others of the image: the least speaks.
type candidate struct {
	Source
	class, rank int  // of origins; of authorities within one
	inherited   bool // it is about an index above
	in          *contract.SBOMInput
}

func (c *candidate) compare(other *candidate) int {
	inherited := func(c *candidate) int {
		if c.inherited {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(c.class, other.class), cmp.Compare(c.rank, other.rank), cmp.Compare(inherited(c), inherited(other)))
}

// Choice is among the SBOMs of one image: the one that speaks, the best that somebody else declares and the registry's own.
type Choice struct {
	best, declared, generated *candidate
	preferred                 []Source // those that go before the registry's own, whether or not they speak
	origins                   []string
	failed                    string
	drift                     *contract.DriftInput
}

// Choose finds all SBOMs of an image: what was proven or attached (facts, and what of it policies are told), what indexes above hold in BuildKit's form, and what the registry made.
func Choose(r store.Records, i store.Item, prefer Preferences, facts []verify.Fact, told []contract.AttestationInput) (*Choice, error) {
	all := &Choice{}
	for n := range facts {
		all.consider(declared(i.Repository, prefer, &facts[n]))
	}
	for n := range told {
		if t := &told[n]; t.Found == verify.FoundIndex && t.Code == verify.CodeUnsigned && SBOMPredicate(t.PredicateType) {
			all.consider(&candidate{Source: Source{Origin: OriginAttached, Evidence: t.Evidence, Layer: t.Layer}, class: 3})
		}
	}
	if b := r.SBOM(i.Repository, i.Digest); b != nil {
		own, err := DecodeGenerated(b)
		if err != nil {
			return nil, store.Errorf(store.CodeInternal, "the SBOM record of %s is damaged; run assay check: %w", i.Digest, err)
		}
		if all.failed = own.Failed; own.Failed == "" {
			in := own.Input()
			all.consider(&candidate{Source: Source{Origin: OriginGenerated, Layer: in.Digest}, class: 1, in: in})
		}
	}
	return all, all.read(r, i)
}

// consider takes one in.
func (all *Choice) consider(c *candidate) {
	if c == nil {
		return
	}
	if c.in == nil {
		c.in = &contract.SBOMInput{Present: true, Origin: c.Origin, Digest: c.Evidence}
	}
	better := func(than *candidate) bool {
		if than == nil {
			return true
		}
		order := c.compare(than)
		return order < 0 || order == 0 && c.Evidence == than.Evidence // of one manifest the last: clients append
	}
	if better(all.best) {
		all.best = c
	}
	if c.class == 0 {
		all.preferred = append(all.preferred, c.Source)
	}
	if c.Origin == OriginGenerated {
		all.generated = c
	} else if better(all.declared) {
		all.declared = c
	}
	if !slices.Contains(all.origins, c.Origin) {
		all.origins = append(all.origins, c.Origin)
	}
}

// declared is the SBOM in a fact that is one; nil if it is none. What names another subject, or is not what it claims to be, is none.
func declared(repo store.Name, prefer Preferences, f *verify.Fact) *candidate {
	if f.Authority == verify.ReservedAuthority || !sbomFact(f) {
		return nil
	}
	c := &candidate{Source: Source{Origin: OriginAttached, Evidence: f.Evidence, Layer: f.Layer}, class: 3, inherited: f.InheritedFrom != ""}
	if !f.Verified || f.Scope == verify.AttestsVEX {
		switch f.Code {
		case verify.CodeDigestMismatch, verify.CodeMalformed, verify.CodeTooBig, verify.CodePayloadType, verify.CodeInternal:
			return nil
		}
		return c
	}
	c.Origin, c.Signer, c.in, c.class = OriginAttested, f.Authority, attestedSBOM(f), 2
	if rank, preferred := prefer.precedence(repo, f.Authority); preferred {
		c.class, c.rank = 0, rank
	}
	return c
}

// read adds what was read of the documents since.
func (all *Choice) read(records store.Records, i store.Item) error {
	if d := all.declared; d != nil && (all.best == d || all.generated != nil) {
		r, err := Of(records, i)
		if err != nil || r == nil {
			return err
		}
		if r.Declared == d.String() && r.Summary != nil {
			r.describe(d.in)
		}
		if g := all.generated; g != nil && r.Drift != nil && r.Declared == d.String() && r.Found == g.String() {
			all.drift = r.Drift.Input()
		}
	}
	return nil
}

// Input is what policies are told; nil if there is nothing to tell.
func (all *Choice) Input() *contract.SBOMInput {
	if all.best == nil && all.failed == "" {
		return nil
	}
	if all.best == nil {
		return &contract.SBOMInput{Failed: all.failed}
	}
	in := all.best.in
	in.Drift = all.drift
	for _, origin := range []string{OriginAttested, OriginGenerated, OriginAttached} {
		if slices.Contains(all.origins, origin) {
			in.Origins = append(in.Origins, origin)
		}
	}
	return in
}

// attestedSBOM is what a proven statement says of the contents before its document is read: see [verify.Statement.Summary].
func attestedSBOM(f *verify.Fact) *contract.SBOMInput {
	in := &contract.SBOMInput{Present: true, Origin: OriginAttested, Verified: true, Digest: f.Evidence}
	in.Format, _ = f.Summary["format"].(string)
	in.Generator, _ = f.Summary["tool"].(string)
	if created, ok := f.Summary["created"].(string); ok {
		if t, err := time.Parse(time.RFC3339, created); err == nil {
			in.Created = t.UTC()
		}
	}
	switch n := f.Summary["packages"].(type) {
	case int64:
		in.Packages = &contract.PackagesInput{Count: int(n)}
	case float64: // as the store gives it back
		in.Packages = &contract.PackagesInput{Count: int(n)}
	}
	return in
}

// sbomFact reports whether a fact is about an SBOM.
func sbomFact(f *verify.Fact) bool {
	if f.Kind == verify.KindDocument {
		return f.MediaType == "" || referrers.SBOMType(f.MediaType) // facts of before that was told are of SBOMs
	}
	return f.Kind == verify.KindAttestation && SBOMPredicate(f.PredicateType)
}

// SBOMPredicate reports whether a predicate type is that of an SBOM: SPDX of any version (also with a version behind it), CycloneDX.
func SBOMPredicate(t string) bool {
	return t == sbom.PredicateSPDX || strings.HasPrefix(t, sbom.PredicateSPDX+"/") || strings.HasPrefix(t, "https://cyclonedx.org/")
}

// Vouches reports whether an inventory of the index is from an SBOM that speaks, or that a better one is about to take the place of.
func (all *Choice) Vouches(o index.Origin, unsigned bool) bool {
	if o.Kind == OriginGenerated {
		return all.generated != nil
	}
	from := func(s Source) bool {
		return s.Evidence == o.Evidence && s.Layer == o.Document && s.Signer == o.Signer
	}
	best := all.best
	return best != nil && from(best.Source) && (unsigned || best.Origin != OriginAttached) || slices.ContainsFunc(all.preferred, from)
}
