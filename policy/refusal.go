package policy

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// maxMessage is the most characters of what a client shows.
const maxMessage = 300

// clip keeps s within n bytes, at a character's border.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := n - len("...")
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "..."
}

// shorten keeps s within n bytes by taking out its middle, at spaces where there are some: the beginning says what, and the end why.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	head := strings.TrimSuffix(clip(s, n/3+len("...")), "...")
	if i := strings.LastIndexByte(head, ' '); i > 0 {
		head = head[:i]
	}
	tail := s[len(s)-(n-len(head)-len(" ... ")):]
	if i := strings.IndexByte(tail, ' '); i >= 0 && i < len(tail)/2 {
		tail = tail[i+1:]
	}
	for len(tail) > 0 && tail[0]&0xc0 == 0x80 {
		tail = tail[1:]
	}
	return head + " ... " + tail
}

// minWhy is what is left of a reason at least, in bytes, however long its remedy is.
const minWhy = 80

// sentence joins what, why and remedy. When there is too much, the reason loses its middle first: it is told in full elsewhere, and the remedy is what is pasted.
func sentence(what, why, remedy string) string {
	const fix = ". To fix: "
	why, remedy = strings.TrimSuffix(strings.TrimSpace(why), "."), strings.TrimSuffix(remedy, ".")
	s := what
	if why != "" && remedy != "" {
		room := maxMessage - len(".") - len(what+": "+fix+remedy)
		why = shorten(why, max(room, minWhy))
	}
	if why != "" {
		s += ": " + why
	}
	if remedy != "" {
		s += fix + remedy
	}
	s = clip(s, maxMessage-1)
	if last := s[strings.LastIndexByte(s, ' ')+1:]; remedy != "" && strings.ContainsAny(last, "@/:") {
		return s // a command that is pasted with a full stop names something else
	}
	return strings.TrimSuffix(s, ".") + "."
}

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
		Message: sentence(fmt.Sprintf("%s is %s", name, state), reason, remedy),
		Detail:  clip(code+": "+reason, maxMessage),
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
		Message: sentence(fmt.Sprintf("%s is refused by the policy %s", what, r.Policy), r.Message, r.Remedy),
		Detail:  clip(r.Code+": "+r.Message, maxMessage),
		Reason:  r.Code,
	}
}

func unknownManifest() error {
	return store.Errorf(store.CodeManifestUnknown, "there is no such manifest here")
}

func unknownBlob() error { return store.Errorf(store.CodeBlobUnknown, "there is no such blob here") }
