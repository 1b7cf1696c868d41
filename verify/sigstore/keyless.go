package sigstore

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	engine "github.com/sigstore/sigstore-go/pkg/verify"
)

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// byCertificate judges the claim under an authority that trusts certificates. The order of the checks is that of Code.Tells, but for what the logs lack: that is
// told before a missing time, which mostly comes from a log.
func (v *Verifier) byCertificate(ctx context.Context, a *authority, c *claim, repo store.Name) verify.Fact {
	att, r := c.attached()
	if r != nil {
		return refuse(c.fact, r.code, "%s", r.message)
	}
	if att.leaf == nil {
		return refuse(c.fact, verify.CodeUntrustedKey,
			"The signature was made by a key and comes without a certificate, which the authorities that speak for this repository want; sign with one, or have the key added with assay trust add.")
	}
	m, r := c.byLeaf(att.leaf, &v.memo)
	if r != nil {
		return refuse(c.fact, r.code, "%s", r.message)
	}
	t := a.trust
	if a.Kind == verify.KindX509 {
		t = t.withIntermediates(t.issuing(att.chain))
	}
	s := v.gather(ctx, a, t, c, m, att)
	p, late := s.path(t, att.leaf)
	if p == nil {
		return refuse(c.fact, verify.CodeUntrustedRoot, "The certificate was issued by %s and leads to no root of the authorities that speak for this repository; sign with a certificate of theirs.",
			printable(verify.DistinguishedName(att.leaf.RawIssuer)))
	}
	f := c.fact
	f.Authority, f.KeyID, f.Serial = a.Name, m.id, serial(att.leaf)
	who, r := bearerOf(att.leaf, a.Kind == verify.KindSigstore)
	if r != nil {
		return c.finish(f, r)
	}
	f.Issuer, f.Identity, f.Extensions = cut(who.issuer), cut(who.identity), who.extensions
	f = s.tell(f)
	needed := a.wants.Timestamps
	if a.Kind == verify.KindSigstore {
		needed = max(needed, 1)
	} else if needed == 0 {
		f.ValidFrom, f.ValidUntil, f.Ends = p.from.UTC(), p.until.UTC(), p.ends
	} else if fresh := earlier(p.fresh, s.stamps.fresh); !fresh.IsZero() {
		f.ValidUntil, f.Ends = fresh.UTC(), verify.CodeRevokedCertificate
	}
	return c.finish(f, first(a.revokedBearer(att.leaf, who, p),
		func() *refusal { return s.revokedEntry(a) },
		func() *refusal { return late },
		func() *refusal { return c.content(a, repo) },
		func() *refusal {
			if a.matches(who) {
				return nil
			}
			return a.stranger(who)
		},
		func() *refusal { return a.lacksSCT(t, p) },
		func() *refusal { return s.lacks(a, needed) }))
}

// byLeaf is the signature that the key of a certificate made, or why there is none.
func (c *claim) byLeaf(leaf *x509.Certificate, good *memo) (*maker, *refusal) {
	k, err := publicKey(leaf.PublicKey)
	if err != nil {
		return nil, refused(verify.CodeMalformed, "The certificate has a key that is not taken: %s.", sentence(err))
	}
	k.memo = good
	if !k.can(c.message) {
		return nil, refused(verify.CodeUnsupported, "A bare signature of the manifest's bytes cannot be checked with this type of key; sign with cosign sign, which signs a statement.")
	}
	if sig := c.by(k); sig != nil {
		return &maker{sig: sig, leaf: leaf, id: k.ID}, nil
	}
	return nil, refused(verify.CodeInvalid, "The signature does not verify with the certificate beside it: the bytes were damaged, or belong to another certificate; sign again.")
}

// circumstances is what logs and timestamping authorities prove of a signature.
type circumstances struct {
	logProof
	stamps  stamps
	indexes []int64
}

// gather proves what the authority's profile asks for, and looks at nothing else.
func (v *Verifier) gather(ctx context.Context, a *authority, t *trust, c *claim, m *maker, att *attached) *circumstances {
	s := &circumstances{}
	if a.wants.Tlog > 0 {
		s.logProof = v.logs(ctx, t, c, m, att)
		for _, e := range att.entries {
			s.indexes = append(s.indexes, e.GetLogIndex(), e.GetInclusionProof().GetLogIndex())
		}
	}
	if a.wants.Timestamps > 0 {
		s.stamps = t.times(m, att, c.stamped())
		s.logProof.times = append(s.logProof.times, s.stamps.times...)
	}
	s.retire(t)
	return s
}

// path finds the leaf's path to a root at every time at which the signature was seen, or at some time where there is none. late says that there is one, but not then.
func (s *circumstances) path(t *trust, leaf *x509.Certificate) (p *path, late *refusal) {
	for _, seen := range s.times {
		if p = t.pathAt(leaf, seen.at); p == nil {
			return t.everPath(leaf), expired(leaf, seen.at)
		}
	}
	if p != nil {
		return p, nil
	}
	if s.wrong != nil && s.wrong.code == verify.CodeCertificateExpired {
		late = s.wrong
	}
	return t.everPath(leaf), late
}

// expired says that a certificate, or one that issued it, was not valid at a time.
func expired(leaf *x509.Certificate, at time.Time) *refusal {
	return refused(verify.CodeCertificateExpired, "The signature was made at %s, and the certificate, valid from %s to %s, or one that issued it does not count then; sign again.",
		instant(at), instant(leaf.NotBefore), instant(leaf.NotAfter))
}

// earlier is the first of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// tell adds what is proven to a fact: the entries, and the earliest time.
func (s *circumstances) tell(f verify.Fact) verify.Fact {
	f.Logs, f.TimeSource = s.entries, verify.TimeNone
	for _, t := range s.times {
		if f.SignedAt.IsZero() || t.at.Before(f.SignedAt) {
			f.SignedAt, f.TimeSource = t.at, t.source
		}
	}
	return f
}

// revokedEntry refuses a signature with an entry that is revoked, whether or not the entry proves anything.
func (s *circumstances) revokedEntry(a *authority) *refusal {
	if len(a.revoked.entries) == 0 {
		return nil
	}
	indexes := s.indexes
	for _, e := range s.entries {
		indexes = append(indexes, e.Index)
	}
	for _, n := range indexes {
		if a.revoked.entries[n] {
			return refused(verify.CodeRevokedEntry, "The log entry %d is revoked under authority %s; sign again.", n, a.Name)
		}
	}
	return nil
}

// revokedBearer refuses a certificate that counts no more, by its key, its serial number, a revocation list, or whom it names.
func (a *authority) revokedBearer(leaf *x509.Certificate, who *bearer, p *path) *refusal {
	if id, err := verify.KeyID(leaf.PublicKey); err != nil || a.revoked.keys[id] {
		return refused(verify.CodeRevokedKey, "The key %s of the certificate is revoked under authority %s; sign again with another.", id, a.Name)
	}
	if p.cut != nil {
		return p.cut
	}
	for _, name := range append([]string{who.identity, who.subject}, who.names...) {
		if name != "" && (a.revoked.identities[name] || a.revoked.identities[cut(name)]) { // whoever revokes writes what facts show
			return refused(verify.CodeRevokedIdentity, "The identity %s is revoked under authority %s; sign again with another.", printable(name), a.Name)
		}
	}
	return nil
}

// lacksSCT refuses a certificate that was not proven to be in enough certificate logs.
func (a *authority) lacksSCT(t *trust, p *path) *refusal {
	if a.wants.SCT == 0 || engine.VerifySignedCertificateTimestamp(p.chains, a.wants.SCT, t) == nil {
		return nil
	}
	return refused(verify.CodeNoSCT, "The certificate has fewer than %d timestamps of certificate logs that authority %s trusts; sign with a certificate of an instance that logs them, or lower sct in its profile.",
		a.wants.SCT, a.Name)
}

// lacks refuses a signature with less than the profile asks for.
func (s *circumstances) lacks(a *authority, times int) *refusal {
	switch {
	case s.wrong != nil:
		return s.wrong
	case len(s.entries) < a.wants.Tlog && s.failure != nil:
		return s.failure
	case len(s.entries) < a.wants.Tlog:
		return refused(verify.CodeNoLog, "The signature has proven entries of %d transparency logs, and authority %s wants %d; sign with a log (cosign sign --tlog-upload).", len(s.entries), a.Name, a.wants.Tlog)
	case len(s.times) < times && s.stamps.cut != nil:
		return refused(verify.CodeNoTimestamp, "A timestamp beside the signature does not count. %s", s.stamps.cut.message)
	case len(s.times) < times && s.stamps.failed:
		return refused(verify.CodeNoTimestamp, "The timestamp beside the signature is of no authority that %s trusts, or about something else; complete its timestamp roots, or sign again.", a.Name)
	case len(s.times) < times:
		return refused(verify.CodeNoTimestamp, "The signature has %d trusted times, and authority %s wants %d; sign with a timestamping authority, or a transparency log that promises a time.", len(s.times), a.Name, times)
	}
	return nil
}
