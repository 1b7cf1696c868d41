package policy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/parsed"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// verdict is what was found out about (repository, digest), before it is written.
type verdict struct {
	state      store.State
	code       string
	reason     string
	remedy     string
	warnings   []string
	validUntil time.Time
	revision   string // of the evidence that was judged
	input      *contract.Input
	decision   *contract.Decision
	sboms      *inventory.Choice // of the image; nil where nobody looked
}

// subjectManifest is a manifest with everything about it that a judgement reads.
type subjectManifest struct {
	repo   store.Name
	rec    *store.ManifestRecord
	det    *store.Detail
	parsed *store.Parsed // nil where nobody asks for it

	all     *proof.Standing // what it is judged by, once that was looked up
	parents []store.Digest
}

func (a *Admission) subject(tx *store.Txn, i store.Item) (*subjectManifest, error) {
	s, err := a.recorded(tx, i)
	if err == nil && s != nil {
		err = a.open(tx, s)
	}
	return s, err
}

// recorded is subject without what the manifest's bytes say.
func (a *Admission) recorded(tx *store.Txn, i store.Item) (*subjectManifest, error) {
	rec, err := tx.Manifest(i.Repository, i.Digest)
	if err != nil || rec == nil {
		return nil, err
	}
	det, err := rec.Detail()
	if err != nil {
		return nil, err
	}
	return &subjectManifest{repo: i.Repository, rec: rec, det: det}, nil
}

// open reads the manifest's bytes, unless that was done.
func (a *Admission) open(tx *store.Txn, s *subjectManifest) (err error) {
	if s.parsed == nil {
		s.parsed, err = a.parsed.Read(tx.Records, s.rec.Digest, s.rec.MediaType)
	}
	return err
}

// judge decides on a snapshot: evidence, policies, nothing written but refreshed facts. An error means that no answer could be had.
func (a *Admission) judge(ctx context.Context, tx *store.Txn, t *grounds, s *subjectManifest) (*verdict, error) {
	if r := a.withdrawn(t, s); r != nil {
		return &verdict{state: store.StateRevoked, code: "policy.revoked", reason: "it was revoked: " + r.Reason, remedy: "use another version"}, nil
	}
	if s.rec.Kind == store.KindEvidence {
		return &verdict{state: store.StateEvidence}, nil
	}
	if s.rec.Kind != store.KindAttestation {
		return a.ask(ctx, tx, t, s, s.rec.Kind)
	}
	v, err := a.judgeAttestation(tx, t, s)
	if err != nil || v.state == store.StateAdmitted {
		return v, err
	}
	// What an index calls an attestation loses nothing by that: it may be admitted as what its bytes are, too.
	own, err := a.ask(ctx, tx, t, s, s.parsed.KindOf(a.smallConfig(ctx, tx, s.repo, s.parsed)))
	if err != nil || own.state == store.StateAdmitted {
		return own, err
	}
	own.state, own.code, own.reason, own.remedy = v.state, v.code, v.reason, v.remedy
	return own, nil
}

// ask has the policies judge a manifest as one of a kind.
func (a *Admission) ask(ctx context.Context, tx *store.Txn, t *grounds, s *subjectManifest, kind store.Kind) (*verdict, error) {
	traits := t.Engine.Traits(s.repo)
	if len(s.det.Missing) > 0 && !traits.Open {
		return &verdict{state: store.StateQuarantined, code: "policy.incomplete", reason: "content that it references is not in this repository", remedy: "push it whole"}, nil
	}
	as := *s
	rec := *s.rec
	rec.Kind, as.rec = kind, &rec
	in, found, err := a.input(ctx, tx, t, &as)
	if err != nil {
		return nil, err
	}
	in.Request.Entry = contract.EntryAdmit
	d, err := t.Engine.Decide(ctx, in)
	if err != nil {
		return nil, err
	}
	v := conclude(in, d, found.next)
	v.revision, v.sboms = found.revision, found.sboms
	return v, nil
}

// conclude turns a decision into a state. A policy that gave no answer leaves the manifest pending, to be asked again.
func conclude(in *contract.Input, d *contract.Decision, next time.Time) *verdict {
	v := &verdict{state: store.StateAdmitted, input: in, decision: d, validUntil: contract.Earlier(d.ValidUntil, next)}
	for _, w := range d.Warn {
		v.warnings = append(v.warnings, sentence.Clip(w.Policy+": "+w.Message, sentence.Max))
	}
	if d.Allow {
		return v
	}
	v.state = store.StateQuarantined
	if len(d.Deny) > 0 {
		r := d.Deny[0]
		v.code, v.reason, v.remedy = r.Code, r.Message, r.Remedy
		if r.Policy != "" {
			v.reason = strings.TrimSuffix(r.Message, ".") + " (policy " + r.Policy + ")"
		}
		if unanswered(d.Deny) {
			v.state = store.StatePending
		}
	}
	return v
}

// unanswered reports whether some denial says that a policy gave no answer.
func unanswered(deny []contract.Reason) bool {
	return slices.ContainsFunc(deny, func(r contract.Reason) bool {
		return r.Code == "policy.timeout" || r.Code == "policy.error" || r.Code == "policy.panic"
	})
}

// withdrawn is the revocation of the manifest, by either digest, or of a blob that it references.
func (a *Admission) withdrawn(t *grounds, s *subjectManifest) *trust.Revocation {
	if !t.Revokes() {
		return nil
	}
	if r := t.Revocation(s.repo, s.rec.Digest, s.det.Alternate); r != nil {
		return r
	}
	for _, b := range parsed.Blobs(s.parsed) {
		if r := t.Revocation(s.repo, b.Digest); r != nil {
			return r
		}
	}
	return nil
}

// judgeAttestation: a BuildKit attestation is readable when its index is, or the child that it names, for as long as that is. What rides on a child alone
// opens no blob that belongs to something else: whoever may push could call anything an attestation of what is admitted.
func (a *Admission) judgeAttestation(tx *store.Txn, t *grounds, s *subjectManifest) (*verdict, error) {
	var until time.Time
	covered, first := false, true
	cover := func(d store.Digest) {
		if !a.counts(tx, t, store.Item{Repository: s.repo, Digest: d}) {
			return
		}
		v := tx.Verdict(s.repo, d)
		if covered = true; first || !until.IsZero() && (v.ValidUntil.IsZero() || v.ValidUntil.After(until)) {
			until, first = v.ValidUntil, false
		}
	}
	parents := tx.Parents(s.repo, s.rec.Digest)
	for _, parent := range parents {
		cover(parent)
	}
	alone, err := a.standsAlone(tx, s)
	if err != nil {
		return nil, err
	}
	if alone || s.rec.State == store.StateAdmitted {
		for _, parent := range parents {
			rel, err := a.parsed.Relations(tx.Records, s.repo, parent)
			if err != nil {
				return nil, err
			}
			for _, named := range rel.Names[s.rec.Digest] {
				cover(named)
			}
		}
	}
	if covered {
		return &verdict{state: store.StateAdmitted, validUntil: until}, nil
	}
	return &verdict{state: store.StateQuarantined, code: "attestation.uncovered", reason: "neither the index that lists this attestation nor the image that it names is admitted", remedy: "sign the index"}, nil
}

// standsAlone reports whether no blob of a manifest is a blob of ordinary content, too.
func (a *Admission) standsAlone(tx *store.Txn, s *subjectManifest) (bool, error) {
	for _, b := range parsed.Blobs(s.parsed) {
		for _, d := range tx.ReferencedBy(s.repo, b.Digest, scanLimit) {
			rec, err := tx.Manifest(s.repo, d)
			if err != nil {
				return false, err
			}
			if b.Digest != emptyJSON && rec != nil && rec.Kind != store.KindEvidence && rec.Kind != store.KindAttestation {
				return false, nil
			}
		}
	}
	return true, nil
}

// basis is what the facts in an input say beyond themselves.
type basis struct {
	next     time.Time // the first moment at which a fact begins or ceases to count
	revision string    // changes with the evidence; empty if there is none
	sboms    *inventory.Choice
}

// everything are the facts that a manifest is judged by, its own and inherited ones, and its parents.
func (a *Admission) everything(ctx context.Context, tx *store.Txn, t *grounds, s *subjectManifest) (*proof.Standing, []store.Digest, error) {
	if s.all != nil {
		return s.all, s.parents, nil
	}
	own, err := a.facts(ctx, tx, t, verify.Subject{Repository: s.repo, Descriptor: s.rec.Descriptor(), Alternate: s.det.Alternate})
	if err != nil {
		return nil, nil, err
	}
	all, parents, err := a.inherited(ctx, tx, t, s.repo, s.rec.Digest)
	if err != nil {
		return nil, nil, err
	}
	s.all, s.parents = withoutVerdicts(own.And(all)), parents
	return s.all, parents, nil
}

// input builds policy.input/v1 for a stored manifest.
func (a *Admission) input(ctx context.Context, tx *store.Txn, t *grounds, s *subjectManifest) (*contract.Input, *basis, error) {
	now := a.now()
	all, parents, err := a.everything(ctx, tx, t, s)
	if err != nil {
		return nil, nil, err
	}
	next := all.Next
	in := a.describe(s.repo, s.rec.Digest, s.rec.Size, s.parsed, s.rec.Kind, now)
	if t.assumed == nil || !t.Engine.Traits(s.repo).NoConfig { // a replay keeps no inputs
		a.describeConfig(ctx, tx, in, s.parsed)
	}
	in.Subject.State, in.Subject.Parents = s.rec.State, parents
	in.Subject.FirstSeen, in.Subject.Pushers = s.det.FirstSeen, s.det.Pushers
	in.Signatures, in.Attestations = proof.Inputs(all.Facts)
	in.Vulnerabilities = findings.Attested(all.Facts)
	if in.Subject.Kind == store.KindImage && t.Engine.Traits(s.repo).Vulnerabilities { // where no policy asks, nothing is looked up
		image := &findings.Image{Item: store.Item{Repository: s.repo, Digest: s.rec.Digest}, Parents: parents, Facts: all.Facts, Authorities: t.Authorities}
		if err := a.findings.Tell(ctx, tx, image, in); err != nil {
			return nil, nil, err
		}
	}
	in.Content = a.local
	if in.Referrers, err = a.referrersOf(tx, t, s.repo, s.rec.Digest); err != nil {
		return nil, nil, err
	}
	if err := a.parsed.Enclose(tx.Records, s.repo, s.rec.Digest, in); err != nil {
		return nil, nil, err
	}
	if in.Index != nil {
		counted := t.Engine.Traits(s.repo).AllChildren
		for i := range in.Index.Manifests {
			m := &in.Index.Manifests[i]
			if state, ok := t.assumed.Of(store.Item{Repository: s.repo, Digest: m.Digest}); ok {
				m.State = state
				continue
			}
			if v := tx.Verdict(s.repo, m.Digest); !t.Doubtful(tx.Records, now, store.Item{Repository: s.repo, Digest: m.Digest}, v) {
				m.State = v.State
				if counted && v.State == store.StateAdmitted {
					next = contract.Earlier(next, v.ValidUntil)
				}
			}
		}
	}
	sboms, err := inventory.Choose(tx.Records, store.Item{Repository: s.repo, Digest: s.rec.Digest}, a.o.Preferences, all.Facts, in.Attestations)
	if err != nil {
		return nil, nil, err
	}
	if in.SBOM = sboms.Input(); a.o.Inventories != nil {
		in.Packages = a.packages.For(sboms)
	}
	change, mark := t.waivers.Waive(in, parents, s.det.Alternate)
	found := &basis{next: contract.Earlier(next, change), sboms: sboms}
	if t.assumed == nil { // a replay keeps no verdicts
		found.revision = all.Revision() + mark
	}
	return in, found, nil
}

// describe is the part of the input that the manifest's bytes say; p is nil where nobody reads that.
func (a *Admission) describe(repo store.Name, d store.Digest, size int64, p *store.Parsed, kind store.Kind, now time.Time) *contract.Input {
	in := &contract.Input{
		Schema:     contract.InputSchema,
		Request:    contract.RequestInput{ID: a.local.ID(now), Time: now, Protocol: "oci"},
		Subject:    contract.SubjectInput{Repository: repo, Digest: d, Size: size, Kind: kind},
		Signatures: []contract.SignatureInput{}, Attestations: []contract.AttestationInput{},
	}
	if p != nil {
		parsed.Describe(in, p)
	}
	return in
}

// smallConfig is the config of a manifest if the repository has it: what only others have is not there. nil if it is not, or too large to be one.
func (a *Admission) smallConfig(ctx context.Context, tx *store.Txn, repo store.Name, p *store.Parsed) []byte {
	if p.Config == nil {
		return nil
	}
	if link, err := tx.Blob(repo, p.Config.Digest); err != nil || link == nil {
		return nil
	}
	b, err := a.local.ReadContent(ctx, p.Config.Digest, maxConfig)
	if err != nil {
		return nil
	}
	return b
}

// describeConfig adds what the image config says; a config that does not parse adds nothing, and policies that need it deny.
func (a *Admission) describeConfig(ctx context.Context, tx *store.Txn, in *contract.Input, p *store.Parsed) {
	if in.Subject.Kind != store.KindImage {
		return
	}
	if b := a.smallConfig(ctx, tx, in.Subject.Repository, p); b != nil {
		parsed.Config(in, b, p)
	}
}
