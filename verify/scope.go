package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
)

// What an authority may be trusted to attest: the values of Authority.Attests, beside types of predicates.
const (
	AttestsSignatures      = "signatures"      // plain signatures
	AttestsProvenance      = "provenance"      // SLSA provenance
	AttestsSBOM            = "sbom"            // SPDX, CycloneDX
	AttestsVEX             = "vex"             // OpenVEX, and the analyses in CycloneDX
	AttestsVulnerabilities = "vulnerabilities" // reports of scanners: cosign's record, in-toto's vulns
	AttestsOther           = "other"           // predicates of every other type: test results, summaries, waivers
)

// Attestable lists the names of what an authority may be trusted to attest.
func Attestable() []string {
	return []string{AttestsSignatures, AttestsProvenance, AttestsSBOM, AttestsVEX, AttestsVulnerabilities, AttestsOther}
}

// DefaultAttests is what an authority is trusted for where nobody said: all but what takes findings away. Whoever signs images is not thereby trusted to say that a vulnerability does not
// matter, or that none was found.
func DefaultAttests() []string {
	return []string{AttestsSignatures, AttestsProvenance, AttestsSBOM, AttestsOther}
}

// MaxAttests is the most entries of Authority.Attests.
const MaxAttests = 64

// VEXPredicate reports whether statements of a type are documents about exploitability: OpenVEX. CycloneDX documents may have some.
func VEXPredicate(t string) bool {
	const openVEX = "https://openvex.dev/ns"
	return t == openVEX || strings.HasPrefix(t, openVEX+"/") || strings.HasPrefix(t, openVEX+"@")
}

// ScanPredicate reports whether statements of a type are reports of scanners.
func ScanPredicate(t string) bool {
	return t == "https://cosign.sigstore.dev/attestation/vuln/v1" || t == "cosign.sigstore.dev/attestation/vuln/v1" || strings.HasPrefix(t, "https://in-toto.io/attestation/vulns/")
}

func cycloneDXPredicate(t string) bool { return strings.HasPrefix(t, "https://cyclonedx.org/") }

// spdxPredicate is the type of SPDX documents; a version may follow.
const spdxPredicate = "https://spdx.dev/Document"

// attested are the names of what a fact is, of which any suffices for its authority: documents of CycloneDX are two things.
func (f Fact) attested() []string {
	switch t := f.PredicateType; {
	case f.Kind == KindSignature:
		return []string{AttestsSignatures}
	case VEXPredicate(t):
		return []string{AttestsVEX}
	case ScanPredicate(t):
		return []string{AttestsVulnerabilities}
	case cycloneDXPredicate(t):
		return []string{AttestsSBOM, AttestsVEX}
	case t == spdxPredicate || strings.HasPrefix(t, spdxPredicate+"/"):
		return []string{AttestsSBOM}
	case strings.HasPrefix(t, "https://slsa.dev/provenance/"):
		return []string{AttestsProvenance}
	}
	return []string{AttestsOther}
}

// MayAttest lists what the authority is trusted for: Attests, or [DefaultAttests].
func (a Authority) MayAttest() []string {
	if len(a.Attests) == 0 {
		return DefaultAttests()
	}
	return a.Attests
}

// Scope is a fact as far as the authority is trusted for it: as it is, or refused with CodeOutOfScope. Where a type says several things, Fact.Scope names the one that counts.
func (a Authority) Scope(f Fact) Fact {
	if !f.Verified || f.Kind == KindDocument || f.Scheme == SchemeTUF {
		return f
	}
	names, may := f.attested(), a.MayAttest()
	if f.Kind != KindSignature && slices.ContainsFunc(may, func(p string) bool { return namesPredicate(p) && matchPredicate(p, f.PredicateType) }) {
		return f
	}
	trusted := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(may, name) })
	switch {
	case len(trusted) == len(names):
		return f
	case len(trusted) > 0:
		f.Scope = trusted[0]
		return f
	}
	f.Verified, f.Code, f.Summary = false, CodeOutOfScope, nil
	f.Message = fmt.Sprintf("Authority %s made this and is trusted for %s, not for %s; whoever trusts it with that adds it to attests of the authority (assay trust add --attests, for one added at run time).",
		a.Name, clipped(may), names[len(names)-1])
	return f
}

// clipped lists the first of some names.
func clipped(list []string) string {
	const most = 6
	shown := make([]string, 0, most)
	for _, s := range list[:min(len(list), most)] {
		shown = append(shown, cut(s, 80))
	}
	if len(list) > most {
		shown = append(shown, "more")
	}
	return strings.Join(shown, ", ")
}

// namesPredicate reports whether an entry is a type of predicates, or a pattern over them, and no name.
func namesPredicate(s string) bool { return strings.ContainsAny(s, "/:.") }

func matchPredicate(pattern, t string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == t
	}
	return store.MatchPath(pattern, t)
}

func (a Authority) checkAttests() error {
	if a.Kind == KindTUF && len(a.Attests) > 0 {
		return a.bad("of kind tuf attests nothing: it pins tags and supplies material; leave attests out")
	}
	if len(a.Attests) > MaxAttests {
		return a.bad("has %d entries in attests; at most %d are taken", len(a.Attests), MaxAttests)
	}
	for _, s := range a.Attests {
		switch {
		case slices.Contains(Attestable(), s):
		case !namesPredicate(s) || len(s) > MaxPattern:
			return a.bad("is to attest %q, which is nothing that is known; use %s, or a type of predicates such as https://in-toto.io/attestation/test-result/*", cut(s, 80), strings.Join(Attestable(), ", "))
		case store.MatchPath(s, unlikely) && strings.Contains(s, "*"):
			return a.bad("is to attest %q, which is everything; name what it is trusted for", cut(s, 80))
		}
	}
	return nil
}

// attestsRevision names what the authority is trusted for.
func (a Authority) attestsRevision() []string {
	list := slices.Clone(a.MayAttest())
	slices.Sort(list)
	return slices.Compact(list)
}

// Scoped is a verifier whose facts count as far as their authorities are trusted for what they attest.
func Scoped(v Verifier) Verifier { return scoped{v} }

type scoped struct{ Verifier }

// Verify is [Verifier].
func (s scoped) Verify(ctx context.Context, subject Subject, evidence []Evidence, authorities []Authority) (*Report, error) {
	r, err := s.Verifier.Verify(ctx, subject, evidence, authorities)
	if err != nil {
		return nil, err
	}
	by := make(map[string]Authority, len(authorities))
	for _, a := range authorities {
		by[a.Name] = a
	}
	proven, spoke := map[place]bool{}, map[place]string{}
	facts := make([]Fact, len(r.Facts))
	for i, f := range r.Facts {
		if a, ok := by[f.Authority]; ok {
			f = a.Scope(f)
		}
		facts[i] = f
		proven[place{f.Evidence, f.Layer}] = proven[place{f.Evidence, f.Layer}] || f.Verified
	}
	// Of one layer what is proven stands, or one refusal.
	out := &Report{Facts: facts[:0]}
	for i, f := range facts {
		p := place{f.Evidence, f.Layer}
		if r.Facts[i].Verified && !f.Verified {
			if first, told := spoke[p]; proven[p] || told && first != f.Authority {
				continue
			}
			spoke[p] = f.Authority
		}
		out.Facts = append(out.Facts, f)
	}
	return out, nil
}
