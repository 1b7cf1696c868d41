package waiver

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
)

// Waive takes the denials out of a decision that a waiver of its input covers. It is pure, and the only place where a waiver has an effect: live, replayed and by
// hand. Each denial is covered by one waiver as a whole, so that several together reach no further than each by itself. What the caller derives Allow from is left.
func Waive(d *contract.Decision, in *contract.Input) {
	if len(in.Waivers) == 0 || len(d.Deny) == 0 {
		return
	}
	var left []contract.Reason
	glass := map[string]bool{}
	for _, r := range d.Deny {
		w := coveredBy(r, in)
		if w == nil {
			left = append(left, r)
			continue
		}
		d.Waived = append(d.Waived, contract.Waived{Code: r.Code, Message: r.Message, Subject: r.Subject, Policy: r.Policy, Waiver: w.ID, Expires: w.Expires, BreakGlass: breakGlass(w)})
		d.ValidUntil = contract.Earlier(d.ValidUntil, w.Expires)
		if breakGlass(w) && !glass[w.ID] {
			glass[w.ID] = true
			d.Warn = append(d.Warn, contract.Reason{Code: contract.CodeBreakGlass, Subject: r.Subject, Policy: r.Policy,
				Message: sentence.Clip("break glass "+w.ID+" by "+w.Approver+" until "+w.Expires.UTC().Format(time.RFC3339)+" lets this through: "+w.Reason, sentence.Max)})
		}
	}
	d.Deny = left
}

// coveredBy is the waiver that covers a denial: one that names the code before break glass, then the one that lasts longest.
func coveredBy(r contract.Reason, in *contract.Input) *contract.WaiverInput {
	var best *contract.WaiverInput
	for i := range in.Waivers {
		w := &in.Waivers[i]
		if covers(w, r, in.Request.Time) && (best == nil || compare(w, best) < 0) {
			best = w
		}
	}
	return best
}

func compare(w, o *contract.WaiverInput) int {
	glass := func(w *contract.WaiverInput) int {
		if breakGlass(w) {
			return 1
		}
		return 0
	}
	return cmp.Or(glass(w)-glass(o), o.Expires.Compare(w.Expires), strings.Compare(w.ID, o.ID))
}

func covers(w *contract.WaiverInput, r contract.Reason, now time.Time) bool {
	switch {
	case !w.Verified || w.Expires.IsZero() || !now.Before(w.Expires) || now.Before(w.NotBefore) || !waivable(r.Code):
		return false
	case len(w.Policies) > 0 && !slices.Contains(w.Policies, r.Policy):
		return false
	case breakGlass(w):
		return !w.NotBefore.IsZero() && w.Expires.Sub(w.NotBefore) <= MaxBreakGlass
	}
	return nameable(r.Code) && slices.Contains(w.Codes, r.Code)
}

func breakGlass(w *contract.WaiverInput) bool { return slices.Contains(w.Codes, AllCodes) }
