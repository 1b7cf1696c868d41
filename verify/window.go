package verify

import (
	"fmt"
	"time"
)

// At is the fact as it stands at now: a proven fact outside [ValidFrom, ValidUntil) comes back refused with CodeKeyExpired, any other unchanged.
// Verify knows no clock, so whoever decides calls this first, with the time that is pinned to the decision.
func (f Fact) At(now time.Time) Fact {
	switch {
	case !f.Verified:
	case !f.ValidFrom.IsZero() && now.Before(f.ValidFrom):
		f.Verified, f.Code = false, CodeKeyExpired
		f.Message = fmt.Sprintf("The key %s of authority %s counts only from %s on.", f.KeyID, f.Authority, instant(f.ValidFrom))
	case !f.ValidUntil.IsZero() && !now.Before(f.ValidUntil):
		f.Verified, f.Code = false, CodeKeyExpired
		f.Message = fmt.Sprintf("The key %s of authority %s counted only until %s; sign again with a current key.", f.KeyID, f.Authority, instant(f.ValidUntil))
	}
	return f
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
