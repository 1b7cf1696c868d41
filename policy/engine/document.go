package engine

import (
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/verify"
)

// document is one input on its way to several policies.
type document struct {
	encoder *terms.Encoder
	in      contract.Input       // a copy, with what is over by now no longer verified
	parts   *terms.Input         // what was encoded of it
	ends    map[string]time.Time // per member: when the first of its verified facts ends
}

func newDocument(e *terms.Encoder, in *contract.Input) *document {
	d := &document{encoder: e, in: *in, ends: map[string]time.Time{}}
	d.settle()
	if in.Request.Entry == contract.EntryAdmit {
		d.in.Subject.Tag = "" // unreadable there, and absent: one verdict for every reader
	}
	d.renew()
	return d
}

// renew leaves what was encoded to an evaluation that may still run and read it.
func (d *document) renew() { d.parts = terms.NewInput(d.encoder, &d.in) }

// question is the input of one evaluation: what an entry point reads, and the parameters of its policy.
func (d *document) question(r Reads, params *ast.Term) *question {
	return &question{parts: d.parts, reads: r, params: params}
}

// settle withdraws the facts whose time is over: a fact is stored with its end, and whether it still holds depends on when one asks.
func (d *document) settle() {
	now := d.in.Request.Time
	copied := false
	for i, s := range d.in.Signatures {
		if !s.Verified || s.ValidUntil.IsZero() {
			continue
		}
		if s.ValidUntil.After(now) {
			d.ends["signatures"] = earliest(d.ends["signatures"], s.ValidUntil)
			continue
		}
		if !copied {
			d.in.Signatures, copied = append([]contract.SignatureInput(nil), d.in.Signatures...), true
		}
		d.in.Signatures[i].Verified, d.in.Signatures[i].Code = false, over(s.Scheme)
	}
	copied = false
	for i, a := range d.in.Attestations {
		if !a.Verified || a.ValidUntil.IsZero() {
			continue
		}
		if a.ValidUntil.After(now) {
			d.ends["attestations"] = earliest(d.ends["attestations"], a.ValidUntil)
			continue
		}
		if !copied {
			d.in.Attestations, copied = append([]contract.AttestationInput(nil), d.in.Attestations...), true
		}
		d.in.Attestations[i].Verified, d.in.Attestations[i].Code = false, over(a.Scheme)
	}
	d.settleTUF(now)
	d.settleVulnerabilities(now)
}

// settleVulnerabilities withdraws a report whose signature no longer counts.
func (d *document) settleVulnerabilities(now time.Time) {
	v := d.in.Vulnerabilities
	switch {
	case v == nil || v.ValidUntil.IsZero():
	case v.ValidUntil.After(now):
		d.ends["vulnerabilities"] = v.ValidUntil
	default:
		d.in.Vulnerabilities = nil
	}
}

// settleTUF withdraws a match that expired metadata proved.
func (d *document) settleTUF(now time.Time) {
	t := d.in.TUF
	switch {
	case t == nil || !t.DigestMatch || t.ValidUntil.IsZero():
	case t.ValidUntil.After(now):
		d.ends["tuf"] = t.ValidUntil
	default:
		expired := *t
		expired.DigestMatch, expired.Code = false, verify.CodeTUFExpired
		d.in.TUF = &expired
	}
}

// over is the code of a fact of a scheme whose time is over.
func over(s verify.Scheme) verify.Code {
	switch s {
	case verify.SchemeTUF:
		return verify.CodeTUFExpired
	case verify.SchemeNotation:
		return verify.CodeExpired
	}
	return verify.CodeKeyExpired
}

// end is when the first fact that an entry point reads ends; zero if none does.
func (d *document) end(r Reads) time.Time {
	var end time.Time
	for _, field := range r.Fields {
		end = earliest(end, d.ends[field])
	}
	return end
}

// earliest is the earlier of two times, where zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
