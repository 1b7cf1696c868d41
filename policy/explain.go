package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// mayExplain: whoever may read in a repository may know why.
func (a *Admission) mayExplain(p access.Principal, repo store.Name) error {
	v := &view{a: a, p: p}
	return v.p.MayRead(repo, sight.Unknown())
}

// Explain says why a manifest may, or may not, be pulled, on which evidence, and what would change it. Whoever may read in the repository may
// ask; names of pushers are for writers.
func (a *Admission) Explain(ctx context.Context, p access.Principal, repo store.Name, ref store.Reference) (*Explanation, error) {
	if err := a.mayExplain(p, repo); err != nil {
		return nil, err
	}
	a.refresh(ctx, repo, ref)
	var e *Explanation
	err := a.local.View(ctx, func(s store.Snapshot) error {
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
		if e, err = a.explain(s, p, repo, ref, rec, tag); err == nil && a.mayGet(s, p, repo, rec) {
			e.Findings = a.explainFindings(ctx, s, store.Item{Repository: repo, Digest: d}, rec.Kind)
		}
		return err
	})
	return e, err
}

// mayGet reports whether a caller could GET a manifest: only then may it be shown what its bytes say.
func (a *Admission) mayGet(s store.Snapshot, p access.Principal, repo store.Name, rec *store.ManifestRecord) bool {
	return sight.MayGet(p, repo, rec, sight.Standing(s, a.Trust(), a.now(), repo, rec))
}

// refresh decides again what is in doubt, so that the explanation is of now. A failure shows in the explanation itself.
func (a *Admission) refresh(ctx context.Context, repo store.Name, ref store.Reference) {
	settled, err := a.read(ctx, func(s store.Snapshot, t *grounds) ([]store.Item, error) {
		d, _, err := sight.Resolve(s, repo, ref)
		i := store.Item{Repository: repo, Digest: d}
		if err != nil || !t.Doubtful(s.Records, a.now(), i, s.Verdict(repo, d)) {
			return nil, err
		}
		return []store.Item{i}, nil
	})
	if !settled && ctx.Err() == nil {
		a.log.Warn("a verdict could not be renewed", "repository", repo, "reference", ref.String(), "error", err)
	}
}

func (a *Admission) explain(s store.Snapshot, p access.Principal, repo store.Name, ref store.Reference, rec *store.ManifestRecord, tag *store.TagRecord) (*Explanation, error) {
	det, err := rec.Detail()
	if err != nil {
		return nil, err
	}
	t := a.grounds.Load()
	e := &Explanation{Repository: repo, Reference: ref.String(), Digest: rec.Digest, Kind: rec.Kind, State: sight.Standing(s, t.Snapshot, a.now(), repo, rec), Remedy: det.Remedy,
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
		e.Pushers, e.Pulls = det.Pushers, a.pulls.Of(s.Records, store.Item{Repository: repo, Digest: rec.Digest})
	}
	if (rec.State == store.StateQuarantined || rec.State == store.StatePending) && !det.EverAdmitted {
		e.ExpiresAt = det.Clock.Add(a.o.QuarantineMax)
	}
	if tag != nil {
		e.Tag = &TagView{Name: ref.Tag, Current: tag.Current, Visible: tag.Visible, Reason: tag.Reason}
	}
	stored := s.Facts(repo, rec.Digest)
	e.EvidenceKept = len(stored)
	e.Waivers = t.waivers.Explain(repo, append([]store.Digest{rec.Digest, det.Alternate}, s.Parents(repo, rec.Digest)...), a.now())
	if e.Facts, err = explainFacts(t, proof.Subject(repo, rec), stored, a.borrowed(s, repo, rec.Digest), a.now()); err != nil {
		return nil, err
	}
	if b := s.Decision(det.Decision); det.Decision != "" && b != nil {
		var r DecisionRecord
		if err := json.Unmarshal(b, &r); err == nil {
			e.Decision = r.Result
			if ids := r.Result.WaiverIDs(false); len(ids) > 0 && e.Reason == satisfied {
				e.Reason = "policies deny it, and the waiver " + strings.Join(ids, ", ") + " excepts it"
			}
			if r.Input != nil && a.mayGet(s, p, repo, rec) {
				e.SBOM = r.Input.SBOM
			}
		}
	}
	return e, nil
}

// explainFacts are all facts about a manifest: every layer of its evidence under every authority that covers the repository, the newest evidence first, and what
// TUF targets say. A refused one names the authority that it was judged under. Beyond a page, what is refused is left out.
func explainFacts(t *grounds, s verify.Subject, stored map[store.Digest][]byte, all map[store.Digest]*proof.Known, now time.Time) ([]verify.Fact, error) {
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
	if len(facts) > maxPage {
		slices.SortStableFunc(facts, func(x, y verify.Fact) int { return rank(y) - rank(x) })
		facts = facts[:maxPage]
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
func (a *Admission) Decision(ctx context.Context, p access.Principal, id string) (*DecisionRecord, error) {
	r, bytes, err := a.decision(ctx, p, id)
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
func (a *Admission) decision(ctx context.Context, p access.Principal, id string) (_ *DecisionRecord, bytes bool, _ error) {
	notFound := store.Errorf(store.CodeNotFound, "there is no decision %.40q here, or you may not read it", id)
	if len(id) > 64 {
		return nil, false, notFound
	}
	r := new(DecisionRecord)
	err := a.local.View(ctx, func(s store.Snapshot) error {
		b := s.Decision(id)
		if b == nil {
			return notFound
		}
		if err := json.Unmarshal(b, r); err != nil {
			return store.Errorf(store.CodeInternal, "the decision is damaged; run assay check: %w", err)
		}
		if a.mayExplain(p, r.Repository) != nil {
			return notFound
		}
		if err := a.hideReferrers(s, p, r); err != nil {
			return err
		}
		rec, err := s.Manifest(r.Repository, r.Digest)
		switch {
		case err != nil:
			return err
		case rec == nil: // forgotten: what remains is the administrators'
			bytes = p.Roles(r.Repository).Has(access.RoleAdmin)
		case sight.Knows(p, r.Repository, rec):
			bytes = a.mayGet(s, p, r.Repository, rec)
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
func (a *Admission) hideReferrers(s store.Snapshot, p access.Principal, r *DecisionRecord) error {
	if r.Input == nil || r.Input.Referrers == nil || p.Roles(r.Repository).Has(access.RolesWriting) {
		return nil
	}
	shown := &contract.ReferrersInput{List: []contract.ReferrerInput{}}
	for _, one := range r.Input.Referrers.List {
		rec, err := s.Manifest(r.Repository, one.Digest)
		if err != nil {
			return err
		}
		if rec == nil || !a.mayGet(s, p, r.Repository, rec) {
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
func (a *Admission) Verify(ctx context.Context, p access.Principal, repo store.Name, ref store.Reference) (*VerifyReport, error) {
	e, err := a.Explain(ctx, p, repo, ref)
	if err != nil {
		return nil, err
	}
	facts := e.Facts
	if e.Decision != nil {
		if r, err := a.Decision(ctx, p, e.Decision.ID); err == nil && r.Input != nil {
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
func (a *Admission) Tree(ctx context.Context, p access.Principal, repo store.Name, ref store.Reference) (*TreeNode, error) {
	if err := a.mayExplain(p, repo); err != nil {
		return nil, err
	}
	a.refresh(ctx, repo, ref)
	var n *TreeNode
	err := a.local.View(ctx, func(s store.Snapshot) error {
		d, _, err := sight.Resolve(s, repo, ref)
		if err != nil {
			return err
		}
		b := &treeBuilder{ctx: ctx, a: a, s: s, p: p, repo: repo, left: maxPage, assess: maxAssessed}
		if n, err = b.node(d, 0); err == nil && n == nil {
			err = sight.Unknown()
		}
		return err
	})
	return n, err
}

type treeBuilder struct {
	ctx    context.Context
	a      *Admission
	s      store.Snapshot
	p      access.Principal
	repo   store.Name
	left   int
	assess int // images whose vulnerabilities may still be told
}

func (b *treeBuilder) node(d store.Digest, depth int) (*TreeNode, error) {
	rec, err := b.s.Manifest(b.repo, d)
	if err != nil || rec == nil || b.left <= 0 || depth > maxDepth || !sight.Knows(b.p, b.repo, rec) {
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
	if !b.a.mayGet(b.s, b.p, b.repo, rec) {
		return n, b.evidence(n, d, depth)
	}
	if b.assess--; rec.Kind == store.KindImage && b.assess >= 0 {
		n.Findings = b.a.explainFindings(b.ctx, b.s, store.Item{Repository: b.repo, Digest: d}, rec.Kind)
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
	for _, e := range b.s.Edges(b.repo, d, "", maxPage) {
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
			for _, f := range k.Told(b.a.grounds.Load().Covering(b.repo), b.a.now()) {
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
