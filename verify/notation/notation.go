package notation

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Verifier implements [verify.Verifier]. It has no state and may be used concurrently.
type Verifier struct {
	log *slog.Logger
}

var _ verify.Verifier = (*Verifier)(nil)

// New returns a verifier that writes to log only when a library panics: that refuses one layer with signature.internal and ends nothing.
func New(log *slog.Logger) *Verifier { return &Verifier{log: log} }

// Check is [verify.Verifier].
func (v *Verifier) Check(a verify.Authority) error {
	if a.Kind != verify.KindNotation {
		return nil
	}
	ready, err := load(a)
	if err == nil {
		_, err = ready.lists()
	}
	return err
}

// Verify is [verify.Verifier]: every layer of every evidence under every authority of kind notation that covers the subject's repository, in order. What is no
// Notary Project signature is for other engines: [verify.Unserved]. Evidence must be about the subject itself: for what a child inherits, pass the parent as
// subject. Errors: ctx's; a subject that is none; an authority whose material cannot be read, because what it would have refused stays unknown then.
func (v *Verifier) Verify(ctx context.Context, subject verify.Subject, evidence []verify.Evidence, authorities []verify.Authority) (*verify.Report, error) {
	if err := subject.Check(); err != nil {
		return nil, err
	}
	trusted, err := trusted(subject.Repository, evidence, authorities)
	if err != nil {
		return nil, err
	}
	report := &verify.Report{Facts: []verify.Fact{}}
	for i := range evidence {
		e := &evidence[i]
		for n := range e.Layers {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if n == verify.MaxLayers {
				report.Facts = append(report.Facts, tooMany(e))
				break
			}
			report.Facts = append(report.Facts, v.layer(ctx, subject, e, &e.Layers[n], trusted)...)
		}
	}
	return report, nil
}

// trusted loads the authorities that speak for the repository, if there is anything for them to judge.
func trusted(repo store.Name, evidence []verify.Evidence, authorities []verify.Authority) ([]*authority, error) {
	if !slices.ContainsFunc(evidence, func(e verify.Evidence) bool { return slices.ContainsFunc(e.Layers, ours) }) {
		return nil, nil
	}
	var all []*authority
	for _, a := range authorities {
		if a.Kind != verify.KindNotation || !a.Covers(repo) {
			continue
		}
		ready, err := load(a)
		if err != nil {
			return nil, store.Errorf(store.CodeInternal, "the material of authority %q cannot be read: %w", a.Name, err)
		}
		all = append(all, ready)
	}
	return all, nil
}

// ours reports whether a layer claims to be a signature of the Notary Project.
func ours(l verify.Layer) bool {
	scheme, _, _ := verify.SchemeOf(l.MediaType)
	return scheme == verify.SchemeNotation
}

// layer judges one layer. A panic below it becomes a fact: one malformed layer costs itself alone.
func (v *Verifier) layer(ctx context.Context, subject verify.Subject, e *verify.Evidence, l *verify.Layer, trusted []*authority) (facts []verify.Fact) {
	base := blank(e, l)
	if base.Scheme != verify.SchemeNotation {
		return []verify.Fact{verify.Unserved(base)}
	}
	defer func() {
		if cause := recover(); cause != nil {
			v.log.ErrorContext(ctx, "verification panicked", "evidence", base.Evidence, "layer", base.Layer, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			facts = []verify.Fact{refuse(base, verify.CodeInternal, "The verifier failed on this layer, which therefore counts for nothing; the log has the cause.")}
		}
	}()
	if len(trusted) == 0 {
		f := verify.Unserved(base)
		f.Code = verify.CodeNoAuthority
		return []verify.Fact{f}
	}
	c, refused := read(base, l)
	if refused != nil {
		return []verify.Fact{*refused}
	}
	return judge(ctx, c, subject, trusted)
}

// judge asks every authority. Proven facts come in the order of authorities; if there is none, the most telling refusal stands for all.
func judge(ctx context.Context, c *claim, subject verify.Subject, trusted []*authority) []verify.Fact {
	var proven []verify.Fact
	var telling *verify.Fact
	for _, a := range trusted {
		f := a.judge(ctx, c, subject)
		switch {
		case f.Verified:
			proven = append(proven, f)
		case telling == nil || f.Code.Tells(telling.Code):
			telling = &f
		}
	}
	if len(proven) > 0 {
		return proven
	}
	return []verify.Fact{*telling}
}

// blank is what is known of a layer before anything is read.
func blank(e *verify.Evidence, l *verify.Layer) verify.Fact {
	scheme, kind, _ := verify.SchemeOf(l.MediaType)
	f := verify.Fact{
		Evidence: e.Manifest.Digest, Layer: l.Digest, Found: e.Found, InheritedFrom: e.InheritedFrom,
		Kind: kind, Scheme: scheme,
	}
	if kind == verify.KindDocument {
		f.MediaType = l.MediaType
	}
	return f
}

// refuse completes a fact that proves nothing.
func refuse(f verify.Fact, code verify.Code, format string, args ...any) verify.Fact {
	f.Verified, f.Code, f.Message = false, code, fmt.Sprintf(format, args...)
	return f
}

// tooMany is the one fact about all layers after the last that is read.
func tooMany(e *verify.Evidence) verify.Fact {
	return refuse(blank(e, &e.Layers[verify.MaxLayers]), verify.CodeTooBig,
		"The evidence has %d layers and at most %d are read: this one and those after it count for nothing; attach them by another manifest.",
		len(e.Layers), verify.MaxLayers)
}

// quoted keeps text that a signer or a certificate chose short and printable.
func quoted(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return fmt.Sprintf("%q", s)
}
