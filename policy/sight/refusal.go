package sight

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
)

// Refusal is the error of a pull that the gate refuses: one sentence, a short string, and where to read more.
func Refusal(repo store.Name, rec *store.ManifestRecord, ref store.Reference) error {
	det, err := rec.Detail()
	if err != nil {
		return err
	}
	return Refuse(repo, ref.String(), rec.State, det.Code, det.Reason, det.Remedy)
}

// Refuse is the error of a pull of what is in a state, by what a person called it. code may be empty.
func Refuse(repo store.Name, ref string, state store.State, code, reason, remedy string) error {
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
		Explain: ExplainPath(repo, ref),
		Reason:  code,
	}
}

// ExplainPath is the path at which the registry explains.
func ExplainPath(repo store.Name, ref string) string {
	return "/api/v1/explain?" + url.Values{"repository": {string(repo)}, "reference": {ref}}.Encode()
}

// Unknown is the error about a manifest that is not there, or that the caller may not know of.
func Unknown() error {
	return &store.Error{Code: store.CodeManifestUnknown, Message: "there is no such manifest here"} // each pull makes one, before it knows
}

// UnknownBlob is the error about a blob that is not there, or that the caller may not know of.
func UnknownBlob() error {
	return &store.Error{Code: store.CodeBlobUnknown, Message: "there is no such blob here"}
}

// IsRefusal reports whether an error says that a pull gets nothing, rather than that no answer could be had.
func IsRefusal(err error) bool {
	c := store.CodeOf(err)
	return c == store.CodeDenied || c == store.CodeManifestUnknown
}
