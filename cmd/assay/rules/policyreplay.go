package rules

import (
	"fmt"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/policy"
)

// RequestsDenied is how many of the requests of late would newly be denied.
func RequestsDenied(r *policy.ReplayReport) (n int) {
	for _, q := range r.Requests {
		n += q.NewlyDenied
	}
	return n
}

// PulledTimes is how often what would newly be denied was pulled, and how much that says.
func PulledTimes(r *policy.ReplayReport) string {
	text := fmt.Sprintf("%d times in the last 7 days", r.PullsDenied)
	if r.At.Sub(r.PullsSince) < 7*24*time.Hour {
		text = fmt.Sprintf("%d times since %s, when counting began", r.PullsDenied, cli.Moment(r.PullsSince))
	}
	if r.PullsUncounted > 0 {
		text += fmt.Sprintf(" (%d pulls of whatever images were too many to count)", r.PullsUncounted)
	}
	return text
}
