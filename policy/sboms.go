package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// SBOMPreference says whose SBOMs go before the registry's own, in some repositories. The first preference that covers a repository counts; where none does, nobody's do:
// a key that may sign is not for that reason trusted to say what an image contains.
type SBOMPreference struct {
	Repositories store.Globs
	Authorities  store.Globs // patterns of their names, the most preferred first; empty: nobody's
}

// The origins of SBOMs.
const (
	originAttested  = "attested"  // a statement that an authority signed
	originGenerated = "generated" // the registry's own
	originAttached  = "attached"  // anybody's
)

// sbomSource names one SBOM of an image: where it lies, and by whose word it counts.
type sbomSource struct {
	origin          string
	evidence, layer store.Digest // the manifest that carries it, if any, and the blob
	signer          string       // the authority that proved it
}

// String is one line; that of none is empty.
func (s sbomSource) String() string {
	if s.origin == "" {
		return ""
	}
	return strings.TrimRight(strings.Join([]string{s.origin, cmp.Or(string(s.evidence), "-"), string(s.layer), s.signer}, " "), " ")
}

func parseSource(line string) (s sbomSource) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) < 3 {
		return s
	}
	if s.origin, s.layer = parts[0], store.Digest(parts[2]); parts[1] != "-" {
		s.evidence = store.Digest(parts[1])
	}
	if len(parts) == 4 {
		s.signer = parts[3]
	}
	return s
}

// sbomCandidate is an SBOM with its place among the others of the image: the least speaks.
type sbomCandidate struct {
	sbomSource
	class, rank int  // of origins; of authorities within one
	inherited   bool // it is about an index above
	in          *contract.SBOMInput
}

func (c *sbomCandidate) compare(other *sbomCandidate) int {
	inherited := func(c *sbomCandidate) int {
		if c.inherited {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(c.class, other.class), cmp.Compare(c.rank, other.rank), cmp.Compare(inherited(c), inherited(other)))
}

// sboms are those of one image: the one that speaks, the best that somebody else declares and the registry's own.
type sboms struct {
	best, declared, generated *sbomCandidate
	preferred                 []sbomSource // those that go before the registry's own, whether or not they speak
	origins                   []string
	failed                    string
	drift                     *contract.DriftInput
}

// precedence is the place of an authority among those whose SBOMs go before the registry's own.
func (a *Admission) precedence(repo store.Name, authority string) (rank int, preferred bool) {
	for _, p := range a.o.Preferences {
		if !p.Repositories.Match(repo) {
			continue
		}
		i := slices.IndexFunc(p.Authorities, func(g store.Glob) bool { return g.Match(store.Name(authority)) })
		return max(i, 0), i >= 0
	}
	return 0, false
}

// preferring names the preferences: others than in the last run put every verdict in doubt.
func preferring(list []SBOMPreference) string {
	said := ""
	for _, p := range list {
		said += " " + join(p.Repositories) + "<" + join(p.Authorities)
	}
	return said
}

func join(globs store.Globs) string {
	var b strings.Builder
	for _, g := range globs {
		b.WriteString(string(g) + ",")
	}
	return b.String()
}

// sbomsOf finds all SBOMs of an image: what was proven or attached, what indexes above hold in BuildKit's form, and what the registry made.
func (a *Admission) sbomsOf(tx *store.Txn, s *subjectManifest, facts []verify.Fact, told []contract.AttestationInput) (*sboms, error) {
	all := &sboms{}
	for i := range facts {
		all.consider(a.declared(s.repo, &facts[i]))
	}
	for i := range told {
		if t := &told[i]; t.Found == verify.FoundIndex && t.Code == verify.CodeUnsigned && sbomPredicate(t.PredicateType) {
			all.consider(&sbomCandidate{sbomSource: sbomSource{origin: originAttached, evidence: t.Evidence, layer: t.Layer}, class: 3})
		}
	}
	if b := tx.SBOM(s.repo, s.rec.Digest); b != nil {
		r, err := decodeSBOM(b)
		if err != nil {
			return nil, store.Errorf(store.CodeInternal, "the SBOM record of %s is damaged; run assay check: %w", s.rec.Digest, err)
		}
		if all.failed = r.Failed; r.Failed == "" {
			in := r.input()
			all.consider(&sbomCandidate{sbomSource: sbomSource{origin: originGenerated, layer: in.Digest}, class: 1, in: in})
		}
	}
	return all, all.read(tx, store.Item{Repository: s.repo, Digest: s.rec.Digest})
}

// consider takes one in.
func (all *sboms) consider(c *sbomCandidate) {
	if c == nil {
		return
	}
	if c.in == nil {
		c.in = &contract.SBOMInput{Present: true, Origin: c.origin, Digest: c.evidence}
	}
	better := func(than *sbomCandidate) bool {
		if than == nil {
			return true
		}
		order := c.compare(than)
		return order < 0 || order == 0 && c.evidence == than.evidence // of one manifest the last: clients append
	}
	if better(all.best) {
		all.best = c
	}
	if c.class == 0 {
		all.preferred = append(all.preferred, c.sbomSource)
	}
	if c.origin == originGenerated {
		all.generated = c
	} else if better(all.declared) {
		all.declared = c
	}
	if !slices.Contains(all.origins, c.origin) {
		all.origins = append(all.origins, c.origin)
	}
}

// declared is the SBOM in a fact that is one; nil if it is none. What names another subject, or is not what it claims to be, is none.
func (a *Admission) declared(repo store.Name, f *verify.Fact) *sbomCandidate {
	if f.Authority == verify.ReservedAuthority || !sbomFact(f) {
		return nil
	}
	c := &sbomCandidate{sbomSource: sbomSource{origin: originAttached, evidence: f.Evidence, layer: f.Layer}, class: 3, inherited: f.InheritedFrom != ""}
	if !f.Verified || f.Scope == verify.AttestsVEX {
		switch f.Code {
		case verify.CodeDigestMismatch, verify.CodeMalformed, verify.CodeTooBig, verify.CodePayloadType, verify.CodeInternal:
			return nil
		}
		return c
	}
	c.origin, c.signer, c.in, c.class = originAttested, f.Authority, attestedSBOM(f), 2
	if rank, preferred := a.precedence(repo, f.Authority); preferred {
		c.class, c.rank = 0, rank
	}
	return c
}

// read adds what was read of the documents since.
func (all *sboms) read(tx *store.Txn, i store.Item) error {
	if d := all.declared; d != nil && (all.best == d || all.generated != nil) {
		r, err := readIngested(tx.Records, i)
		if err != nil || r == nil {
			return err
		}
		if r.Declared == d.String() && r.Summary != nil {
			r.describe(d.in)
		}
		if g := all.generated; g != nil && r.Drift != nil && r.Declared == d.String() && r.Found == g.String() {
			all.drift = r.Drift.input()
		}
	}
	return nil
}

// input is what policies are told; nil if there is nothing to tell.
func (all *sboms) input() *contract.SBOMInput {
	if all.best == nil && all.failed == "" {
		return nil
	}
	if all.best == nil {
		return &contract.SBOMInput{Failed: all.failed}
	}
	in := all.best.in
	in.Drift = all.drift
	for _, origin := range []string{originAttested, originGenerated, originAttached} {
		if slices.Contains(all.origins, origin) {
			in.Origins = append(in.Origins, origin)
		}
	}
	return in
}

// attestedSBOM is what a proven statement says of the contents before its document is read: see [verify.Statement.Summary].
func attestedSBOM(f *verify.Fact) *contract.SBOMInput {
	in := &contract.SBOMInput{Present: true, Origin: originAttested, Verified: true, Digest: f.Evidence}
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
	return f.Kind == verify.KindAttestation && sbomPredicate(f.PredicateType)
}

// sbomPredicate reports whether a predicate type is that of an SBOM: SPDX of any version (also with a version behind it), CycloneDX.
func sbomPredicate(t string) bool {
	return t == sbom.PredicateSPDX || strings.HasPrefix(t, sbom.PredicateSPDX+"/") || strings.HasPrefix(t, "https://cyclonedx.org/")
}

// sbomRecord is what the store keeps about a generated SBOM. Docs are blobs of the repository.
type sbomRecord struct {
	Failed   string                       `json:"failed,omitempty"`
	Summary  sbom.Summary                 `json:"summary"`
	Docs     map[sbom.Format]store.Digest `json:"docs,omitempty"`
	Attached []store.Digest               `json:"attached,omitempty"` // evidence manifests
	By       string                       `json:"by,omitempty"`       // the generator that tried last and failed
	Renewed  bool                         `json:"renewed,omitempty"`  // made anew and not attached yet
	Old      []store.Digest               `json:"old,omitempty"`      // evidence manifests that go once the new ones are there
	At       time.Time                    `json:"at"`

	made map[sbom.Format][]byte // Docs, while they are at hand
}

func (r *sbomRecord) input() *contract.SBOMInput {
	in := &contract.SBOMInput{Present: true, Origin: originGenerated, Verified: true, Format: "spdx-2.3", Generator: r.Summary.Generator, Created: r.Summary.Created, DiffIDs: r.Summary.DiffIDs,
		Packages: packagesOf(&r.Summary)}
	in.Digest = r.Docs[sbom.SPDX]
	if in.Digest == "" {
		in.Digest, in.Format = r.Docs[sbom.CycloneDX], "cyclonedx-1.6"
	}
	if r.Summary.Distro != "" {
		in.Distro = &contract.DistroInput{ID: r.Summary.Distro, Version: r.Summary.DistroVer}
	}
	return in
}

// maxLicensesTold is how many different licence expressions policies are told of. A document with more tells none, so that nothing hides among them.
const maxLicensesTold = 5000

func packagesOf(s *sbom.Summary) *contract.PackagesInput {
	if len(s.ByLicense) > maxLicensesTold || len(s.ByType) > maxLicensesTold {
		return &contract.PackagesInput{Count: s.Packages}
	}
	return &contract.PackagesInput{Count: s.Packages, ByType: s.ByType, ByLicense: s.ByLicense, Unlicensed: s.Unlicensed}
}
