package policy

import (
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
)

// letThrough is the reason of an audit record: of what is admitted by break glass, that.
func letThrough(reason string, d *contract.Decision) string {
	if ids := d.WaiverIDs(true); len(ids) > 0 && d.Allow {
		return sentence.Clip(sentence.Because("break glass "+strings.Join(ids, ", "), reason), sentence.Max)
	}
	return reason
}
