package policy

import (
	"fmt"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
)

// denied renders the denials of a decision for an error at push.
func denied(what string, d *contract.Decision) error {
	if len(d.Deny) == 0 {
		return store.Errorf(store.CodeDenied, "%s is refused", what)
	}
	r := d.Deny[0]
	return &store.Error{
		Code:    store.CodeDenied,
		Message: sentence.Of(fmt.Sprintf("%s is refused by the policy %s", what, r.Policy), r.Message, r.Remedy),
		Detail:  sentence.Clip(r.Code+": "+r.Message, sentence.Max),
		Reason:  r.Code,
	}
}
