package sigstore

import (
	"fmt"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// authority is an authority of kind "key" with its keys ready for use.
type authority struct {
	verify.Authority
	keys []*key
}

// load reads the keys of every authority of kind "key" that covers repo.
func load(all []verify.Authority, repo store.Name) ([]*authority, error) {
	var trusted []*authority
	for _, a := range all {
		if a.Kind != verify.KindKey || !a.Covers(repo) {
			continue
		}
		ready := &authority{Authority: a}
		for i, k := range a.Keys {
			loaded, err := loadKey(k)
			if err != nil {
				return nil, store.Errorf(store.CodeInternal, "key %d of authority %q cannot be read: %w", i+1, a.Name, err)
			}
			ready.keys = append(ready.keys, loaded)
		}
		trusted = append(trusted, ready)
	}
	return trusted, nil
}

// judge asks every authority. Proven facts come in the order of authorities; if there is none, the most telling refusal stands for all.
func judge(c *claim, subject verify.Subject, trusted []*authority) []verify.Fact {
	if len(trusted) == 0 {
		return []verify.Fact{refuse(c.fact, verify.CodeNoAuthority,
			"No authority with keys speaks for the repository %s; an administrator adds one with assay trust add.", subject.Repository)}
	}
	var proven []verify.Fact
	var telling *verify.Fact
	for _, a := range trusted {
		f := a.judge(c, subject.Repository)
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

// judge asks every key of one authority: the proven fact that counts longest, else the most telling refusal.
func (a *authority) judge(c *claim, repo store.Name) verify.Fact {
	best := refuse(c.fact, verify.CodeUntrustedKey,
		"No key of the authorities that speak for this repository made the signature; sign with a trusted key, or have the signer's added with assay trust add.")
	if c.certified {
		best = refuse(c.fact, verify.CodeUnsupported,
			"The signature was made with a certificate and by no key of the authorities that speak for this repository; sign with a trusted key (cosign sign --key).")
	}
	for _, k := range a.keys {
		f := a.byKey(c, k, repo)
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
func (a *authority) byKey(c *claim, k *key, repo store.Name) verify.Fact {
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
	if c.reference != nil {
		f.ClaimedReference = cut(*c.reference)
	}
	switch {
	case k.Revoked:
		return refuse(f, verify.CodeRevokedKey, "The key %s of authority %s is revoked; sign again with a current key.", k.ID, a.Name)
	case c.reference != nil && !a.Accepts(*c.reference, repo):
		return refuse(f, verify.CodeOtherRepository,
			"Authority %s signed this for %s, not for the repository %s; sign it there, or permit the copy with promote_from.", a.Name, quoted(f.ClaimedReference), repo)
	case !c.names:
		return refuse(f, verify.CodeDigestMismatch,
			"Authority %s signed another digest than this one; the manifest was changed, or the signature attached to the wrong one.", a.Name)
	}
	f.Verified = true
	f.ValidFrom, f.ValidUntil = k.NotBefore, k.NotAfter
	f.Annotations = c.annotations
	if c.summary != nil {
		f.Summary = c.summary()
	}
	return f
}

// cut and quoted keep signed text, which may say anything, short and printable.
func cut(s string) string {
	if len(s) > verify.MaxText {
		return s[:verify.MaxText]
	}
	return s
}

func quoted(s string) string {
	if s == "" {
		return "no repository"
	}
	if len(s) > 100 {
		s = s[:100]
	}
	return fmt.Sprintf("%q", s)
}
