package policy_test

import (
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/store"
)

// What the audit log says about a manifest that was decided again names what made that necessary: the evidence that came or went.
func TestTheAuditLogNamesWhatADecisionFollowedFrom(t *testing.T) {
	k := newKit(t)
	child := k.push(pusher, app, "", "one")
	index := k.index(pusher, app, "v1", child.desc)
	n := 0
	fresh := func() map[store.Digest]policy.AuditRecord {
		t.Helper()
		page, err := k.a.Audit(k.ctx, admin, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		moves := map[store.Digest]policy.AuditRecord{}
		for _, r := range page.Items[n:] {
			if r.To != "" {
				moves[r.Digest] = r
			}
		}
		n = len(page.Items)
		return moves
	}
	for d, r := range fresh() {
		if r.By != "" {
			t.Errorf("%s was pushed, not decided again: %+v", d, r)
		}
	}
	sig := k.sign(signer, app, index.Digest, k.key)
	moves := fresh()
	for _, d := range []store.Digest{index.Digest, child.desc.Digest} {
		if r := moves[d]; r.Action != "evidence" || r.Actor != "signer" || r.By != sig.Digest || r.To != store.StateAdmitted {
			t.Errorf("signed: %+v", r)
		}
	}
	if r := moves[sig.Digest]; r.Action != "evidence" || r.By != "" {
		t.Errorf("the evidence itself: %+v", r)
	}
	k.delete(admin, app, sigTag(index.Digest))
	moves = fresh()
	for _, d := range []store.Digest{index.Digest, child.desc.Digest} {
		if r := moves[d]; r.Action != "delete" || r.Actor != "root" || r.By != sig.Digest || r.To != store.StateQuarantined {
			t.Errorf("withdrawn: %+v", r)
		}
	}
}
