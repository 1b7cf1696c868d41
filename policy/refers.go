package policy

import (
	"encoding/json"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// scanReferrers is how many are looked at for them.
const scanReferrers = 512

// refersIn reports whether a manifest in a state is among the referrers that policies are told of. One without a state is being pushed.
func refersIn(s store.State) bool {
	return s != store.StateExpired && s != store.StateTombstoned && s != store.StateRevoked
}

// refers has the subject of a manifest that arrives decided again, where a policy reads who refers to it. What takes a referrer away is seen by transition and reconsiderAll.
func (w *writing) refers(det *store.Detail) {
	if w.t.Engine.Traits(w.in.repo).Referrers {
		w.seeds = append(w.seeds, store.Item{Repository: w.in.repo, Digest: det.Subject})
	}
}

// referredTo is what a manifest that goes is told of as a referrer, if a policy reads that.
func (w *writing) referredTo(det *store.Detail) []store.Digest {
	if det.Subject == "" || det.Registry || !w.t.Engine.Traits(w.in.repo).Referrers {
		return nil
	}
	return []store.Digest{det.Subject}
}

// referrersOf are the referrers of a manifest, but for the registry's own statements, which it makes of what it decided; nil where no policy reads them.
func (a *Admission) referrersOf(tx *store.Txn, t *grounds, repo store.Name, d store.Digest) (*contract.ReferrersInput, error) {
	if !t.Engine.Traits(repo).Referrers {
		return nil, nil
	}
	in := &contract.ReferrersInput{List: []contract.ReferrerInput{}}
	for n, e := range tx.Edges(repo, d, "", scanReferrers+1) {
		if in.More = n == scanReferrers; in.More {
			break
		}
		s, err := a.subject(tx, store.Item{Repository: repo, Digest: e.Evidence})
		if err != nil {
			return nil, err
		}
		if s == nil || s.det.Registry || !refersIn(s.rec.State) || a.withdrawn(t, s) != nil {
			continue
		}
		if in.More = in.Count == contract.MaxReferrers; in.More {
			break
		}
		var one store.Descriptor
		if err := json.Unmarshal(e.JSON, &one); err != nil {
			return nil, store.Errorf(store.CodeInternal, "a referrer's record is damaged; run assay check: %w", err)
		}
		in.List = append(in.List, contract.ReferrerInput{Digest: one.Digest, MediaType: one.MediaType, ArtifactType: one.ArtifactType, Size: one.Size, Evidence: s.rec.Kind == store.KindEvidence})
		if in.ByArtifactType == nil {
			in.ByArtifactType = map[string]int{}
		}
		in.ByArtifactType[one.ArtifactType]++
		in.Count++
	}
	return in, nil
}
