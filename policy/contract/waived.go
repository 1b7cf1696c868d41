package contract

import (
	"slices"
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

// WaiverIDs are the ids of the waivers that a decision needed, or of those of all codes among them.
func (d *Decision) WaiverIDs(glass bool) []string {
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
