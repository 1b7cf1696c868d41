package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/licences"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/store"
)

// version is part of every revision: it changes when the same sources may decide otherwise.
const version = "engine/1"

// clockTTL is how long a result holds that could read the clock and returned no time; retryTTL how long a timeout does.
const (
	clockTTL = 60 * time.Second
	retryTTL = 60 * time.Second
)

// Policy is one binding: a policy, where it applies, how, and with which parameters.
type Policy struct {
	Name         string            // unique in its set
	Repositories store.Globs       // where it applies
	Mode         contract.Mode     // "" is enforce
	Source       map[string]string // text of each module by file name; *_test.rego and other files are left out
	Params       map[string]any    // checked against what the policy declares
	// The properties of semantics.md: see contract.Traits. A policy of mode shadow has no effect on them.
	EvidenceFirst bool
	AllChildren   bool
	TagsStrict    bool
}

// Options are what a set needs besides its policies.
type Options struct {
	Log *slog.Logger // nil discards
	// Deadline bounds the evaluation of one entry point of one policy; 0 is 50 ms, and a decision takes at most 2 s in any case.
	Deadline time.Duration
	// Rehearse tries what is to be compiled; nil does not. Only what came to an end there is compiled here.
	Rehearse Rehearsal
}

// Set is a compiled, immutable set of policies. It implements contract.Engine and is safe for concurrent use.
type Set struct {
	programs []*program
	revision string
	encoder  *terms.Encoder
	licences *licences.Memory
	runner   runner
	log      *slog.Logger
}

var _ contract.Engine = (*Set)(nil)

// Compile makes a set. Any problem in any policy is a *CompileError, and there is no set: a policy that cannot be read must not be left out.
func Compile(ctx context.Context, list []Policy, o Options) (*Set, error) {
	enc, err := terms.NewEncoder(reflect.TypeFor[contract.Input]())
	if err != nil {
		return nil, err
	}
	s := &Set{encoder: enc, licences: &licences.Memory{}, log: o.Log, runner: runner{deadline: o.Deadline, hard: hardDeadline}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.runner.deadline <= 0 {
		s.runner.deadline = defaultDeadline
	}
	names := map[string]bool{}
	problems, err := o.rehearsed(ctx, list)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, &CompileError{Problems: problems}
	}
	for _, p := range list {
		if p.Mode == "" {
			p.Mode = contract.ModeEnforce
		}
		p.Source, p.Params = maps.Clone(p.Source), maps.Clone(p.Params)
		if complaint := binding(p, names); complaint != "" {
			problems = append(problems, problem(p.Name, "%s", complaint))
			continue
		}
		names[p.Name] = true
		prog, more := compile(ctx, p, capabilities()) // of its own: OPA's type checker widens what built-ins declare, and what was rehearsed alone is to be what is compiled here
		problems = append(problems, more...)
		s.programs = append(s.programs, prog)
	}
	if len(problems) > 0 {
		return nil, &CompileError{Problems: problems}
	}
	s.revision = s.fingerprint()
	return s, nil
}

// binding says what is wrong with a policy apart from its source.
func binding(p Policy, taken map[string]bool) string {
	switch {
	case p.Name == "" || len(p.Name) > 64 || sentence.Clean(p.Name, 64) != p.Name:
		return "its name has 1 to 64 printable characters"
	case taken[p.Name]:
		return "there are two policies of this name"
	case len(p.Repositories) == 0:
		return `it names no repositories; "**" is all of them`
	case !slices.Contains([]contract.Mode{contract.ModeEnforce, contract.ModeWarn, contract.ModeShadow}, p.Mode):
		return fmt.Sprintf("the mode %q is none of enforce, warn, shadow", p.Mode)
	}
	for _, g := range p.Repositories {
		if _, err := store.ParseGlob(string(g)); err != nil {
			return err.Error()
		}
	}
	return ""
}

// digest names a value by the SHA-256 of its JSON, in which Go orders the keys of maps.
func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings, booleans and checked parameters come here
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// fingerprint is over source and parameters, and over the library where it is used.
func (p *program) fingerprint(params map[string]any, library bool) string {
	if library {
		return digest([]any{version, p.Source, params, policies.Library()})
	}
	return digest([]any{version, p.Source, params})
}

func (s *Set) fingerprint() string {
	bindings := []any{version}
	for _, p := range s.programs {
		bindings = append(bindings, []any{p.Name, p.Repositories, p.Mode, p.revision, p.EvidenceFirst, p.AllChildren, p.TagsStrict})
	}
	return digest(bindings)
}

// Revision names the set: sha256:<hex> over all sources, parameters and bindings, in their order.
func (s *Set) Revision() string { return s.revision }

// Traits are those of the policies that match a repository. The stricter of two wins. A policy of mode shadow has no effect, so that it neither
// matches nor tightens: a repository with nothing else is refused with policy.none.
func (s *Set) Traits(repo store.Name) contract.Traits {
	t := contract.Traits{AllChildren: true, Open: true, NoConfig: true, NoManifest: true}
	for _, p := range s.programs {
		if !p.Repositories.Match(repo) {
			continue
		}
		t.PushRules = t.PushRules || !p.open && p.entries[contract.EntryPush] != nil
		t.TagRules = t.TagRules || !p.open && p.entries[contract.EntryTag] != nil
		t.K8sRules = t.K8sRules || !p.open && p.entries[contract.EntryK8s] != nil
		for _, e := range p.entries {
			t.NoConfig, t.NoManifest = t.NoConfig && !e.reads.Config, t.NoManifest && !e.reads.Manifest
			t.Vulnerabilities = t.Vulnerabilities || e.reads.Has("vulnerabilities")
			t.Referrers, t.TagHistory = t.Referrers || e.reads.Has("referrers"), t.TagHistory || e.reads.History
		}
		if p.Mode == contract.ModeShadow {
			continue
		}
		t.Matched = true
		t.EvidenceFirst = t.EvidenceFirst || p.EvidenceFirst
		t.TagsStrict = t.TagsStrict || p.TagsStrict
		t.AllChildren = t.AllChildren && p.AllChildren
		t.Open = t.Open && p.open
		for _, e := range p.entries {
			t.WantsSBOM = t.WantsSBOM || e.reads.Has("sbom")
		}
	}
	t.AllChildren = t.AllChildren && t.Matched
	t.Open = t.Open && t.Matched
	t.PushRules, t.TagRules = t.PushRules || !t.Matched, t.TagRules || !t.Matched
	return t
}

// Decide implements contract.Engine. It is an error if the input names no known entry point, no time or another schema, and if ctx ends.
func (s *Set) Decide(ctx context.Context, in *contract.Input) (*contract.Decision, error) {
	switch {
	case in.Schema != contract.InputSchema:
		return nil, store.Errorf(store.CodeInvalid, "the input has the schema %.40q and not %s", in.Schema, contract.InputSchema)
	case !slices.Contains(entryNames(), in.Request.Entry):
		return nil, store.Errorf(store.CodeInvalid, "the input has the entry point %.40q, which is none of push, admit, tag, k8s", string(in.Request.Entry))
	case in.Request.Time.IsZero():
		return nil, store.Errorf(store.CodeInvalid, "the input has no time, and a decision is made at a time")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.runner.hard, errTimeout)
	defer cancel()
	d := &contract.Decision{Entry: in.Request.Entry, PolicySet: s.revision}
	doc := newDocument(s.encoder, in)
	matched := false
	for _, p := range s.programs {
		if !p.Repositories.Match(in.Subject.Repository) {
			continue
		}
		matched = matched || p.Mode != contract.ModeShadow
		e := p.entries[in.Request.Entry]
		if e == nil {
			continue
		}
		o, err := s.ask(ctx, p, e, doc)
		if err != nil {
			return nil, err
		}
		p.record(d, o, in.Subject.Digest)
	}
	if !matched {
		d.Deny = append(d.Deny, contract.Reason{Code: CodeNone, Subject: in.Subject.Digest,
			Message: sentence.Clean(fmt.Sprintf("No policy is in force for the repository %s, and without one nothing is admitted.", in.Subject.Repository), maxMessage),
			Remedy:  "name a policy for it in the configuration; builtin:open allows everything"})
	}
	waiver.Waive(d, in)
	d.Allow = len(d.Deny) == 0
	return d, nil
}

// record adds what a policy said to a decision, as its mode says.
func (p *program) record(d *contract.Decision, o *outcome, subject store.Digest) {
	for _, list := range [][]contract.Reason{o.deny, o.warn} {
		for i := range list {
			list[i].Policy = p.Name
			if list[i].Subject == "" {
				list[i].Subject = subject
			}
		}
	}
	d.Policies = append(d.Policies, contract.Applied{Name: p.Name, Mode: p.Mode, Revision: p.revision, Deny: len(o.deny)})
	switch p.Mode {
	case contract.ModeShadow: // recorded, no effect: neither work nor an end
		d.Shadow = append(append(d.Shadow, o.deny...), o.warn...)
		return
	case contract.ModeWarn:
		d.Warn = append(append(d.Warn, o.deny...), o.warn...)
	default:
		d.Deny = append(d.Deny, o.deny...)
		d.Warn = append(d.Warn, o.warn...)
	}
	for _, ob := range o.obligations {
		if !slices.Contains(d.Obligations, ob) {
			d.Obligations = append(d.Obligations, ob)
		}
	}
	d.ValidUntil = earliest(d.ValidUntil, o.validUntil)
}

// ask evaluates one entry point. Whatever is no answer becomes a denial; an error means that ctx ended.
func (s *Set) ask(ctx context.Context, p *program, e *entry, doc *document) (*outcome, error) {
	now := doc.in.Request.Time
	help := aids{licences: s.licences}
	if e.reads.Predicates {
		help.predicates = newPredicates(ctx, &doc.in)
	}
	if e.reads.Packages {
		help.packages = newPackages(ctx, &doc.in)
	}
	if err := p.planner.note(ctx); err != nil {
		s.log.WarnContext(ctx, "a policy cannot be planned, the interpreter goes on with it", "policy", p.Name, "error", sentence.Clean(err.Error(), 2048))
	}
	a := s.confirmed(ctx, p, e, doc, help, s.evaluate(ctx, e.run(), p, e, doc, help))
	err := a.err
	if err == nil {
		a, err = s.located(ctx, p, e, doc, help, a)
	}
	var o *outcome
	if err == nil {
		o, err = decode(a.outputs, e.outputs, now)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errTimeout) {
			return nil, cause
		}
		s.log.WarnContext(ctx, "a policy gave no answer", "policy", p.Name, "entry", string(e.name), "repository", string(doc.in.Subject.Repository),
			"digest", string(doc.in.Subject.Digest), "error", sentence.Clean(err.Error(), 2048), "stack", string(a.stack))
		return failure(p.Name, err, now), nil
	}
	if o.validUntil.IsZero() && e.reads.Clock {
		o.validUntil = now.Add(clockTTL)
	}
	o.validUntil = earliest(o.validUntil, doc.end(e.reads))
	return o, nil
}

// evaluate runs an evaluation of an entry point. What one that was given up still reads is nobody else's.
func (s *Set) evaluate(ctx context.Context, how evaluate, p *program, e *entry, doc *document, help aids) answer {
	a := s.runner.run(ctx, how, doc.question(e.reads, p.params), help, doc.in.Request.Time)
	if ctx.Err() != nil || errors.Is(a.err, errTimeout) {
		doc.renew()
	}
	return a
}

// failure is the denial for what is no answer. The cause is for the log: it may quote what was evaluated.
func failure(name string, err error, now time.Time) *outcome {
	var bad malformed
	code, what, remedy := CodeError, "ended in an error", "the log has the cause; try the recorded input with assay policy eval"
	o := &outcome{}
	switch {
	case errors.Is(err, errTimeout) || errors.Is(err, context.DeadlineExceeded):
		code, what, remedy = CodeTimeout, "did not answer in time", "the registry asks again within a minute; if it happens again the policy does too much"
		o.validUntil = now.Add(retryTTL)
	case errors.Is(err, errPanic):
		code, what = CodePanic, "failed inside the engine"
	case errors.Is(err, errUndefined), errors.As(err, &bad):
		code, what, remedy = CodeMalformed, "answered something that is no result", "the log has the cause; run assay policy check"
	}
	o.deny = []contract.Reason{{Code: code, Message: fmt.Sprintf("The policy %s %s, which refuses.", name, what), Remedy: remedy}}
	return o
}
