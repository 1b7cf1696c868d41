package policy

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
)

// refusal is the error of a pull that the gate refuses: one sentence, a short string, and where to read more.
func refusal(repo store.Name, rec *store.ManifestRecord, ref store.Reference) error {
	det, err := rec.Detail()
	if err != nil {
		return err
	}
	return refuse(repo, ref.String(), rec.State, det.Code, det.Reason, det.Remedy)
}

func refuse(repo store.Name, ref string, state store.State, code, reason, remedy string) error {
	name := string(repo)
	if ref != "" && !strings.Contains(ref, ":") {
		name += ":" + ref
	}
	if code == "" {
		code = "state." + string(state)
	}
	return &store.Error{
		Code:    store.CodeDenied,
		Message: sentence.Of(fmt.Sprintf("%s is %s", name, state), reason, remedy),
		Detail:  sentence.Clip(code+": "+reason, sentence.Max),
		Explain: explainPath(repo, ref),
		Reason:  code,
	}
}

func explainPath(repo store.Name, ref string) string {
	return "/api/v1/explain?" + url.Values{"repository": {string(repo)}, "reference": {ref}}.Encode()
}

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

func unknownManifest() error {
	return &store.Error{Code: store.CodeManifestUnknown, Message: "there is no such manifest here"} // each pull makes one, before it knows
}

func unknownBlob() error {
	return &store.Error{Code: store.CodeBlobUnknown, Message: "there is no such blob here"}
}
