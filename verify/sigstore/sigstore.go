package sigstore

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
)

// Verifier implements [verify.Verifier]. It may be used concurrently. All it keeps is authorities made ready, by their revision, and which
// signatures were good.
type Verifier struct {
	log      *slog.Logger
	prepared prepared
	memo     memo
}

var _ verify.Verifier = (*Verifier)(nil)

// New returns a verifier that writes to log only when a library panics: that refuses one layer with signature.internal and ends nothing.
func New(log *slog.Logger) *Verifier { return &Verifier{log: log} }

// Verify is [verify.Verifier]: every layer of every evidence under every authority of kind key, sigstore or x509 that covers the subject's repository, in
// order. Authorities of other kinds are for other engines and are passed over. Evidence must be about the subject itself: for what a child inherits, pass
// the parent as subject. Errors: ctx's; a subject that is none; an authority whose material cannot be read, because what it
// would have refused stays unknown then.
func (v *Verifier) Verify(ctx context.Context, subject verify.Subject, evidence []verify.Evidence, authorities []verify.Authority) (*verify.Report, error) {
	if err := subject.Check(); err != nil {
		return nil, err
	}
	trusted, err := v.load(authorities, subject.Repository)
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

// layer judges one layer. A panic below it becomes a fact: one malformed layer costs itself alone.
func (v *Verifier) layer(ctx context.Context, subject verify.Subject, e *verify.Evidence, l *verify.Layer, trusted []*authority) (facts []verify.Fact) {
	base := blank(e, l)
	defer func() {
		if cause := recover(); cause != nil {
			v.log.ErrorContext(ctx, "verification panicked", "evidence", base.Evidence, "layer", base.Layer, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			facts = []verify.Fact{refuse(base, verify.CodeInternal, "The verifier failed on this layer, which therefore counts for nothing; the log has the cause.")}
		}
	}()
	c, refused := read(subject, base, l)
	if refused != nil {
		return []verify.Fact{*refused}
	}
	return v.judge(ctx, c, subject, trusted)
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

// claim is what a layer says, parsed and not yet believed.
type claim struct {
	fact verify.Fact // as it will be where nothing is wrong, but for what the key adds
	// signed tries one key.
	signed func(k *key) outcome
	// signatures are over message; where there is an envelope it is one of its signatures.
	signatures [][]byte
	message    *message
	envelope   *verify.Envelope                   // nil where the payload itself is signed
	layer      *verify.Layer                      // of cosign's own forms, with annotations
	bundle     *bundle.Bundle                     // of a sigstore bundle
	unread     []*protorekor.TransparencyLogEntry // its log entries of kinds that the library does not know
	along      func() (*attached, *refusal)
	// names reports whether the signed content names the subject.
	names bool
	// reference is the docker-reference of a format that has one.
	reference *string
	// annotations and summary are read once a key proved them.
	annotations map[string]string
	summary     func() map[string]any
	// certified: the signature comes with a certificate, so that a stranger's may be good under an authority of another kind.
	certified bool
}

// by is the signature that a key made, under any of its algorithms; nil if there is none.
func (c *claim) by(k *key) []byte {
	for _, sig := range c.signatures {
		if k.made(sig, c.message) {
			return sig
		}
	}
	return nil
}

// attached reads what came along with the signature, once, when an authority first asks for it.
func (c *claim) attached() (*attached, *refusal) {
	if c.along == nil {
		a, err := c.readAttached()
		var r *refusal
		if err != nil {
			a, r = nil, refused(verify.CodeMalformed, "What came along with the signature cannot be used: %s.", cutTo(err.Error(), 200))
		}
		c.along = func() (*attached, *refusal) { return a, r }
	}
	return c.along()
}

func (c *claim) readAttached() (*attached, error) {
	if c.bundle != nil {
		return readMaterial(c.bundle, c.unread)
	}
	return readAnnotations(c.layer.Annotations)
}

// stamped is what timestamps are over: the whole envelope where cosign keeps one as a layer; nil means the signature.
func (c *claim) stamped() []byte {
	if c.envelope != nil && c.layer != nil {
		return c.layer.Bytes
	}
	return nil
}

// outcome is the answer of one key.
type outcome int

const (
	otherKey  outcome = iota // not this key, as far as can be told
	broken                   // no key can have made these bytes, or they name this very key and do not verify
	unable                   // this key's algorithm cannot verify this form
	malformed                // the signature verifies, but the library refuses the content
	made                     // this key made it
)

// read parses a layer by what it claims to be, or says why that cannot be.
func read(subject verify.Subject, base verify.Fact, l *verify.Layer) (*claim, *verify.Fact) {
	refused := func(code verify.Code, format string, args ...any) (*claim, *verify.Fact) {
		f := refuse(base, code, format, args...)
		return nil, &f
	}
	_, _, limit := verify.SchemeOf(l.MediaType)
	if len(l.Bytes) > limit {
		return refused(verify.CodeTooBig, "The layer has %d bytes; at most %d are read of its type.", len(l.Bytes), limit)
	}
	d, err := store.ParseDigest(string(l.Digest))
	if err != nil || l.Size != int64(len(l.Bytes)) || store.DigestOf(d.Algorithm(), l.Bytes) != d {
		return refused(verify.CodeMalformed, "The layer's bytes are not those that its descriptor names.")
	}
	switch base.Scheme {
	case verify.SchemeCosign:
		return readSimpleSigning(subject, base, l)
	case verify.SchemeDSSE:
		return readEnvelope(subject, base, l)
	case verify.SchemeBundle:
		return readBundle(subject, base, l)
	case verify.SchemeNotation:
		f := verify.Unserved(base)
		return nil, &f
	}
	if base.Kind == verify.KindAttestation {
		if statement, err := verify.ParseStatement(l.Bytes); err == nil {
			base.PredicateType = statement.PredicateType
		}
		return refused(verify.CodeUnsigned, "The statement is not signed: whoever may push could have written it; sign it with cosign attest.")
	}
	return refused(verify.CodeUnsigned, "The document is not signed: whoever may push could have written it; sign it with cosign attest.")
}
