package verify

import (
	"fmt"
	"time"
)

// At is the fact as it stands at now: a proven fact outside [ValidFrom, ValidUntil) comes back refused with the code that Ends names, or CodeKeyExpired; any other
// unchanged. Verify knows no clock, so whoever decides calls this first, with the time that is pinned to the decision.
func (f Fact) At(now time.Time) Fact {
	switch {
	case !f.Verified:
	case !f.ValidFrom.IsZero() && now.Before(f.ValidFrom):
		f.Verified = false
		f.Code, f.Message = f.early()
	case !f.ValidUntil.IsZero() && !now.Before(f.ValidUntil):
		f.Verified = false
		f.Code, f.Message = f.late()
	}
	return f
}

// early and late are the refusals before and after the window.
func (f Fact) early() (Code, string) {
	switch f.Ends {
	case CodeCertificateExpired, CodeExpired, CodeRevokedCertificate: // what ends so was made with a certificate
		return CodeCertificateExpired, fmt.Sprintf("The certificate of %q counts under authority %s only from %s on.", f.Identity, f.Authority, instant(f.ValidFrom))
	}
	return CodeKeyExpired, fmt.Sprintf("The key %s of authority %s counts only from %s on.", f.KeyID, f.Authority, instant(f.ValidFrom))
}

func (f Fact) late() (Code, string) {
	until := instant(f.ValidUntil)
	switch f.Ends {
	case "":
		return CodeKeyExpired, fmt.Sprintf("The key %s of authority %s counted only until %s; sign again with a current key.", f.KeyID, f.Authority, until)
	case CodeExpired:
		return f.Ends, fmt.Sprintf("The signature by %q under authority %s was made to count only until %s; sign again.", f.Identity, f.Authority, until)
	case CodeCertificateExpired:
		return f.Ends, fmt.Sprintf("The certificate of %q under authority %s ended at %s, and no trusted timestamp shows that the signature is older; sign again with a current one, and a timestamp.",
			f.Identity, f.Authority, until)
	case CodeRevokedCertificate:
		return f.Ends, fmt.Sprintf("Whether the certificate of %q, or of who stamped the time, is revoked is not known since %s, when a revocation list of authority %s ran out; give a newer one as crls.", f.Identity, until, f.Authority)
	}
	return f.Ends, fmt.Sprintf("What authority %s says counted only until %s; it must be renewed.", f.Authority, until)
}

// At is the report with every fact as it stands at now. r is not changed.
func (r *Report) At(now time.Time) *Report {
	at := &Report{Facts: make([]Fact, len(r.Facts))}
	for i, f := range r.Facts {
		at.Facts[i] = f.At(now)
	}
	return at
}

// NextChange is the first instant after now at which a proven fact begins or ceases to count; zero if there is none. A verdict made of the facts
// at now lasts no longer. It is meant for the report that Verify gave, before At.
func (r *Report) NextChange(now time.Time) time.Time {
	var next time.Time
	for _, f := range r.Facts {
		if !f.Verified {
			continue
		}
		for _, t := range [...]time.Time{f.ValidFrom, f.ValidUntil} {
			if !t.IsZero() && t.After(now) && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	return next
}
