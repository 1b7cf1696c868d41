package waiver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
)

// Type is the artifact type of a waiver's document: a manifest whose one layer it is, so that there is something to sign a statement about.
const Type = "application/vnd.assay.waiver.v1+json"

// Limits of a waiver.
const (
	MaxBytes      = 64 << 10            // bytes of the document
	MaxBreakGlass = 24 * time.Hour      // from not_before to expires, where all codes are waived
	DefaultMax    = 30 * 24 * time.Hour // the same of any other, unless configured

	maxCodes = 64 // also of repositories, digests, policies
	maxText  = 200
)

// AllCodes waives every code that can be waived: break glass.
const AllCodes = "*"

// Waiver is an exception from policies, for a time, that somebody answers for: the denials with one of the codes, of the policies, about what it matches, do not
// count. It is the predicate of a signed statement (verify.PredicateWaiver), and counts by that signature alone, wherever it was carried from.
type Waiver struct {
	ID    string   `json:"id"`    // [A-Za-z0-9][A-Za-z0-9._-]{0,63}: by it the waiver is revoked
	Codes []string `json:"codes"` // of the catalogue, exact; or AllCodes alone
	Match Match    `json:"match"`

	Reason    string    `json:"reason"` // at most 300 bytes
	Ticket    string    `json:"ticket,omitempty"`
	Approver  string    `json:"approver"`
	NotBefore time.Time `json:"not_before,omitzero"` // mandatory for break glass
	Expires   time.Time `json:"expires"`
}

// Match says what a waiver is about: every member that is given has to match.
type Match struct {
	Repositories store.Globs `json:"repositories"`
	// Digests are manifests, or indexes with what they list. Without any, a statement about the waiver's own document is about all manifests of the repositories, and
	// a statement about some other manifest about that one alone.
	Digests  []store.Digest `json:"digests,omitempty"`
	Policies []string       `json:"policies,omitempty"` // names of bindings; none is every policy
}

// Parse reads a waiver strictly: an unknown member is an error, because it could have been meant to narrow. Errors: CodeInvalid.
func Parse(b []byte) (*Waiver, error) {
	if len(b) > MaxBytes {
		return nil, store.Errorf(store.CodeInvalid, "a waiver has at most %d KiB", MaxBytes>>10)
	}
	w := new(Waiver)
	if err := store.DecodeJSON(b, w); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the waiver cannot be read: %w", err)
	}
	strict := json.NewDecoder(bytes.NewReader(b))
	strict.DisallowUnknownFields()
	if err := strict.Decode(new(Waiver)); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the waiver has a member that no waiver has, and what was meant by it is not guessed: %w", err)
	}
	w.NotBefore, w.Expires = w.NotBefore.UTC(), w.Expires.UTC()
	return w, w.Validate()
}

// Validate checks everything that the document alone can say. Errors: CodeInvalid, a sentence with a remedy.
func (w *Waiver) Validate() error {
	if !ValidID(w.ID) {
		return store.Errorf(store.CodeInvalid, "the id of a waiver has 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit; %.80q has not", w.ID)
	}
	if err := w.checkCodes(); err != nil {
		return err
	}
	if err := w.checkMatch(); err != nil {
		return err
	}
	for _, text := range []struct{ name, value string }{{"reason", w.Reason}, {"approver", w.Approver}} {
		if strings.TrimSpace(text.value) == "" {
			return store.Errorf(store.CodeInvalid, "the waiver %s has no %s; whoever reads the audit wants it", w.ID, text.name)
		}
	}
	if len(w.Reason) > sentence.Max || len(w.Approver) > maxText || len(w.Ticket) > maxText {
		return store.Errorf(store.CodeInvalid, "the waiver %s is too wordy: reason has at most %d bytes, approver and ticket %d", w.ID, sentence.Max, maxText)
	}
	switch {
	case w.Expires.IsZero():
		return store.Errorf(store.CodeInvalid, "the waiver %s has no expires; no waiver lasts for ever", w.ID)
	case w.NotBefore.IsZero() && w.BreakGlass():
		return store.Errorf(store.CodeInvalid, "the waiver %s waives all codes and has no not_before; break glass says when it begins", w.ID)
	case !w.Expires.After(w.NotBefore):
		return store.Errorf(store.CodeInvalid, "the waiver %s ends before it begins; expires is later than not_before", w.ID)
	case w.BreakGlass() && w.Expires.Sub(w.NotBefore) > MaxBreakGlass:
		return store.Errorf(store.CodeInvalid, "the waiver %s waives all codes for more than %d hours; shorten it, or name the codes", w.ID, int(MaxBreakGlass.Hours()))
	}
	return nil
}

// ValidID reports whether a waiver may have the id: 1 to 64 letters, digits, dots, underscores and hyphens, the first a letter or digit.
func ValidID(id string) bool {
	if id == "" || len(id) > 64 || strings.ContainsRune("._-", rune(id[0])) {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	}) < 0
}

func (w *Waiver) checkCodes() error {
	if len(w.Codes) == 0 || len(w.Codes) > maxCodes {
		return store.Errorf(store.CodeInvalid, "the waiver %s has %d codes; name 1 to %d of those that refusals show, such as vuln.threshold", w.ID, len(w.Codes), maxCodes)
	}
	if w.BreakGlass() {
		return nil
	}
	for _, c := range w.Codes {
		family, name, ok := strings.Cut(c, ".")
		switch {
		case c == AllCodes:
			return store.Errorf(store.CodeInvalid, "the waiver %s names %q beside other codes; it stands alone", w.ID, AllCodes)
		case !ok || family == "" || name == "" || len(c) > 64 || strings.Trim(c, "abcdefghijklmnopqrstuvwxyz0123456789_.") != "":
			return store.Errorf(store.CodeInvalid, "the waiver %s names %.80q, which is no code; write it as a refusal shows it, such as vuln.threshold", w.ID, c)
		case !waivable(c):
			return store.Errorf(store.CodeInvalid, "the waiver %s names %s: what says that there is no answer, or that a digest is revoked, cannot be waived", w.ID, c)
		case !nameable(c):
			return store.Errorf(store.CodeInvalid, "the waiver %s names %s, which stands for all that policies would say that are not there; only break glass lets that through", w.ID, c)
		}
	}
	return nil
}

// waivable: codes of the engine say that there was no answer, and those of a state that the digest is withdrawn. No answer is a refusal.
func waivable(code string) bool {
	return code != "" && !strings.HasPrefix(code, "policy.") && !strings.HasPrefix(code, "state.")
}

// nameable: a policy that could not be had refuses with a code of its own. Who waives that waives all of the policy, as only break glass may.
func nameable(code string) bool {
	return waivable(code) && !strings.HasPrefix(code, "policies.") && code != "tuf.policies"
}

func (w *Waiver) checkMatch() error {
	m := w.Match
	if len(m.Repositories) == 0 {
		return store.Errorf(store.CodeInvalid, "the waiver %s matches no repository; list patterns in match.repositories, such as \"acme/app\"", w.ID)
	}
	if len(m.Repositories) > maxCodes || len(m.Digests) > maxCodes || len(m.Policies) > maxCodes {
		return store.Errorf(store.CodeInvalid, "the waiver %s has more than %d repositories, digests or policies; make several", w.ID, maxCodes)
	}
	for _, g := range m.Repositories {
		if _, err := store.ParseGlob(string(g)); err != nil {
			return err
		}
	}
	for _, d := range m.Digests {
		if _, err := store.ParseDigest(string(d)); err != nil {
			return store.Errorf(store.CodeInvalid, "the waiver %s matches %.80q, which is no digest; write sha256: and 64 hexadecimal digits", w.ID, d)
		}
	}
	for _, p := range m.Policies {
		if p == "" || len(p) > 64 {
			return store.Errorf(store.CodeInvalid, "the waiver %s names a policy of %d bytes; use the name of its binding", w.ID, len(p))
		}
	}
	return nil
}

// BreakGlass reports whether all codes are waived.
func (w *Waiver) BreakGlass() bool { return len(w.Codes) == 1 && w.Codes[0] == AllCodes }

// Everywhere reports whether the waiver can reach repositories that nobody named: a pattern whose first component has a wildcard. That takes two signers.
func (w *Waiver) Everywhere() bool {
	return slices.ContainsFunc(w.Match.Repositories, func(g store.Glob) bool {
		first, _, _ := strings.Cut(string(g), "/")
		return strings.Contains(first, "*")
	})
}

// Covers reports whether the waiver is about a manifest, by one of its digests or by that of an index that lists it.
func (w *Waiver) Covers(repo store.Name, ds []store.Digest) bool {
	if !w.Match.Repositories.Match(repo) {
		return false
	}
	return len(w.Match.Digests) == 0 || slices.ContainsFunc(ds, func(d store.Digest) bool { return slices.Contains(w.Match.Digests, d) })
}

// Document is the one spelling of the waiver: what a statement about the waiver itself is about.
func (w *Waiver) Document() []byte {
	b, err := json.Marshal(w)
	if err != nil {
		panic("policy: a waiver that does not marshal") // strings and times
	}
	return b
}

// Carrier is the manifest of the document, with what it references: the config and the one layer. Its digest depends on the document alone.
func (w *Waiver) Carrier() (d store.Descriptor, manifest []byte, blobs [][]byte) {
	document := w.Document()
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: Type, Config: ocispec.DescriptorEmptyJSON,
		Layers: []store.Descriptor{{MediaType: Type, Digest: store.DigestOf(digest.SHA256, document), Size: int64(len(document))}}}
	manifest, err := json.Marshal(m)
	if err != nil {
		panic("policy: a carrier that does not marshal")
	}
	return store.Descriptor{MediaType: m.MediaType, ArtifactType: Type, Digest: store.DigestOf(digest.SHA256, manifest), Size: int64(len(manifest))}, manifest, [][]byte{[]byte("{}"), document}
}

// About narrows a waiver that names no digest to what its statement is about, unless that is its own document.
func (w *Waiver) About(d store.Digest) *Waiver {
	if carrier, _, _ := w.Carrier(); len(w.Match.Digests) > 0 || d == carrier.Digest {
		return w
	}
	narrow := *w
	narrow.Match.Digests = []store.Digest{d}
	return &narrow
}

// Needed is how many signers a waiver needs.
func (w *Waiver) Needed() int {
	if w.Everywhere() {
		return 2
	}
	return 1
}

// String names the waiver for a person.
func (w *Waiver) String() string {
	what := strings.Join(w.Codes, ", ")
	if w.BreakGlass() {
		what = "every code (break glass)"
	}
	return fmt.Sprintf("%s waives %s until %s, approved by %s", w.ID, what, w.Expires.Format(time.RFC3339), w.Approver)
}
