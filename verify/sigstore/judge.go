package sigstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// refusal says why a claim proves nothing under one authority.
type refusal struct {
	code    verify.Code
	message string // one sentence of at most 300 bytes: what was found, what was wanted, what to do
}

func refused(code verify.Code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// judge asks every authority. Proven facts come in the order of authorities; if there is none, the most telling refusal stands for all.
func (v *Verifier) judge(ctx context.Context, c *claim, subject verify.Subject, trusted []*authority) []verify.Fact {
	if len(trusted) == 0 {
		return []verify.Fact{refuse(c.fact, verify.CodeNoAuthority,
			"No authority with keys or certificates speaks for the repository %s; an administrator adds one with assay trust add.", subject.Repository)}
	}
	var proven []verify.Fact
	var telling *verify.Fact
	for _, a := range trusted {
		f := v.under(ctx, a, c, subject.Repository)
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

// under judges a claim under one authority.
func (v *Verifier) under(ctx context.Context, a *authority, c *claim, repo store.Name) verify.Fact {
	if a.certified() {
		return v.byCertificate(ctx, a, c, repo)
	}
	return v.byKeys(ctx, a, c, repo)
}

// byKeys asks every key of one authority: the proven fact that counts longest, else the most telling refusal.
func (v *Verifier) byKeys(ctx context.Context, a *authority, c *claim, repo store.Name) verify.Fact {
	best := refuse(c.fact, verify.CodeUntrustedKey,
		"No key of the authorities that speak for this repository made the signature; sign with a trusted key, or have the signer's added with assay trust add.")
	if c.certified {
		best = refuse(c.fact, verify.CodeUnsupported,
			"The signature was made with a certificate and by no key of the authorities that speak for this repository; sign with a trusted key (cosign sign --key).")
	}
	for _, k := range a.keys {
		f := v.byKey(ctx, a, c, k, repo)
		switch {
		case f.Verified && (!best.Verified || longer(f, best)):
			best = f
		case !f.Verified && !best.Verified && f.Code.Tells(best.Code):
			best = f
		}
	}
	return best
}

// longer compares two proven facts by how long they count.
func longer(f, than verify.Fact) bool {
	if !f.ValidUntil.Equal(than.ValidUntil) {
		return f.ValidUntil.IsZero() || !than.ValidUntil.IsZero() && f.ValidUntil.After(than.ValidUntil)
	}
	return f.ValidFrom.Before(than.ValidFrom)
}

// byKey judges the claim under one key. The order of the checks is that of Code.Tells.
func (v *Verifier) byKey(ctx context.Context, a *authority, c *claim, k *key, repo store.Name) verify.Fact {
	switch c.signed(k) {
	case made:
	case malformed:
		return refuse(c.fact, verify.CodeMalformed, "The signed content does not parse as the type that it claims; sign again with a current cosign.")
	case unable:
		return refuse(c.fact, verify.CodeUnsupported,
			"A bare signature of the manifest's bytes cannot be checked with this type of key; sign with cosign sign --key, which signs a statement.")
	case broken:
		return refuse(c.fact, verify.CodeInvalid, "The signature does not verify: its bytes, or what they sign, were damaged or made up; sign again.")
	default:
		return refuse(c.fact, verify.CodeUntrustedKey, "") // says no more than what stands already
	}
	f := c.fact
	f.Authority, f.KeyID = a.Name, k.ID
	f.ValidFrom, f.ValidUntil = k.NotBefore, k.NotAfter
	if k.Revoked || a.revoked.keys[k.ID] {
		return c.finish(f, refused(verify.CodeRevokedKey, "The key %s of authority %s is revoked; sign again with a current key.", k.ID, a.Name))
	}
	if a.wants == (verify.Profile{}) {
		return c.finish(f, c.content(a, repo))
	}
	att, r := c.attached()
	if r != nil {
		return c.finish(f, r)
	}
	s := v.gather(ctx, a, a.trust, c, &maker{sig: c.by(k), key: k}, att)
	for _, t := range s.times {
		if !k.NotBefore.IsZero() && t.at.Before(k.NotBefore) || !k.NotAfter.IsZero() && !t.at.Before(k.NotAfter) {
			return c.finish(f, refused(verify.CodeKeyExpired, "The key %s of authority %s does not count at %s, when the signature was made; sign with a current key.", k.ID, a.Name, instant(t.at)))
		}
	}
	f = s.tell(f)
	return c.finish(f, first(s.revokedEntry(a), func() *refusal { return c.content(a, repo) }, func() *refusal { return s.lacks(a, a.wants.Timestamps) }))
}

// first is the refusal that stands, or the first that the checks give.
func first(r *refusal, checks ...func() *refusal) *refusal {
	for _, check := range checks {
		if r != nil {
			break
		}
		r = check()
	}
	return r
}

// content refuses what was signed: for another repository, or about something else.
func (c *claim) content(a *authority, repo store.Name) *refusal {
	switch {
	case c.reference != nil && !a.Accepts(*c.reference, repo):
		return refused(verify.CodeOtherRepository,
			"Authority %s signed this for %s, not for the repository %s; sign it there, or permit the copy with promote_from.", a.Name, quoted(cut(*c.reference)), repo)
	case !c.names:
		return refused(verify.CodeDigestMismatch,
			"Authority %s signed another digest than this one; the manifest was changed, or the signature attached to the wrong one.", a.Name)
	}
	return nil
}

// finish completes a fact about a signature whose maker is known: refused, or proven where nothing is wrong.
func (c *claim) finish(f verify.Fact, r *refusal) verify.Fact {
	if c.reference != nil {
		f.ClaimedReference = cut(*c.reference)
	}
	if r != nil {
		f.ValidFrom, f.ValidUntil, f.Ends = time.Time{}, time.Time{}, ""
		return refuse(f, r.code, "%s", r.message)
	}
	f.Verified, f.Signed = true, c.message.digest()
	f.Annotations = c.annotations
	if c.summary != nil {
		f.Summary = c.summary()
	}
	return f
}

// cut and quoted keep signed text, which may say anything, short and printable.
func cut(s string) string { return cutTo(s, verify.MaxText) }

func cutTo(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

func quoted(s string) string {
	if s == "" {
		return "no repository"
	}
	return fmt.Sprintf("%q", cutTo(s, 100))
}

func count(n int) string { return strconv.Itoa(n) }
