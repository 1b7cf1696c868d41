package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/explain"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
)

// remember keeps the decision by which a manifest stands where it does, and what it was made of: a new one where it says something else than the one before, and where
// it says the same of something else. Of the latter only the last is kept, so that evidence that changes nothing does not pile up. It reports whether the decision
// says something else.
func (a *Admission) remember(tx *store.Txn, t *grounds, s *subjectManifest, v *verdict) bool {
	det := s.det
	other := s.rec.State != v.state || det.Decision == "" || det.Code != v.code || det.Reason != sentence.Clip(v.reason, sentence.Max) || waiverkeep.WaivedOtherwise(det.Revision, v.revision)
	judged := v.material()
	if !other && det.Judged == judged {
		return false
	}
	if !other && det.Renewed {
		tx.DropDecision(det.Decision)
	}
	det.Decision, det.Judged, det.Renewed = v.input.Request.ID, judged, !other
	v.decision.ID = det.Decision
	a.putDecision(tx, t, s, v, a.now())
	if other {
		a.loud(tx, s, v.decision)
	}
	return other
}

// material names what a verdict was made of and what came of it, apart from when it was made and where the manifest stood before. Signatures are in the revision.
func (v *verdict) material() string {
	in, d := *v.input, *v.decision
	in.Request, in.Subject.State, in.Signatures = contract.RequestInput{}, "", nil
	d.ID, d.Policies, d.PolicySet, d.ValidUntil = "", nil, "", time.Time{}
	b, err := json.Marshal([]any{v.revision, &in, &d})
	if err != nil {
		return "" // it is remembered each time; putDecision tells
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

func (a *Admission) putDecision(tx *store.Txn, t *grounds, s *subjectManifest, v *verdict, now time.Time) {
	b, err := json.Marshal(explain.Record{ID: v.decision.ID, Repository: s.repo, Digest: s.rec.Digest, At: now, State: v.state, Authorities: t.Revisions(s.repo), Input: v.input, Result: v.decision})
	if err != nil {
		a.log.Error("a decision does not marshal", "digest", s.rec.Digest, "error", err)
		return
	}
	tx.PutDecision(v.decision.ID, b)
}
