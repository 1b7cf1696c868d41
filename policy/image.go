package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/store"
)

// ImageOutcome is what follows for an image.
type ImageOutcome string

// The outcomes. Unknown is an image of another registry to which no policy objects.
const (
	ImageAdmitted ImageOutcome = "admitted"
	ImageRefused  ImageOutcome = "refused"
	ImageUnknown  ImageOutcome = "unknown"
)

// The codes of refusals that no policy makes.
const (
	CodeImageAbsent    = "image.absent"
	CodeImageEvidence  = "image.evidence"
	CodeImageMalformed = "image.malformed"
	CodeImageUnknown   = "image.unknown"
)

// ImageVerdict is the answer: what a pull gets at this moment, and whether it may run. Several askers may share one: it is only read.
type ImageVerdict struct {
	Outcome  ImageOutcome
	Digest   store.Digest // of what a pull gets; empty where it gets nothing
	Code     string       // of a refusal: of the catalogue
	Message  string       // of a refusal: one sentence
	Warnings []string
	Decision string    // id of the decision by which the digest is admitted
	Until    time.Time // when that decision ends by itself; zero is never
}

// cluster is who asks: somebody nameless who may pull everywhere, so that the answer is that of any pull.
func cluster() access.Principal {
	return access.Principal{Kind: access.KindAnonymous, Grants: []access.Grant{{Repositories: store.Globs{"**"}, Roles: access.RolePull}}}
}

// Image says what a pull of an image gets now, by the very look-up of a pull, and asks the policies' entry point k8s where one has rules there. A refusal is
// an answer. An error is none: ctx ended, or the store failed.
func (a *Admission) Image(ctx context.Context, q asked.Image) (*ImageVerdict, error) {
	v, err := a.image(ctx, q)
	if err == nil {
		a.recent.Image(&q)
	}
	a.logImage(&q, v)
	return v, err
}

func (a *Admission) image(ctx context.Context, q asked.Image) (*ImageVerdict, error) {
	if q.Elsewhere {
		return a.elsewhere(ctx, q)
	}
	r, ok := a.images.get(a, q.Repository, q.Reference)
	switch {
	case !ok || ctx.Err() != nil:
		return a.lookUp(ctx, q)
	case r.in != nil:
		return a.askAbout(ctx, r, q)
	}
	return r.answer, nil
}

func (a *Admission) lookUp(ctx context.Context, q asked.Image) (*ImageVerdict, error) {
	v := view{a: a, p: cluster()}
	epoch, quiet := a.local.Epoch()
	var known *grounds
	var answer *ImageVerdict
	var more bool
	settled, err := a.read(ctx, func(s store.Snapshot, t *grounds) ([]store.Item, error) {
		known = t
		l := look{v: &v, s: s, repo: q.Repository, ref: q.Reference, t: t, now: a.now(), listing: true}
		m, err := l.manifest()
		if err != nil || len(l.stale) > 0 {
			return l.stale, err
		}
		answer, more, err = l.image(m, &q)
		return nil, err
	})
	if !settled && ctx.Err() == nil {
		err = noAnswer(q.Repository, q.Reference.String(), err)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return refusedImage(&q, err)
	case more:
		r, refusal, err := a.examine(ctx, answer, &q)
		if err != nil || refusal != nil {
			return refusal, err
		}
		if quiet {
			a.images.put(epoch, known, &q, *r)
		}
		return a.askAbout(ctx, *r, q)
	}
	if quiet && answer.Outcome == ImageAdmitted {
		a.images.put(epoch, known, &q, remembered{answer: answer})
	}
	return answer, nil
}

// imageCache holds what was admitted for as long as neither the store nor trust changes at all: in a cluster the same few images are asked about again and again.
type imageCache struct {
	mu    sync.Mutex
	epoch uint64                  // guarded by mu
	trust *grounds                // guarded by mu
	m     map[imageKey]remembered // guarded by mu
}

// remembered is what is known of an image that is admitted, whoever asks. Nothing in it is written to.
type remembered struct {
	answer *ImageVerdict
	in     *contract.Input // for the entry point k8s, without what the asker says; nil where that has no rules
	engine contract.Engine // of that moment
}

type imageKey struct {
	repo store.Name
	ref  store.Reference
}

// maxImages bounds the cache; beyond it all are forgotten.
const maxImages = 4096

func (c *imageCache) get(a *Admission, repo store.Name, ref store.Reference) (r remembered, ok bool) {
	epoch, _ := a.local.Epoch()
	t := a.grounds.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch || c.trust != t {
		return r, false
	}
	r, ok = c.m[imageKey{repo, ref}]
	return r, ok && (r.answer.Until.IsZero() || a.now().Before(r.answer.Until))
}

func (c *imageCache) put(epoch uint64, t *grounds, q *asked.Image, r remembered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || c.epoch != epoch || c.trust != t || len(c.m) >= maxImages {
		c.epoch, c.trust, c.m = epoch, t, map[imageKey]remembered{}
	}
	c.m[imageKey{q.Repository, q.Reference}] = r
}

// image is the verdict on what the look-up found. more says that it takes more than the verdict: policies have rules about clusters, or the manifest is what some
// index calls an attestation, which is readable with what it is about, whoever pushed it.
func (l *look) image(m *store.Manifest, q *asked.Image) (answer *ImageVerdict, more bool, err error) {
	rec, err := l.s.Manifest(l.repo, m.Digest)
	if err != nil {
		return nil, false, err
	}
	if rec == nil {
		return nil, false, sight.Unknown()
	}
	answer = &ImageVerdict{Outcome: ImageAdmitted, Digest: m.Digest, Warnings: m.Warnings, Until: rec.ValidUntil}
	if rec.State != store.StateAdmitted { // readable is not admitted: evidence is there to be read
		answer.refuseEvidence(q)
		return answer, false, nil
	}
	det, err := rec.Detail()
	if err != nil {
		return nil, false, err
	}
	answer.Decision = det.Decision
	return answer, rec.Kind == store.KindAttestation || l.t.Engine.Traits(l.repo).K8sRules, nil
}

func (v *ImageVerdict) refuseEvidence(q *asked.Image) {
	v.Outcome, v.Code, v.Until, v.Decision = ImageRefused, CodeImageEvidence, time.Time{}, ""
	v.Message = sentence.Of(imageName(q)+" is evidence about an image", "it may be read, and nothing admits it to run", "name the image")
}

// examine judges what is called an attestation as what its bytes are, and gathers what the entry point k8s reads; or there is a refusal. It writes nothing but
// facts that had to be found anew.
func (a *Admission) examine(ctx context.Context, answer *ImageVerdict, q *asked.Image) (r *remembered, refusal *ImageVerdict, err error) {
	var in *contract.Input
	var engine contract.Engine
	own := true
	err = a.local.Update(ctx, func(tx *store.Txn) error {
		s, err := a.subject(tx, store.Item{Repository: q.Repository, Digest: answer.Digest})
		if err != nil {
			return err
		}
		if s == nil {
			return sight.Unknown()
		}
		t := a.trusted(tx)
		engine = t.Engine
		if s.rec.Kind == store.KindAttestation {
			v, err := a.ask(ctx, tx, t, s, s.parsed.KindOf(a.smallConfig(ctx, tx, s.repo, s.parsed)))
			if err != nil {
				return err
			}
			if own = v.state == store.StateAdmitted; !own {
				return nil
			}
			answer.Until = contract.Earlier(answer.Until, v.validUntil)
		}
		in, err = a.k8sInput(ctx, tx, t, s, q)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case err != nil:
		refusal, err = refusedImage(q, err)
		return nil, refusal, err
	case !own:
		answer.refuseEvidence(q)
		return nil, answer, nil
	}
	return &remembered{answer, in, engine}, nil, nil
}

// askAbout asks the entry point k8s about what is known, for one asker.
func (a *Admission) askAbout(ctx context.Context, r remembered, q asked.Image) (*ImageVerdict, error) {
	answer, in := *r.answer, *r.in
	answer.Warnings = slices.Clone(answer.Warnings)
	a.fromCluster(&in, &q)
	return &answer, a.askK8s(ctx, r.engine, &in, &answer)
}

// k8sInput is everything that is known of a manifest and its tag.
func (a *Admission) k8sInput(ctx context.Context, tx *store.Txn, t *grounds, s *subjectManifest, q *asked.Image) (*contract.Input, error) {
	in, _, err := a.input(ctx, tx, t, s)
	if err != nil {
		return nil, err
	}
	if name := q.Reference.Tag; name != "" {
		tag, err := tx.Tag(s.repo, name)
		if err != nil {
			return nil, err
		}
		if tag != nil {
			in.Tags = &contract.TagsInput{PreviousDigest: shown(tx, s.repo, name, tag)}
			if in.Tags.History, err = tagHistory(tx.Records, t, s.repo, name, tag); err != nil {
				return nil, err
			}
		}
		in.Subject.Tag, in.TUF = name, t.TUFInput(proof.Subject(s.repo, s.rec), name, in.Request.Time)
	}
	return in, nil
}

// fromCluster fills in who asks, how, and where.
func (a *Admission) fromCluster(in *contract.Input, q *asked.Image) {
	now := a.now()
	in.Schema = contract.InputSchema
	in.Request = contract.RequestInput{ID: a.local.ID(now), Entry: contract.EntryK8s, Time: now, Protocol: q.Protocol, DryRun: q.DryRun}
	in.Actor = &contract.ActorInput{Kind: access.KindAnonymous, Roles: access.RolePull.Names()}
	k8s := q.K8s
	in.K8s = &k8s
}

// elsewhere asks the entry point k8s about an image of another registry.
func (a *Admission) elsewhere(ctx context.Context, q asked.Image) (*ImageVerdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	verdict := &ImageVerdict{Outcome: ImageUnknown, Code: CodeImageUnknown, Message: sentence.Of("the image "+q.K8s.Image+" lies in another registry", "", "copy it into this registry")}
	engine := a.grounds.Load().Engine
	traits := engine.Traits(q.Repository)
	if !traits.K8sRules || !traits.Matched {
		return verdict, nil
	}
	return verdict, a.askK8s(ctx, engine, a.inputElsewhere(&q), verdict)
}

// inputElsewhere is all that is known of an image of another registry.
func (a *Admission) inputElsewhere(q *asked.Image) *contract.Input {
	in := &contract.Input{Signatures: []contract.SignatureInput{}, Attestations: []contract.AttestationInput{}}
	in.Subject = contract.SubjectInput{Repository: q.Repository, Tag: q.Reference.Tag, Digest: q.Reference.Digest, State: contract.StateUnknown}
	a.fromCluster(in, q)
	return in
}

// askK8s asks the entry point k8s, and turns an answer against the image into a refusal.
func (a *Admission) askK8s(ctx context.Context, engine contract.Engine, in *contract.Input, verdict *ImageVerdict) error {
	d, err := engine.Decide(ctx, in)
	if err != nil {
		return err
	}
	verdict.Until = contract.Earlier(verdict.Until, d.ValidUntil)
	for _, w := range d.Warn {
		verdict.Warnings = append(verdict.Warnings, sentence.Clip(w.Policy+": "+w.Message, sentence.Max))
	}
	if d.Allow {
		return nil
	}
	r := contract.Reason{Code: "policy.malformed", Message: "a policy refuses without a reason"}
	if len(d.Deny) > 0 {
		r = d.Deny[0]
	}
	verdict.Outcome, verdict.Code = ImageRefused, r.Code
	verdict.Message = sentence.Of(fmt.Sprintf("%s is refused by the policy %s", in.K8s.Image, r.Policy), r.Message, r.Remedy)
	return nil
}

// refusedImage makes the verdict of a pull that the gate refuses. Whatever else went wrong is no answer, and stays an error.
func refusedImage(q *asked.Image, err error) (*ImageVerdict, error) {
	v := &ImageVerdict{Outcome: ImageRefused}
	e, ok := errors.AsType[*store.Error](err)
	switch {
	case ok && e.Code == store.CodeDenied:
		v.Code, _, _ = strings.Cut(e.Detail, ": ")
		v.Message = e.Message
	case ok && (e.Code == store.CodeManifestUnknown || e.Code == store.CodeNameUnknown):
		v.Code, v.Message = CodeImageAbsent, sentence.Of(imageName(q)+" is not in this registry", "", "push it, or correct the name")
	default:
		return nil, err
	}
	return v, nil
}

func imageName(q *asked.Image) string {
	if q.Reference.Digest != "" {
		return string(q.Repository) + "@" + string(q.Reference.Digest)
	}
	return string(q.Repository) + ":" + q.Reference.Tag
}

// ImageFor is Image for one principal: of what it may not read it learns nothing.
func (a *Admission) ImageFor(ctx context.Context, p access.Principal, q asked.Image) (*ImageVerdict, error) {
	if !q.Elsewhere {
		if err := p.MayRead(q.Repository, sight.Unknown()); err != nil {
			return refusedImage(&q, err)
		}
	}
	return a.Image(ctx, q)
}
