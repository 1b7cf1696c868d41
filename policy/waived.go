package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
)

// WaiverInput is a waiver that covers the subject and counts now: part of policy.input/v1.
type WaiverInput struct {
	ID          string    `json:"id"`
	Codes       []string  `json:"codes"`
	Policies    []string  `json:"policies,omitempty"` // none is every policy
	Reason      string    `json:"reason,omitempty"`
	Ticket      string    `json:"ticket,omitempty"`
	Approver    string    `json:"approver"`
	Authorities []string  `json:"authorities,omitempty"` // that signed it
	NotBefore   time.Time `json:"not_before,omitzero"`
	Expires     time.Time `json:"expires"` // of the waiver, or of what proves it
	Verified    bool      `json:"verified"`
}

// Waived is a denial that does not count, and why.
type Waived struct {
	Code       string       `json:"code"`
	Message    string       `json:"msg"`
	Subject    store.Digest `json:"subject,omitempty"`
	Policy     string       `json:"policy"`
	Waiver     string       `json:"waiver"` // its id
	Expires    time.Time    `json:"expires"`
	BreakGlass bool         `json:"break_glass,omitempty"` // it waives all codes
}

// CodeBreakGlass is the warning that something is admitted although policies deny it.
const CodeBreakGlass = "waiver.break_glass"

// Waive takes the denials out of a decision that a waiver of its input covers. It is pure, and the only place where a waiver has an effect: live, replayed and by
// hand. Each denial is covered by one waiver as a whole, so that several together reach no further than each by itself. What the caller derives Allow from is left.
func Waive(d *Decision, in *Input) {
	if len(in.Waivers) == 0 || len(d.Deny) == 0 {
		return
	}
	var left []Reason
	glass := map[string]bool{}
	for _, r := range d.Deny {
		w := coveredBy(r, in)
		if w == nil {
			left = append(left, r)
			continue
		}
		d.Waived = append(d.Waived, Waived{Code: r.Code, Message: r.Message, Subject: r.Subject, Policy: r.Policy, Waiver: w.ID, Expires: w.Expires, BreakGlass: w.breakGlass()})
		d.ValidUntil = earlier(d.ValidUntil, w.Expires)
		if w.breakGlass() && !glass[w.ID] {
			glass[w.ID] = true
			d.Warn = append(d.Warn, Reason{Code: CodeBreakGlass, Subject: r.Subject, Policy: r.Policy,
				Message: clip("break glass "+w.ID+" by "+w.Approver+" until "+w.Expires.UTC().Format(time.RFC3339)+" lets this through: "+w.Reason, maxMessage)})
		}
	}
	d.Deny = left
}

// coveredBy is the waiver that covers a denial: one that names the code before break glass, then the one that lasts longest.
func coveredBy(r Reason, in *Input) *WaiverInput {
	var best *WaiverInput
	for i := range in.Waivers {
		w := &in.Waivers[i]
		if w.covers(r, in.Request.Time) && (best == nil || w.compare(best) < 0) {
			best = w
		}
	}
	return best
}

func (w *WaiverInput) compare(o *WaiverInput) int {
	glass := func(w *WaiverInput) int {
		if w.breakGlass() {
			return 1
		}
		return 0
	}
	return cmp.Or(glass(w)-glass(o), o.Expires.Compare(w.Expires), strings.Compare(w.ID, o.ID))
}

func (w *WaiverInput) covers(r Reason, now time.Time) bool {
	switch {
	case !w.Verified || w.Expires.IsZero() || !now.Before(w.Expires) || now.Before(w.NotBefore) || !waivable(r.Code):
		return false
	case len(w.Policies) > 0 && !slices.Contains(w.Policies, r.Policy):
		return false
	case w.breakGlass():
		return !w.NotBefore.IsZero() && w.Expires.Sub(w.NotBefore) <= MaxBreakGlass
	}
	return slices.Contains(w.Codes, r.Code)
}

func (w *WaiverInput) breakGlass() bool { return slices.Contains(w.Codes, AllCodes) }

// waivers are the ids of the waivers that a decision needed, or of those of all codes among them.
func (d *Decision) waivers(glass bool) []string {
	if d == nil {
		return nil
	}
	var ids []string
	for _, w := range d.Waived {
		if (w.BreakGlass || !glass) && !slices.Contains(ids, w.Waiver) {
			ids = append(ids, w.Waiver)
		}
	}
	return ids
}

// letThrough is the reason of an audit record: of what is admitted by break glass, that.
func letThrough(reason string, d *Decision) string {
	if ids := d.waivers(true); len(ids) > 0 && d.Allow {
		return clip(because("break glass "+strings.Join(ids, ", "), reason), maxMessage)
	}
	return reason
}
