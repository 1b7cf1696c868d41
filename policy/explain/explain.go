package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Limits of an answer: facts, manifests of a tree, and images of a tree whose vulnerabilities are told.
const (
	maxFacts    = 1000
	maxNodes    = 1000
	maxAssessed = 16
)

// Options are what an Explainer is made of.
type Options struct {
	Local    *store.Local
	Grounds  func() (*trust.Snapshot, *waiverkeep.Book) // in force now
	Borrowed func(s store.Snapshot, repo store.Name, d store.Digest) map[store.Digest]*proof.Known
	// Refresh decides again what of a reference is in doubt, so that the explanation is of now.
	Refresh  func(ctx context.Context, repo store.Name, ref store.Reference)
	Findings *findings.Reader
	Packages contract.Packages // that a trace may ask about; nil where nothing is indexed
	Pulls    *pulls.Counter
	Patience time.Duration // how long content may wait for evidence
	Clock    func() time.Time
}

// Explainer answers why something may, or may not, be pulled.
type Explainer struct{ o Options }

// New makes an Explainer.
func New(o Options) *Explainer { return &Explainer{o} }

func (x *Explainer) now() time.Time { return x.o.Clock().UTC() }

func (x *Explainer) trust() *trust.Snapshot {
	t, _ := x.o.Grounds()
	return t
}

// mayGet reports whether a caller could GET a manifest: only then may it be shown what its bytes say.
func (x *Explainer) mayGet(s store.Snapshot, p access.Principal, repo store.Name, rec *store.ManifestRecord) bool {
	return sight.Gets(s, x.trust(), x.now(), p, repo, rec)
}

// Explain says why a manifest may, or may not, be pulled, on which evidence, and what would change it. Whoever may read in the repository may
// ask; names of pushers are for writers.
func (x *Explainer) Explain(ctx context.Context, p access.Principal, repo store.Name, ref store.Reference) (*Explanation, error) {
	if err := p.MayRead(repo, sight.Unknown()); err != nil {
		return nil, err
	}
	x.o.Refresh(ctx, repo, ref)
	var e *Explanation
	err := x.o.Local.View(ctx, func(s store.Snapshot) error {
		d, tag, err := sight.Resolve(s, repo, ref)
		if err != nil {
			return err
		}
		rec, err := s.Manifest(repo, d)
		if err != nil {
			return err
		}
		if rec == nil || !sight.Knows(p, repo, rec) {
			return sight.Unknown()
		}
		if e, err = x.explain(s, p, repo, ref, rec, tag); err == nil && rec.Kind == store.KindImage && x.mayGet(s, p, repo, rec) {
			e.Findings = x.o.Findings.Explain(ctx, s, store.Item{Repository: repo, Digest: d})
		}
		return err
	})
	return e, err
}

func (x *Explainer) explain(s store.Snapshot, p access.Principal, repo store.Name, ref store.Reference, rec *store.ManifestRecord, tag *store.TagRecord) (*Explanation, error) {
	det, err := rec.Detail()
	if err != nil {
		return nil, err
	}
	t, waivers := x.o.Grounds()
	e := &Explanation{Repository: repo, Reference: ref.String(), Digest: rec.Digest, Kind: rec.Kind, State: sight.Standing(s, t, x.now(), repo, rec), Remedy: det.Remedy,
		FirstSeen: det.FirstSeen, DecidedAt: det.DecidedAt, Authorities: []string{}}
	e.Readable = e.State == store.StateAdmitted || e.State == store.StateEvidence
	e.Reason = explainReason(rec, det)
	if tag != nil && e.Readable && (tag.Visible != tag.Current || tag.Denied) {
		e.Readable, e.Reason = false, "the tag does not show it"
		if tag.Reason != "" {
			e.Reason += ": " + tag.Reason
		}
	}
	for _, au := range t.Covering(repo) {
		e.Authorities = append(e.Authorities, au.Name)
	}
	if p.Roles(repo).Has(access.RolesWriting) {
		e.Pushers, e.Pulls = det.Pushers, x.o.Pulls.Of(s.Records, store.Item{Repository: repo, Digest: rec.Digest})
	}
	if (rec.State == store.StateQuarantined || rec.State == store.StatePending) && !det.EverAdmitted {
		e.ExpiresAt = det.Clock.Add(x.o.Patience)
	}
	if tag != nil {
		e.Tag = &TagView{Name: ref.Tag, Current: tag.Current, Visible: tag.Visible, Reason: tag.Reason}
	}
	stored := s.Facts(repo, rec.Digest)
	e.EvidenceKept = len(stored)
	e.Waivers = waivers.Explain(repo, append([]store.Digest{rec.Digest, det.Alternate}, s.Parents(repo, rec.Digest)...), x.now())
	if e.Facts, err = explainFacts(t, proof.Subject(repo, rec), stored, x.o.Borrowed(s, repo, rec.Digest), x.now()); err != nil {
		return nil, err
	}
	if b := s.Decision(det.Decision); det.Decision != "" && b != nil {
		var r Record
		if err := json.Unmarshal(b, &r); err == nil {
			e.Decision = r.Result
			if ids := r.Result.WaiverIDs(false); len(ids) > 0 && e.Reason == satisfied {
				e.Reason = "policies deny it, and the waiver " + strings.Join(ids, ", ") + " excepts it"
			}
			if r.Input != nil && x.mayGet(s, p, repo, rec) {
				e.SBOM = r.Input.SBOM
			}
		}
	}
	return e, nil
}

// explainFacts are all facts about a manifest: every layer of its evidence under every authority that covers the repository, the newest evidence first, and what
// TUF targets say. A refused one names the authority that it was judged under. Beyond a page, what is refused is left out.
func explainFacts(t *trust.Snapshot, s verify.Subject, stored map[store.Digest][]byte, all map[store.Digest]*proof.Known, now time.Time) ([]verify.Fact, error) {
	for d, b := range stored {
		k, err := proof.Decode(d, b)
		if err != nil {
			return nil, err
		}
		all[d] = k
	}
	covering := t.Covering(s.Repository)
	facts, _ := t.PinFacts(s, now)
	for _, d := range proof.Newest(all) {
		facts = append(facts, all[d].Facts...)
		all[d].Each(covering, now, func(name string, under []verify.Fact) {
			for _, f := range under {
				f.Authority = name
				facts = append(facts, f)
			}
		})
	}
	if len(facts) > maxFacts {
		slices.SortStableFunc(facts, func(x, y verify.Fact) int { return rank(y) - rank(x) })
		facts = facts[:maxFacts]
	}
	return facts, nil
}

func rank(f verify.Fact) int {
	if f.Verified {
		return 1
	}
	return 0
}

// satisfied is why most of what is admitted is.
const satisfied = "every policy that covers it is satisfied"

func explainReason(rec *store.ManifestRecord, det *store.Detail) string {
	switch {
	case det.Reason != "":
		return det.Reason
	case rec.State == store.StateAdmitted:
		return satisfied
	case rec.State == store.StateEvidence:
		return "it is evidence about another manifest, readable by whoever may pull here"
	}
	return "it is " + string(rec.State)
}

// Decision returns a decision as it was made. Of what the caller could not GET, it shows what was decided and on which evidence, not what the bytes say.
// Errors: CodeNotFound.
func (x *Explainer) Decision(ctx context.Context, p access.Principal, id string) (*Record, error) {
	r, bytes, err := x.decision(ctx, p, id)
	if err != nil {
		return nil, err
	}
	if r.Input != nil && !bytes {
		in := r.Input
		in.Manifest, in.Index, in.Config, in.SBOM, in.Vulnerabilities, in.Subject.Platform = nil, nil, nil, nil, nil, nil
	}
	if r.Input != nil && !p.Roles(r.Repository).Has(access.RolesWriting) {
		r.Input.Subject.Pushers = nil
	}
	return r, nil
}

// decision is a decision as it is stored, and whether the caller could GET what it is about.
func (x *Explainer) decision(ctx context.Context, p access.Principal, id string) (_ *Record, bytes bool, _ error) {
	notFound := store.Errorf(store.CodeNotFound, "there is no decision %.40q here, or you may not read it", id)
	if len(id) > 64 {
		return nil, false, notFound
	}
	r := new(Record)
	err := x.o.Local.View(ctx, func(s store.Snapshot) error {
		b := s.Decision(id)
		if b == nil {
			return notFound
		}
		if err := json.Unmarshal(b, r); err != nil {
			return store.Errorf(store.CodeInternal, "the decision is damaged; run assay check: %w", err)
		}
		if p.MayRead(r.Repository, sight.Unknown()) != nil {
			return notFound
		}
		if err := x.hideReferrers(s, p, r); err != nil {
			return err
		}
		rec, err := s.Manifest(r.Repository, r.Digest)
		switch {
		case err != nil:
			return err
		case rec == nil: // forgotten: what remains is the administrators'
			bytes = p.Roles(r.Repository).Has(access.RoleAdmin)
		case sight.Knows(p, r.Repository, rec):
			bytes = x.mayGet(s, p, r.Repository, rec)
			return nil
		}
		if !bytes {
			return notFound
		}
		return nil
	})
	return r, bytes, err
}

// hideReferrers takes out of a decision the referrers that the caller could not GET, unless that is a writer there.
func (x *Explainer) hideReferrers(s store.Snapshot, p access.Principal, r *Record) error {
	if r.Input == nil || r.Input.Referrers == nil || p.Roles(r.Repository).Has(access.RolesWriting) {
		return nil
	}
	shown := &contract.ReferrersInput{List: []contract.ReferrerInput{}}
	for _, one := range r.Input.Referrers.List {
		rec, err := s.Manifest(r.Repository, one.Digest)
		if err != nil {
			return err
		}
		if rec == nil || !x.mayGet(s, p, r.Repository, rec) {
			continue
		}
		if shown.ByArtifactType == nil {
			shown.ByArtifactType = map[string]int{}
		}
		shown.List = append(shown.List, one)
		shown.ByArtifactType[one.ArtifactType]++
		shown.Count++
	}
	r.Input.Referrers = shown
	return nil
}

// Verify says what is known of one digest. Allowed is for a principal that holds only the role pull.
func (x *Explainer) Verify(ctx context.Context, p access.Principal, repo store.Name, ref store.Reference) (*VerifyReport, error) {
	e, err := x.Explain(ctx, p, repo, ref)
	if err != nil {
		return nil, err
	}
	facts := e.Facts
	if e.Decision != nil {
		if r, err := x.Decision(ctx, p, e.Decision.ID); err == nil && r.Input != nil {
			facts = append(facts, inheritedFacts(r.Input)...)
		}
	}
	if facts == nil {
		facts = []verify.Fact{}
	}
	r := &VerifyReport{Repository: repo, Digest: e.Digest, Allowed: e.Readable, State: e.State, Facts: facts}
	if !e.Readable {
		r.Reason = e.Reason
	}
	return r, nil
}

// inheritedFacts are the signatures that counted and stand on an index above.
func inheritedFacts(in *contract.Input) []verify.Fact {
	var facts []verify.Fact
	for _, s := range in.Signatures {
		if s.InheritedFrom != "" {
			facts = append(facts, verify.Fact{Evidence: s.Evidence, Found: s.Found, InheritedFrom: s.InheritedFrom, Kind: verify.KindSignature, Scheme: s.Scheme,
				Verified: s.Verified, Code: s.Code, Authority: s.Authority, KeyID: s.KeyID})
		}
	}
	return facts
}

// Tree shows a manifest with its children and its evidence, each with its state, as far as the caller may know of them.
func (x *Explainer) Tree(ctx context.Context, p access.Principal, repo store.Name, ref store.Reference) (*TreeNode, error) {
	if err := p.MayRead(repo, sight.Unknown()); err != nil {
		return nil, err
	}
	x.o.Refresh(ctx, repo, ref)
	var n *TreeNode
	err := x.o.Local.View(ctx, func(s store.Snapshot) error {
		d, _, err := sight.Resolve(s, repo, ref)
		if err != nil {
			return err
		}
		b := &treeBuilder{ctx: ctx, x: x, s: s, p: p, repo: repo, left: maxNodes, assess: maxAssessed}
		if n, err = b.node(d, 0); err == nil && n == nil {
			err = sight.Unknown()
		}
		return err
	})
	return n, err
}

type treeBuilder struct {
	ctx    context.Context
	x      *Explainer
	s      store.Snapshot
	p      access.Principal
	repo   store.Name
	left   int
	assess int // images whose vulnerabilities may still be told
}

func (b *treeBuilder) node(d store.Digest, depth int) (*TreeNode, error) {
	rec, err := b.s.Manifest(b.repo, d)
	if err != nil || rec == nil || b.left <= 0 || depth > proof.MaxDepth || !sight.Knows(b.p, b.repo, rec) {
		return nil, err
	}
	b.left--
	det, err := rec.Detail()
	if err != nil {
		return nil, err
	}
	n := &TreeNode{Digest: d, MediaType: rec.MediaType, ArtifactType: det.ArtifactType, Kind: rec.Kind, State: rec.State, Size: rec.Size}
	if rec.State != store.StateAdmitted && rec.State != store.StateEvidence {
		n.Reason = det.Reason
	}
	if !b.x.mayGet(b.s, b.p, b.repo, rec) {
		return n, b.evidence(n, d, depth)
	}
	if b.assess--; rec.Kind == store.KindImage && b.assess >= 0 {
		n.Findings = b.x.o.Findings.Explain(b.ctx, b.s, store.Item{Repository: b.repo, Digest: d})
	}
	if p, err := store.ParseManifest(rec.MediaType, b.s.Content(d)); err == nil {
		if err := b.children(n, p, depth); err != nil {
			return nil, err
		}
	}
	return n, b.evidence(n, d, depth)
}

func (b *treeBuilder) children(n *TreeNode, p *store.Parsed, depth int) error {
	for _, m := range p.Manifests {
		c, err := b.node(m.Digest, depth+1)
		if err != nil {
			return err
		}
		if c == nil {
			c = &TreeNode{Digest: m.Digest, MediaType: m.MediaType, Size: m.Size, Absent: true}
		}
		if m.Platform != nil {
			c.Platform = m.Platform.OS + "/" + m.Platform.Architecture
			if m.Platform.Variant != "" {
				c.Platform += "/" + m.Platform.Variant
			}
		}
		n.Children = append(n.Children, *c)
	}
	return nil
}

// evidence lists what refers to a manifest, as referrer or under a reserved tag.
func (b *treeBuilder) evidence(n *TreeNode, d store.Digest, depth int) error {
	stored := b.s.Facts(b.repo, d)
	var all []store.Digest
	for _, e := range b.s.Edges(b.repo, d, "", maxNodes) {
		all = append(all, e.Evidence)
	}
	for e := range stored {
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	slices.Sort(all)
	for _, e := range all {
		c, err := b.node(e, depth+1)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		var k proof.Known
		if v := stored[e]; v != nil && json.Unmarshal(v, &k) == nil {
			for _, f := range k.Told(b.x.trust().Covering(b.repo), b.x.now()) {
				c.Facts = append(c.Facts, factLine(f))
			}
		}
		n.Evidence = append(n.Evidence, *c)
	}
	return nil
}

// factLine is one fact for a person.
func factLine(f verify.Fact) string {
	what := string(f.Kind)
	if f.PredicateType != "" && f.PredicateType != verify.PredicateCosignSign {
		what += " " + f.PredicateType
	}
	if f.Verified {
		return fmt.Sprintf("%s verified, authority %s", what, f.Authority)
	}
	return fmt.Sprintf("%s not verified: %s (%s)", what, f.Message, f.Code)
}
