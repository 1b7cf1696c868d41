package vsa

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Predicate is the type of a SLSA Verification Summary (SLSA v1.0, "Verification Summary Attestation").
const Predicate = "https://slsa.dev/verification_summary/v1"

// Extension names the member of the predicate that is ours (in-toto attestation framework, "Parsing rules": an extension is named by a URI).
const Extension = "https://github.com/assay-registry/assay/verdict/v1"

// LevelAdmitted is the level that every summary states: the policies of this registry let the image pass. That is no level of SLSA's own.
const LevelAdmitted = "ASSAY_ADMITTED"

// Options say which admissions the registry attests, and how.
type Options struct {
	Key      crypto.Signer // used for nothing else; nil attests nothing
	All      bool          // every admission; otherwise those whose policies ask for it (emit_vsa)
	Verifier string        // URI by which a reader knows this registry
	Host     string        // before the repository in the resource's name; may be empty
	Version  string        // of this program
	// Validity is the longest that a summary holds. It is written anew when half of that is over.
	Validity time.Duration
	Levels   []Level
}

// Level is a level of SLSA that verified provenance under an authority stands for.
type Level struct {
	Authority string
	Level     string // SLSA_<track>_LEVEL_<n>
}

// Bounds of a summary's life.
const (
	// recheck is the shortest end that a summary takes over from a verdict. One that ends sooner is to be asked again soon, which need not change what it says.
	recheck = time.Hour
	// Pause lies at least between two summaries of one image.
	Pause     = time.Minute
	maxInputs = 256 // evidence that a summary names
)

// Statement is the predicate.
type Statement struct {
	Verifier           verifier   `json:"verifier"`
	TimeVerified       time.Time  `json:"timeVerified"`
	ResourceURI        string     `json:"resourceUri"`
	Policy             material   `json:"policy"`
	InputAttestations  []material `json:"inputAttestations,omitempty"`
	VerificationResult string     `json:"verificationResult"`
	VerifiedLevels     []string   `json:"verifiedLevels"`
	SLSAVersion        string     `json:"slsaVersion"`
	Verdict            verdict    `json:"https://github.com/assay-registry/assay/verdict/v1"`
}

type verifier struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

type material struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest"`
}

// verdict is what SLSA has no word for.
type verdict struct {
	Repository store.Name   `json:"repository"` // the summary holds there and nowhere else
	Digest     store.Digest `json:"digest"`
	Expires    time.Time    `json:"expires"`
	Policies   []policy     `json:"policies,omitempty"`
	Waived     []waived     `json:"waived,omitempty"` // what would have denied it
}

type policy struct {
	Name     string        `json:"name"`
	Mode     contract.Mode `json:"mode"`
	Revision string        `json:"revision"`
}

type waived struct {
	Code    string    `json:"code"`
	Waiver  string    `json:"waiver"`
	Expires time.Time `json:"expires"`
}

// Wants reports whether a verdict is to be attested.
func (o Options) Wants(d *contract.Decision) bool {
	return o.Key != nil && d != nil && d.Allow && (o.All || slices.Contains(d.Obligations, contract.Obligation{Type: contract.ObligationVSA}))
}

// counted lists the evidence that proved something, by digest. What the registry says itself is none.
func counted(in *contract.Input) []store.Digest {
	var list []store.Digest
	for _, s := range in.Signatures {
		if s.Verified && s.Authority != verify.ReservedAuthority && s.Evidence != "" {
			list = append(list, s.Evidence)
		}
	}
	for _, at := range in.Attestations {
		if at.Verified && at.Authority != verify.ReservedAuthority && at.Evidence != "" {
			list = append(list, at.Evidence)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(len(list), maxInputs)]
}

// levels are what a verdict proves: that it is one, and of each track the highest level of the authorities whose provenance counted.
func (o Options) levels(in *contract.Input) []string {
	best := map[string]string{}
	for _, at := range in.Attestations {
		if !at.Verified || !strings.HasPrefix(at.PredicateType, "https://slsa.dev/provenance/") {
			continue
		}
		for _, l := range o.Levels {
			track, n, ok := strings.Cut(l.Level, "_LEVEL_")
			if old := best[track]; ok && l.Authority == at.Authority && (old == "" || cmp.Compare(n, old[len(track)+len("_LEVEL_"):]) > 0) {
				best[track] = l.Level
			}
		}
	}
	all := []string{LevelAdmitted}
	for _, l := range best {
		all = append(all, l)
	}
	slices.Sort(all)
	return all
}

// Summarize makes the predicate of an admission, and says when it ends.
func (o Options) Summarize(in *contract.Input, d *contract.Decision, now time.Time) *Statement {
	resource := string(in.Subject.Repository)
	if o.Host != "" {
		resource = o.Host + "/" + resource
	}
	s := &Statement{
		Verifier: verifier{ID: o.Verifier}, TimeVerified: now.Truncate(time.Second), ResourceURI: resource + "@" + string(in.Subject.Digest),
		VerificationResult: "PASSED", VerifiedLevels: o.levels(in), SLSAVersion: "1.0",
		Verdict: verdict{Repository: in.Subject.Repository, Digest: in.Subject.Digest, Expires: o.expires(in, d, now)},
	}
	if o.Version != "" {
		s.Verifier.Version = map[string]string{"assay": o.Version}
	}
	algorithm, value, _ := strings.Cut(d.PolicySet, ":")
	s.Policy = material{URI: o.Verifier + "#policies", Digest: map[string]string{algorithm: value}}
	for _, e := range counted(in) {
		s.InputAttestations = append(s.InputAttestations, material{URI: resource + "@" + string(e), Digest: map[string]string{string(e.Algorithm()): e.Encoded()}})
	}
	for _, p := range d.Policies {
		s.Verdict.Policies = append(s.Verdict.Policies, policy{p.Name, p.Mode, p.Revision})
	}
	for _, w := range d.Waived {
		s.Verdict.Waived = append(s.Verdict.Waived, waived{w.Code, w.Waiver, w.Expires})
	}
	return s
}

// expires is the end of a summary: of its validity, of a fact, waiver or answer that it rests on, whichever comes first.
func (o Options) expires(in *contract.Input, d *contract.Decision, now time.Time) time.Time {
	end := now.Add(o.Validity)
	bound := func(t time.Time) {
		if t.After(now) {
			end = contract.Earlier(end, t)
		}
	}
	for _, s := range in.Signatures {
		if s.Verified {
			bound(s.ValidUntil)
		}
	}
	for _, at := range in.Attestations {
		if at.Verified {
			bound(at.ValidUntil)
		}
	}
	for _, w := range d.Waived {
		bound(w.Expires)
	}
	if d.ValidUntil.Sub(now) >= recheck {
		bound(d.ValidUntil)
	}
	return end.Truncate(time.Second)
}

// Mark names what a summary says, its times left out: while it stays, the summary need not be written again.
func (o Options) Mark(in *contract.Input, d *contract.Decision) string {
	s := o.Summarize(in, d, time.Time{})
	s.Verdict.Expires, s.Policy.Digest = time.Time{}, nil // a set may change where none of its policies concerns this image
	b, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Sign signs a summary about a manifest.
func (o Options) Sign(s *Statement, repo store.Name, subject store.Descriptor) (*sbom.Attachment, error) {
	predicate, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return sbom.Attest(sbom.AttachRequest{Subject: subject, Repository: repo, Created: s.TimeVerified, Signer: o.Key}, Predicate, predicate)
}
