package rules

import (
	"fmt"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// RequestsDenied is how many of the requests of late would newly be denied.
func RequestsDenied(r *replay.Report) (n int) {
	for _, q := range r.Requests {
		n += q.NewlyDenied
	}
	return n
}

// PulledTimes is how often what would newly be denied was pulled, and how much that says.
func PulledTimes(r *replay.Report) string {
	text := fmt.Sprintf("%d times in the last 7 days", r.PullsDenied)
	if r.At.Sub(r.PullsSince) < 7*24*time.Hour {
		text = fmt.Sprintf("%d times since %s, when counting began", r.PullsDenied, cli.Moment(r.PullsSince))
	}
	if r.PullsUncounted > 0 {
		text += fmt.Sprintf(" (%d pulls of whatever images were too many to count)", r.PullsUncounted)
	}
	return text
}

// TooMany refuses an activation in one sentence, with an example.
func TooMany(r *replay.Report, limit int) error {
	example, pulled := "", ""
	if r.NewlyDenied > 0 {
		pulled = " (pulled " + PulledTimes(r) + ")"
	}
	for _, e := range r.Examples {
		if e.Difference == shadow.NewlyDenied || e.Difference == shadow.TagHidden {
			example = fmt.Sprintf(", such as %s@%s (%s)", e.Repository, cli.Short(string(e.Digest)), e.Code)
			break
		}
	}
	if n := RequestsDenied(r); n > 0 {
		example += fmt.Sprintf(", and refuse %d of the pushes and questions of late", n)
	}
	return store.Errorf(store.CodeConflict, "it would newly deny %d of %d manifests%s and hide %d tags%s, and at most %d are allowed; see assay policy replay --staged, then repair or waive them, or raise --max-newly-denied",
		r.NewlyDenied+r.Failed, r.Manifests, pulled, r.TagsHidden, example, limit)
}
