package cli

import (
	"fmt"
	"strings"

	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/waiverkeep"
)

// Reasons prints why something was refused or warned of, with the remedies.
func Reasons(field func(name, format string, args ...any), name string, list []contract.Reason) {
	for _, r := range list {
		field(name, "[%s] %s", r.Code, r.Message)
		field("  remedy", "%s", r.Remedy)
		if _, known := policies.Page(r.Code); known {
			field("  help", "assay policy codes %s", r.Code)
		}
	}
}

// WaivedLines shows the denials that waivers cover.
func WaivedLines(field func(name, format string, args ...any), list []contract.Waived) {
	for _, w := range list {
		field("waived", "[%s] %s (waiver %s, until %s)", w.Code, w.Message, w.Waiver, Moment(w.Expires))
	}
}

// WaiverLine is a waiver about an image, and whether it counts.
func WaiverLine(w waiverkeep.View) string {
	line := fmt.Sprintf("%s (%s): %s until %s, approved by %s: %s", w.ID, w.State, strings.Join(w.Codes, ","), Moment(w.Expires), w.Approver, w.Reason)
	if w.State == waiverkeep.Revoked && w.Revocation != nil {
		line += "; revoked by " + w.Revocation.By
	}
	return line
}
