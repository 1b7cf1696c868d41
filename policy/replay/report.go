package replay

import (
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// Options say what is replayed, and how much is told.
type Options struct {
	Repositories store.Globs // empty is all
	Examples     int         // of each kind of difference; at most 1,000
	// Progress is told, from one goroutine at a time, how many manifests were looked at; nil tells nobody.
	Progress func(done int)
}

// Report is what a candidate set would change. Nothing was written for it. Denied, Allowed and the differences count manifests that policies decide about.
type Report struct {
	Candidate    string    `json:"candidate"` // Engine.Revision
	Against      string    `json:"against"`   // of the set in force
	At           time.Time `json:"at"`
	Manifests    int       `json:"manifests"` // decided
	Allowed      int       `json:"allowed"`
	Denied       int       `json:"denied"`
	NewlyDenied  int       `json:"newly_denied"`
	NewlyAllowed int       `json:"newly_allowed"`
	OtherReason  int       `json:"other_reason"`
	// PullsDenied is how often those that would newly be denied were pulled within the last seven days, or since PullsSince, when counting began, where that is later. Pulls that
	// PullsUncounted are missing for want of room, since the start.
	PullsDenied    uint64    `json:"pulls_denied"`
	PullsSince     time.Time `json:"pulls_since,omitzero"`
	PullsUncounted uint64    `json:"pulls_uncounted,omitempty"`
	// Unanswered are those of Denied for which a policy gave no answer; Failed could not be looked at.
	Unanswered int `json:"unanswered,omitempty"`
	Failed     int `json:"failed,omitempty"`
	// What pulls would notice, too: tags that would show nothing or something older than now, and those that would move on.
	TagsHidden int `json:"tags_hidden"`
	TagsShown  int `json:"tags_shown"`
	// Requests are those of late at the entry points push and k8s.
	Requests []Requests        `json:"requests"`
	Reasons  []Reason          `json:"reasons"` // by entry point, policy and code, the most frequent first
	Examples []Difference      `json:"examples"`
	seen     map[reasonKey]int // index into Reasons
	told     map[reasonKey]int // examples so far, by entry point and difference
}

type reasonKey struct {
	entry        contract.Entry
	difference   shadow.Difference
	policy, code string
}

// Reason counts one reason for a difference: the reason to deny, of the candidate or, for what is newly allowed, of the set in force.
type Reason struct {
	Difference shadow.Difference `json:"difference"`
	Entry      contract.Entry    `json:"entry,omitempty"` // of differences of requests
	Policy     string            `json:"policy,omitempty"`
	Code       string            `json:"code"`
	Count      int               `json:"count"`
}

// Difference is one manifest, tag or request that would be decided otherwise.
type Difference struct {
	Difference shadow.Difference `json:"difference"`
	Entry      contract.Entry    `json:"entry,omitempty"` // of a request, as all of the next three
	Asked      uint64            `json:"asked,omitempty"` // how often
	Actor      string            `json:"actor,omitempty"`
	Namespace  string            `json:"namespace,omitempty"` // of the cluster that asked
	Repository store.Name        `json:"repository"`
	Digest     store.Digest      `json:"digest"`
	Tag        string            `json:"tag,omitempty"`  // of a difference of tags, or of a request
	Tags       []string          `json:"tags,omitempty"` // that show the manifest, at most ten
	Policy     string            `json:"policy,omitempty"`
	Code       string            `json:"code,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Remedy     string            `json:"remedy,omitempty"`
	Was        string            `json:"was,omitempty"`   // of other_reason: the code in force
	Pulls      *pulls.View       `json:"pulls,omitempty"` // of newly_denied
}

// Limits of a report.
const (
	maxReasons  = 1000
	maxExamples = 1000
	maxTags     = 10
)

// Requests is what a candidate would answer to what was asked lately at an entry point: the newest different requests, as they would be asked now.
type Requests struct {
	Entry        contract.Entry `json:"entry"`    // push, k8s
	Requests     int            `json:"requests"` // different ones
	Asked        uint64         `json:"asked"`    // how often, in all
	Since        time.Time      `json:"since,omitzero"`
	NewlyDenied  int            `json:"newly_denied"`
	NewlyAllowed int            `json:"newly_allowed"`
	OtherReason  int            `json:"other_reason"`
	Gone         int            `json:"gone,omitempty"` // about what is not here any more: not among the requests
}

// Verdict is what a set says of a manifest.
type Verdict struct {
	State                        store.State
	Code, Reason, Remedy, Policy string // of a denial
}

// Outcome is what would become of one manifest.
type Outcome struct {
	Before, After Verdict
	Pulls         *pulls.View // of what would newly be denied
	Shown         []string    // tags that show it now
	Tags          []Tag       // that would show something else
}

// Tag is a tag that would show something else.
type Tag struct {
	Name   string
	Shown  bool // by the candidate
	Reason contract.Reason
}

// add counts what became of one manifest.
func (p *Report) add(i store.Item, o *Outcome, examples int) {
	p.Manifests++
	was, is := o.Before.State == store.StateAdmitted, o.After.State == store.StateAdmitted
	if is {
		p.Allowed++
	} else {
		p.Denied++
	}
	if o.After.State == store.StatePending {
		p.Unanswered++
	}
	e := Difference{Repository: i.Repository, Digest: i.Digest, Tags: o.Shown[:min(len(o.Shown), maxTags)]}
	reason := o.After
	switch {
	case was && !is:
		e.Difference, e.Pulls = shadow.NewlyDenied, o.Pulls
		if p.NewlyDenied++; o.Pulls != nil {
			p.PullsDenied += o.Pulls.Week
		}
	case !was && is:
		e.Difference, reason = shadow.NewlyAllowed, o.Before
		p.NewlyAllowed++
	case !is && (o.Before.Code != o.After.Code || o.Before.Policy != o.After.Policy):
		e.Difference, e.Was = shadow.OtherReason, o.Before.Code
		p.OtherReason++
	}
	if e.Difference != "" {
		e.Policy, e.Code, e.Reason, e.Remedy = reason.Policy, reason.Code, sentence.Clip(reason.Reason, sentence.Max), reason.Remedy
		p.tell(e, examples)
	}
	for _, t := range o.Tags {
		e := Difference{Difference: shadow.TagShown, Repository: i.Repository, Digest: i.Digest, Tag: t.Name}
		if p.TagsShown++; !t.Shown {
			p.TagsShown--
			p.TagsHidden++
			e.Difference, e.Policy, e.Code, e.Reason, e.Remedy = shadow.TagHidden, t.Reason.Policy, t.Reason.Code, sentence.Clip(t.Reason.Message, sentence.Max), t.Reason.Remedy
		}
		if is { // else the manifest itself tells
			p.tell(e, examples)
		}
	}
}

func (p *Report) tell(e Difference, examples int) {
	k := reasonKey{e.Entry, e.Difference, e.Policy, e.Code}
	if at, ok := p.seen[k]; ok {
		p.Reasons[at].Count++
	} else if len(p.Reasons) < maxReasons {
		p.seen[k] = len(p.Reasons)
		p.Reasons = append(p.Reasons, Reason{e.Difference, e.Entry, e.Policy, e.Code, 1})
	}
	k = reasonKey{entry: e.Entry, difference: e.Difference}
	if p.told[k]++; p.told[k] <= examples {
		p.Examples = append(p.Examples, e)
	}
}
