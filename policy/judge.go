package policy

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/sbom"
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
	input      *Input
	decision   *Decision
}

// subjectManifest is a manifest with everything about it that a judgement reads.
type subjectManifest struct {
	repo   store.Name
	rec    *store.ManifestRecord
	det    *store.Detail
	parsed *store.Parsed
}

func (a *Admission) subject(tx *store.Txn, i store.Item) (*subjectManifest, error) {
	rec, err := tx.Manifest(i.Repository, i.Digest)
	if err != nil || rec == nil {
		return nil, err
	}
	det, err := rec.Detail()
	if err != nil {
		return nil, err
	}
	s := &subjectManifest{repo: i.Repository, rec: rec, det: det}
	s.parsed, err = a.parse(tx, rec.Digest, rec.MediaType)
	return s, err
}

// parse reads a stored manifest, from memory if it was read lately: an index with thousands of children is parsed once, not once per child.
func (a *Admission) parse(tx *store.Txn, d store.Digest, mediaType string) (*store.Parsed, error) {
	k := parsedKey{d, mediaType}
	if p := a.manifests.get(k); p != nil {
		return p, nil
	}
	b := tx.Content(d)
	if b == nil {
		return nil, store.Errorf(store.CodeUnavailable, "the content of %s is missing; run assay check", d)
	}
	p, err := store.ParseManifest(mediaType, b)
	if err == nil {
		a.manifests.put(k, p)
	}
	return p, err
}

// parseIn reads a manifest of a repository.
func (a *Admission) parseIn(tx *store.Txn, repo store.Name, d store.Digest) (*store.Parsed, error) {
	rec, err := tx.Manifest(repo, d)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, unknownManifest()
	}
	return a.parse(tx, d, rec.MediaType)
}

// parsedKey: bytes that name no type themselves may be stored under different ones.
type parsedKey struct {
	digest    store.Digest
	mediaType string
}

// parsedCache holds manifests that were parsed lately. Content never changes under its digest, so nothing in it is ever stale.
type parsedCache struct {
	mu sync.Mutex
	m  map[parsedKey]*store.Parsed
}

const maxParsed = 128

func (c *parsedCache) get(k parsedKey) *store.Parsed {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[k]
}

func (c *parsedCache) put(k parsedKey, p *store.Parsed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxParsed {
		c.m = map[parsedKey]*store.Parsed{}
	}
	c.m[k] = p
}

// judge decides on a snapshot: evidence, policies, nothing written but refreshed facts. An error means that no answer could be had.
// assume is an index whose admission is in the same transaction.
func (a *Admission) judge(ctx context.Context, tx *store.Txn, t *trust, s *subjectManifest, assume store.Digest) (*verdict, error) {
	if r := a.withdrawn(t, s); r != nil {
		return &verdict{state: store.StateRevoked, code: "policy.revoked", reason: "it was revoked: " + r.Reason, remedy: "use another version"}, nil
	}
	if s.rec.Kind == store.KindAttestation {
		return a.judgeAttestation(tx, s, assume)
	}
	traits := t.engine.Traits(s.repo)
	if len(s.det.Missing) > 0 && !traits.Open {
		return &verdict{state: store.StateQuarantined, code: "policy.incomplete", reason: "content that it references is not in this repository", remedy: "push it whole"}, nil
	}
	in, next, err := a.input(ctx, tx, t, s, assume)
	if err != nil {
		return nil, err
	}
	in.Request.Entry = EntryAdmit
	d, err := t.engine.Decide(ctx, in)
	if err != nil {
		return nil, err
	}
	return conclude(in, d, next), nil
}

// conclude turns a decision into a state. A policy that gave no answer leaves the manifest pending, to be asked again.
func conclude(in *Input, d *Decision, next time.Time) *verdict {
	v := &verdict{state: store.StateAdmitted, input: in, decision: d, validUntil: d.ValidUntil}
	if !next.IsZero() && (v.validUntil.IsZero() || next.Before(v.validUntil)) {
		v.validUntil = next
	}
	for _, w := range d.Warn {
		v.warnings = append(v.warnings, clip(w.Policy+": "+w.Message, maxMessage))
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
func unanswered(deny []Reason) bool {
	return slices.ContainsFunc(deny, func(r Reason) bool {
		return r.Code == "policy.timeout" || r.Code == "policy.error" || r.Code == "policy.panic"
	})
}

// withdrawn is the revocation of the manifest, by either digest, or of a blob that it references.
func (a *Admission) withdrawn(t *trust, s *subjectManifest) *Revocation {
	if len(t.revoked) == 0 {
		return nil
	}
	if r := t.revocation(s.repo, s.rec.Digest, s.det.Alternate); r != nil {
		return r
	}
	for _, b := range blobsOf(s.parsed) {
		if r := t.revocation(s.repo, b.Digest); r != nil {
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

// judgeAttestation: a BuildKit attestation is readable when its index is, or the child that it names.
func (a *Admission) judgeAttestation(tx *store.Txn, s *subjectManifest, assume store.Digest) (*verdict, error) {
	for _, parent := range tx.Parents(s.repo, s.rec.Digest) {
		if parent == assume || tx.Verdict(s.repo, parent).State == store.StateAdmitted {
			return &verdict{state: store.StateAdmitted}, nil
		}
		p, err := a.parseIn(tx, s.repo, parent)
		if err != nil {
			return nil, err
		}
		for _, m := range p.Manifests {
			named := store.Digest(m.Annotations[annotationReference])
			if m.Digest != s.rec.Digest || named == "" {
				continue
			}
			if _, err := store.ParseDigest(string(named)); err == nil && lists(p, named) && tx.Verdict(s.repo, named).State == store.StateAdmitted {
				return &verdict{state: store.StateAdmitted}, nil
			}
		}
	}
	return &verdict{state: store.StateQuarantined, code: "attestation.uncovered", reason: "neither the index that lists this attestation nor the image that it names is admitted", remedy: "sign the index"}, nil
}

// annotationReference names, on an index entry of a BuildKit attestation, the child that it is about.
const annotationReference = "vnd.docker.reference.digest"

func lists(p *store.Parsed, d store.Digest) bool {
	return slices.ContainsFunc(p.Manifests, func(m store.Descriptor) bool { return m.Digest == d })
}

// input builds policy.input/v1 for a stored manifest. next is the first moment at which a fact begins or ends to count.
func (a *Admission) input(ctx context.Context, tx *store.Txn, t *trust, s *subjectManifest, assume store.Digest) (in *Input, next time.Time, err error) {
	now := a.now()
	facts, err := a.facts(ctx, tx, t, subjectOf(s.repo, s.rec))
	if err != nil {
		return nil, next, err
	}
	above, parents, err := a.inherited(ctx, tx, t, s.repo, s.rec.Digest, assume)
	if err != nil {
		return nil, next, err
	}
	facts = append(facts, above...)
	in = a.describe(ctx, s.repo, s.rec.Digest, s.rec.Size, s.parsed, s.rec.Kind, now)
	in.Subject.State, in.Subject.Parents = s.rec.State, parents
	in.Subject.FirstSeen, in.Subject.Pushers = s.det.FirstSeen, s.det.Pushers
	in.Signatures, in.Attestations = sortFacts(facts)
	if in.Index != nil {
		for i := range in.Index.Manifests {
			m := &in.Index.Manifests[i]
			m.State = tx.Verdict(s.repo, m.Digest).State
		}
	}
	if in.SBOM, err = sbomInput(tx, s, facts); err != nil {
		return nil, next, err
	}
	return in, (&verify.Report{Facts: facts}).NextChange(now), nil
}

func sortFacts(facts []verify.Fact) ([]SignatureInput, []AttestationInput) {
	signatures, attestations := []SignatureInput{}, []AttestationInput{}
	for _, f := range facts {
		switch f.Kind {
		case verify.KindSignature:
			signatures = append(signatures, SignatureInput{Evidence: f.Evidence, Scheme: f.Scheme, Found: f.Found, InheritedFrom: f.InheritedFrom, Verified: f.Verified,
				Code: f.Code, Authority: f.Authority, KeyID: f.KeyID, Issuer: f.Issuer, Identity: f.Identity, Annotations: f.Annotations,
				ClaimedReference: f.ClaimedReference, SignedAt: f.SignedAt, ValidUntil: f.ValidUntil})
		case verify.KindAttestation:
			attestations = append(attestations, AttestationInput{Evidence: f.Evidence, InheritedFrom: f.InheritedFrom, PredicateType: f.PredicateType, Verified: f.Verified,
				Code: f.Code, Authority: f.Authority, KeyID: f.KeyID, Issuer: f.Issuer, Identity: f.Identity, ValidUntil: f.ValidUntil, Summary: f.Summary})
		}
	}
	return signatures, attestations
}

// describe is the part of the input that the bytes say.
func (a *Admission) describe(ctx context.Context, repo store.Name, d store.Digest, size int64, p *store.Parsed, kind store.Kind, now time.Time) *Input {
	in := &Input{
		Schema:     InputSchema,
		Request:    RequestInput{ID: a.local.ID(now), Time: now, Protocol: "oci"},
		Subject:    SubjectInput{Repository: repo, Digest: d, MediaType: p.MediaType, ArtifactType: p.ArtifactType, Size: size, Kind: kind},
		Signatures: []SignatureInput{}, Attestations: []AttestationInput{},
	}
	if p.Index() {
		in.Index = &IndexInput{Manifests: []IndexEntryInput{}}
		for _, m := range p.Manifests {
			in.Index.Manifests = append(in.Index.Manifests, IndexEntryInput{Digest: m.Digest, Platform: platform(m)})
		}
		return in
	}
	in.Manifest = &ManifestInput{Layers: []DescriptorInput{}, Annotations: p.Annotations}
	for _, l := range p.Layers {
		in.Manifest.Layers = append(in.Manifest.Layers, DescriptorInput{l.MediaType, l.Digest, l.Size})
	}
	if p.Config != nil {
		in.Manifest.Config = &DescriptorInput{p.Config.MediaType, p.Config.Digest, p.Config.Size}
	}
	if kind == store.KindImage && p.Config != nil {
		a.describeConfig(ctx, in, p)
	}
	return in
}

func platform(m store.Descriptor) *Platform {
	if m.Platform == nil {
		return nil
	}
	return &Platform{OS: m.Platform.OS, Architecture: m.Platform.Architecture, Variant: m.Platform.Variant}
}

// describeConfig adds what the image config says; a config that does not parse adds nothing, and policies that need it deny.
func (a *Admission) describeConfig(ctx context.Context, in *Input, p *store.Parsed) {
	b, err := a.local.ReadContent(ctx, p.Config.Digest, maxConfig)
	if err != nil {
		return
	}
	c, err := store.ParseImageConfig(b)
	if err != nil {
		return
	}
	in.Subject.Platform = &Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
	in.Config = &ConfigInput{User: c.User, Entrypoint: c.Entrypoint, Cmd: c.Cmd, EnvNames: c.EnvNames, Labels: c.Labels, ExposedPorts: c.ExposedPorts}
	if !c.Created.IsZero() {
		in.Config.Created = c.Created.UTC().Format(time.RFC3339)
	}
	base := BaseInput{Name: p.Annotations["org.opencontainers.image.base.name"], Digest: store.Digest(p.Annotations["org.opencontainers.image.base.digest"])}
	if base != (BaseInput{}) {
		in.Config.Base = &base
	}
}

// sbomInput says what is known of the contents: a client's statement that was verified, else the registry's own.
func sbomInput(tx *store.Txn, s *subjectManifest, facts []verify.Fact) (*SBOMInput, error) {
	var in *SBOMInput
	for _, f := range facts {
		if f.Authority == authorityRegistry || !sbomPredicate(f) {
			continue
		}
		if f.Verified {
			return &SBOMInput{Present: true, Origin: "attested", Verified: true, Digest: f.Evidence}, nil
		}
		if in == nil {
			in = &SBOMInput{Present: true, Origin: "attached", Digest: f.Evidence}
		}
	}
	b := tx.SBOM(s.repo, s.rec.Digest)
	if b == nil {
		return in, nil
	}
	var r sbomRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, store.Errorf(store.CodeInternal, "the SBOM record of %s is damaged; run assay check: %w", s.rec.Digest, err)
	}
	if r.Failed != "" && in == nil {
		return &SBOMInput{Failed: r.Failed}, nil
	}
	if r.Failed != "" || in != nil {
		return in, nil
	}
	return r.input(), nil
}

const authorityRegistry = "registry"

func sbomPredicate(f verify.Fact) bool {
	if f.Kind == verify.KindDocument {
		return true
	}
	return f.PredicateType == "https://spdx.dev/Document" || strings.HasPrefix(f.PredicateType, "https://spdx.dev/Document/") || strings.HasPrefix(f.PredicateType, "https://cyclonedx.org/")
}

// sbomRecord is what the store keeps about a generated SBOM. Docs are blobs of the repository.
type sbomRecord struct {
	Failed   string                       `json:"failed,omitempty"`
	Summary  sbom.Summary                 `json:"summary"`
	Docs     map[sbom.Format]store.Digest `json:"docs,omitempty"`
	Attached []store.Digest               `json:"attached,omitempty"` // evidence manifests
	At       time.Time                    `json:"at"`
}

func (r *sbomRecord) input() *SBOMInput {
	in := &SBOMInput{Present: true, Origin: "generated", Verified: true, Format: "spdx-2.3", Generator: r.Summary.Generator, Created: r.Summary.Created, DiffIDs: r.Summary.DiffIDs,
		Packages: &PackagesInput{Count: r.Summary.Packages, ByType: r.Summary.ByType, ByLicense: r.Summary.ByLicense}}
	in.Digest = r.Docs[sbom.SPDX]
	if in.Digest == "" {
		in.Digest, in.Format = r.Docs[sbom.CycloneDX], "cyclonedx-1.6"
	}
	if r.Summary.Distro != "" {
		in.Distro = &DistroInput{ID: r.Summary.Distro, Version: r.Summary.DistroVer}
	}
	return in
}
