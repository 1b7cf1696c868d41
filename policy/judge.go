package policy

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/sight"
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
		s.parsed, err = a.parse(tx, s.rec.Digest, s.rec.MediaType)
	}
	return err
}

// lists reports whether a manifest is an index, by its type.
func (s *subjectManifest) lists() bool {
	return s.rec.MediaType == store.TypeIndex || s.rec.MediaType == store.TypeDockerList
}

// parse reads a stored manifest, from memory if it was read lately: an index with thousands of children is parsed once, not once per child.
func (a *Admission) parse(tx *store.Txn, d store.Digest, mediaType string) (*store.Parsed, error) {
	k := parsedKey{d, mediaType}
	cache := &a.manifests
	if mediaType == store.TypeIndex || mediaType == store.TypeDockerList {
		cache = &a.indexes
	}
	if p := cache.get(k); p != nil {
		return p.Parsed, nil
	}
	b := tx.Content(d)
	if b == nil {
		return nil, store.Errorf(store.CodeUnavailable, "the content of %s is missing; run assay check", d)
	}
	p, err := store.ReadManifest(mediaType, b)
	if err == nil {
		cache.put(k, &parsedManifest{Parsed: p}, len(b))
	}
	return p, err
}

// relations are what the entries of an index say about each other: which attestations are about a child, and which children an attestation names.
type relations struct {
	about, names map[store.Digest][]store.Digest
}

// relations of an index of a repository, found once for as long as it is remembered.
func (a *Admission) relations(tx *store.Txn, repo store.Name, index store.Digest) (*relations, error) {
	rec, err := tx.Manifest(repo, index)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, sight.Unknown()
	}
	p, err := a.parse(tx, index, rec.MediaType)
	if err != nil {
		return nil, err
	}
	m := a.indexes.get(parsedKey{index, rec.MediaType})
	if m == nil {
		m = &parsedManifest{Parsed: p} // forgotten since
	}
	m.once.Do(func() { m.relations = relate(p) })
	return m.relations, nil
}

func relate(p *store.Parsed) *relations {
	r := &relations{map[store.Digest][]store.Digest{}, map[store.Digest][]store.Digest{}}
	listed := make(map[store.Digest]bool, len(p.Manifests))
	for _, m := range p.Manifests {
		listed[m.Digest] = true
	}
	for _, m := range p.Manifests {
		if named := store.Digest(m.Annotations[annotationReference]); listed[named] {
			r.about[named] = append(r.about[named], m.Digest)
			r.names[m.Digest] = append(r.names[m.Digest], named)
		}
	}
	return r
}

// parseIn reads a manifest of a repository.
func (a *Admission) parseIn(tx *store.Txn, repo store.Name, d store.Digest) (*store.Parsed, error) {
	rec, err := tx.Manifest(repo, d)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, sight.Unknown()
	}
	return a.parse(tx, d, rec.MediaType)
}

// parsedKey: bytes that name no type themselves may be stored under different ones.
type parsedKey struct {
	digest    store.Digest
	mediaType string
}

// parsedManifest is a manifest that was parsed, with what was found out about it since.
type parsedManifest struct {
	*store.Parsed
	once      sync.Once
	relations *relations // of an index
}

// parsedCache holds manifests that were parsed lately. Content never changes under its digest, so nothing in it is ever stale.
type parsedCache struct {
	mu    sync.Mutex
	m     map[parsedKey]*parsedManifest
	bytes int // of the manifests' content
}

// Limits of one cache: manifests, and bytes of their content, of which the parsed form takes a few times as much.
const (
	maxParsed      = 128
	maxParsedBytes = 8 << 20
)

func (c *parsedCache) get(k parsedKey) *parsedManifest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[k]
}

func (c *parsedCache) put(k parsedKey, p *parsedManifest, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxParsed || c.bytes+size > maxParsedBytes {
		c.m, c.bytes = map[parsedKey]*parsedManifest{}, 0
	}
	c.m[k] = p
	c.bytes += size
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
	for _, b := range blobsOf(s.parsed) {
		if r := t.Revocation(s.repo, b.Digest); r != nil {
			return r
		}
	}
	return nil
}

// blobsOf lists the blobs that a manifest references, the config first.
func blobsOf(p *store.Parsed) []store.Descriptor {
	var ds []store.Descriptor
	if p.Config != nil {
		ds = append(ds, *p.Config)
	}
	ds = append(ds, p.Layers...)
	return append(ds, p.Blobs...)
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
			rel, err := a.relations(tx, s.repo, parent)
			if err != nil {
				return nil, err
			}
			for _, named := range rel.names[s.rec.Digest] {
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
	for _, b := range blobsOf(s.parsed) {
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

// annotationReference names, on an index entry of a BuildKit attestation, the child that it is about.
const annotationReference = "vnd.docker.reference.digest"

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
	in.Signatures, in.Attestations = sortFacts(all.Facts)
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
	if err := a.enclose(tx, s, in); err != nil {
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

// sortFacts maps facts to the parts of the input that they make. Documents make none: their contents are in sbomInput.
func sortFacts(facts []verify.Fact) ([]contract.SignatureInput, []contract.AttestationInput) {
	signatures, attestations := []contract.SignatureInput{}, []contract.AttestationInput{}
	signers := verify.Signers(facts)
	for i, f := range facts {
		switch f.Kind {
		case verify.KindSignature:
			signatures = append(signatures, contract.SignatureInput{Evidence: f.Evidence, Layer: f.Layer, Scheme: f.Scheme, Found: f.Found, InheritedFrom: f.InheritedFrom,
				Verified: f.Verified, Code: f.Code, Authority: f.Authority, KeyID: f.KeyID, Signer: signers[i], Issuer: f.Issuer, Identity: f.Identity, Extensions: f.Extensions,
				Serial: f.Serial, Annotations: f.Annotations, ClaimedReference: f.ClaimedReference, Logs: f.Logs, TimeSource: f.TimeSource,
				SignedAt: f.SignedAt, ValidUntil: f.ValidUntil, Target: f.Target, Role: f.Role})
		case verify.KindAttestation:
			attestations = append(attestations, contract.AttestationInput{Evidence: f.Evidence, Layer: f.Layer, Scheme: f.Scheme, Found: f.Found, InheritedFrom: f.InheritedFrom,
				PredicateType: f.PredicateType, Verified: f.Verified, Code: f.Code, Authority: f.Authority, KeyID: f.KeyID, Signer: signers[i], Issuer: f.Issuer,
				Identity: f.Identity, Extensions: f.Extensions, Serial: f.Serial, Logs: f.Logs, TimeSource: f.TimeSource, SignedAt: f.SignedAt,
				ValidUntil: f.ValidUntil, Summary: f.Summary})
		}
	}
	return signatures, attestations
}

// describe is the part of the input that the manifest's bytes say; p is nil where nobody reads that.
func (a *Admission) describe(repo store.Name, d store.Digest, size int64, p *store.Parsed, kind store.Kind, now time.Time) *contract.Input {
	in := &contract.Input{
		Schema:     contract.InputSchema,
		Request:    contract.RequestInput{ID: a.local.ID(now), Time: now, Protocol: "oci"},
		Subject:    contract.SubjectInput{Repository: repo, Digest: d, Size: size, Kind: kind},
		Signatures: []contract.SignatureInput{}, Attestations: []contract.AttestationInput{},
	}
	if p == nil {
		return in
	}
	in.Subject.MediaType, in.Subject.ArtifactType = p.MediaType, p.ArtifactType
	if p.Index() {
		in.Index = &contract.IndexInput{Manifests: []contract.IndexEntryInput{}}
		for _, m := range p.Manifests {
			in.Index.Manifests = append(in.Index.Manifests, contract.IndexEntryInput{Digest: m.Digest, Platform: platform(m)})
		}
		return in
	}
	in.Manifest = &contract.ManifestInput{Layers: []contract.DescriptorInput{}, Annotations: p.Annotations}
	for _, l := range p.Layers {
		in.Manifest.Layers = append(in.Manifest.Layers, contract.DescriptorInput{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size})
	}
	if p.Config != nil {
		in.Manifest.Config = &contract.DescriptorInput{MediaType: p.Config.MediaType, Digest: p.Config.Digest, Size: p.Config.Size}
	}
	return in
}

func platform(m store.Descriptor) *contract.Platform {
	if m.Platform == nil {
		return nil
	}
	return &contract.Platform{OS: m.Platform.OS, Architecture: m.Platform.Architecture, Variant: m.Platform.Variant}
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
	b := a.smallConfig(ctx, tx, in.Subject.Repository, p)
	if b == nil {
		return
	}
	c, err := store.ParseImageConfig(b)
	if err != nil {
		return
	}
	in.Subject.Platform = &contract.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
	in.Config = &contract.ConfigInput{User: c.User, Entrypoint: c.Entrypoint, Cmd: c.Cmd, EnvNames: c.EnvNames, Labels: c.Labels, ExposedPorts: c.ExposedPorts}
	if !c.Created.IsZero() {
		in.Config.Created = c.Created.UTC().Format(time.RFC3339)
	}
	base := contract.BaseInput{Name: p.Annotations["org.opencontainers.image.base.name"], Digest: store.Digest(p.Annotations["org.opencontainers.image.base.digest"])}
	if base != (contract.BaseInput{}) {
		in.Config.Base = &base
	}
}
