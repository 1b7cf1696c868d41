package policy

import (
	"context"

	"github.com/assay-registry/assay/store"
)

// The audit log's chain is the store's (store/chain.go). Here its end is signed, and compared.

const (
	classCheckpoint = "checkpoint"
	docAudit        = "audit"
)

func (a *Admission) auditHead(ctx context.Context) (c Checkpoint, err error) {
	c = Checkpoint{Log: LogAudit, At: a.now()}
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
	if c, err = c.sign(a.o.LogKey); err != nil {
		return err
	}
	return a.local.PutDoc(ctx, classCheckpoint, docAudit, quoteNote(c.Note))
}

// sealedAudit is the last signed end in the store; nil if there is none.
func (a *Admission) sealedAudit(ctx context.Context) (*Checkpoint, error) {
	docs, err := a.local.Docs(ctx, classCheckpoint)
	if err != nil || docs[docAudit] == nil {
		return nil, err
	}
	note, err := unquoteNote(docs[docAudit])
	if err != nil {
		return nil, err
	}
	return ParseCheckpoint(note, a.o.LogKey.Public())
}

func (a *Admission) mayReadAudit(p Principal) error {
	if err := p.administrator("**"); err != nil {
		return err
	}
	if a.o.LogKey == nil {
		return store.Errorf(store.CodeUnsupported, "this registry signs no audit log")
	}
	return nil
}

// CheckpointAudit is the signed end of the audit log, to be kept elsewhere.
func (a *Admission) CheckpointAudit(ctx context.Context, p Principal) (*Checkpoint, error) {
	if err := a.mayReadAudit(p); err != nil {
		return nil, err
	}
	c, err := a.auditHead(ctx)
	if err == nil {
		c, err = c.sign(a.o.LogKey)
	}
	return &c, err
}

// VerifyAudit follows the chain of the audit log, and compares it with the end that was signed last, and with a checkpoint that was kept elsewhere where note is not
// empty. Errors: CodeDenied, CodeInvalid.
func (a *Admission) VerifyAudit(ctx context.Context, p Principal, note string) (*LogReport, error) {
	if err := a.mayReadAudit(p); err != nil {
		return nil, err
	}
	r := &LogReport{Log: LogAudit, Head: noHead, Problems: []string{}}
	var wanted []*Checkpoint
	if own, err := a.sealedAudit(ctx); err != nil {
		r.problem("the audit log's own checkpoint does not verify: %s", sentenceOf(err))
	} else if own != nil {
		wanted = append(wanted, own)
	}
	if note != "" {
		c, err := ParseCheckpoint(note, a.o.LogKey.Public())
		if err != nil {
			return nil, err
		}
		if c.Log != LogAudit {
			return nil, store.Errorf(store.CodeInvalid, "this is a checkpoint of the log %s, and this log is %s", c.Log, LogAudit)
		}
		wanted = append(wanted, c)
	}
	met := r.meeting(wanted)
	met()
	unlinked, err := a.local.FollowAudit(ctx, func(l store.AuditLink, hash string, there bool) {
		if r.First == 0 {
			r.First = l.Seq
		}
		switch {
		case l.Seq != r.Size+1:
			r.problem("link %d follows link %d: what lay between was removed", l.Seq, r.Size)
		case !there:
			r.problem("record %d of the audit log (%s) was removed", l.Seq, l.ID)
		case l.Hash != hash:
			r.problem("record %d of the audit log (%s) was changed, or put elsewhere", l.Seq, l.ID)
		}
		r.Records, r.Size, r.Head = r.Records+1, l.Seq, l.Hash
		met()
	})
	if err != nil {
		return nil, err
	}
	if unlinked > 0 {
		r.problem("%d records of the audit log were not written by this registry", unlinked)
	}
	r.compare(wanted)
	r.OK = len(r.Problems) == 0
	return r, nil
}
