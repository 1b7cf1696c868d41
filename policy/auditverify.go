package policy

import (
	"context"
	"encoding/json"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
)

// The audit log's chain is the store's (store/chain.go). Here its end is signed, and compared.

const (
	classCheckpoint = "checkpoint"
	docAudit        = "audit"
)

func (a *Admission) auditHead(ctx context.Context) (c journal.Checkpoint, err error) {
	c = journal.Checkpoint{Log: journal.Audit, At: a.now()}
	err = a.local.View(ctx, func(s store.Snapshot) error {
		c.Size, c.Head = s.AuditHead()
		return nil
	})
	return c, err
}

// sealAudit signs the end of the audit log where it is another than the last time, so that an end that is cut off is missed even if nobody kept a checkpoint.
func (a *Admission) sealAudit(ctx context.Context) error {
	if a.o.LogKey == nil {
		return nil
	}
	c, err := a.auditHead(ctx)
	if err != nil || c.Size == 0 {
		return err
	}
	if last, err := a.sealedAudit(ctx); err == nil && last != nil && last.Size >= c.Size {
		return nil // as it was; or shorter, which stays to be seen
	}
	if c, err = c.Sign(a.o.LogKey); err != nil {
		return err
	}
	return a.local.PutDoc(ctx, classCheckpoint, docAudit, quoteNote(c.Note))
}

// sealedAudit is the last signed end in the store; nil if there is none.
func (a *Admission) sealedAudit(ctx context.Context) (*journal.Checkpoint, error) {
	docs, err := a.local.Docs(ctx, classCheckpoint)
	if err != nil || docs[docAudit] == nil {
		return nil, err
	}
	note, err := unquoteNote(docs[docAudit])
	if err != nil {
		return nil, err
	}
	return journal.ParseCheckpoint(note, a.o.LogKey.Public())
}

func (a *Admission) mayReadAudit(p access.Principal) error {
	if err := p.MayAdminister("**"); err != nil {
		return err
	}
	if a.o.LogKey == nil {
		return store.Errorf(store.CodeUnsupported, "this registry signs no audit log")
	}
	return nil
}

// CheckpointAudit is the signed end of the audit log, to be kept elsewhere.
func (a *Admission) CheckpointAudit(ctx context.Context, p access.Principal) (*journal.Checkpoint, error) {
	if err := a.mayReadAudit(p); err != nil {
		return nil, err
	}
	c, err := a.auditHead(ctx)
	if err == nil {
		c, err = c.Sign(a.o.LogKey)
	}
	return &c, err
}

// VerifyAudit follows the chain of the audit log, and compares it with the end that was signed last, and with a checkpoint that was kept elsewhere where note is not
// empty. Errors: CodeDenied, CodeInvalid.
func (a *Admission) VerifyAudit(ctx context.Context, p access.Principal, note string) (*journal.Report, error) {
	if err := a.mayReadAudit(p); err != nil {
		return nil, err
	}
	r := &journal.Report{Log: journal.Audit, Head: journal.NoHead, Problems: []string{}}
	var wanted []*journal.Checkpoint
	if own, err := a.sealedAudit(ctx); err != nil {
		r.Problem("the audit log's own checkpoint does not verify: %s", sentence.FromError(err))
	} else if own != nil {
		wanted = append(wanted, own)
	}
	if note != "" {
		c, err := journal.ParseCheckpoint(note, a.o.LogKey.Public())
		if err != nil {
			return nil, err
		}
		if c.Log != journal.Audit {
			return nil, store.Errorf(store.CodeInvalid, "this is a checkpoint of the log %s, and this log is %s", c.Log, journal.Audit)
		}
		wanted = append(wanted, c)
	}
	met := r.Meeting(wanted)
	met()
	unlinked, err := a.local.FollowAudit(ctx, func(l store.AuditLink, hash string, there bool) {
		if r.First == 0 {
			r.First = l.Seq
		}
		switch {
		case l.Seq != r.Size+1:
			r.Problem("link %d follows link %d: what lay between was removed", l.Seq, r.Size)
		case !there:
			r.Problem("record %d of the audit log (%s) was removed", l.Seq, l.ID)
		case l.Hash != hash:
			r.Problem("record %d of the audit log (%s) was changed, or put elsewhere", l.Seq, l.ID)
		}
		r.Records, r.Size, r.Head = r.Records+1, l.Seq, l.Hash
		met()
	})
	if err != nil {
		return nil, err
	}
	if unlinked > 0 {
		r.Problem("%d records of the audit log were not written by this registry", unlinked)
	}
	r.Compare(wanted)
	r.OK = len(r.Problems) == 0
	return r, nil
}

// Documents of the store are JSON.
func quoteNote(note string) []byte {
	b, err := json.Marshal(note)
	if err != nil {
		panic("policy: a note that does not marshal") // a string
	}
	return b
}

func unquoteNote(b []byte) (note string, err error) {
	if err = json.Unmarshal(b, &note); err != nil {
		err = store.Errorf(store.CodeInvalid, "it is damaged")
	}
	return note, err
}
