package policy

import (
	"context"
	"fmt"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/pins"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Authorities lists who is trusted, from the configuration and from the store, as they count: with what was revoked, and what TUF repositories supplied.
func (a *Admission) Authorities(_ context.Context, p access.Principal) ([]verify.Authority, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	as := []verify.Authority{}
	for _, au := range a.Trust().Authorities {
		as = append(as, au.Authority)
	}
	return as, nil
}

// AddAuthority trusts someone. What waits for exactly that signature is decided again before its next pull.
// Errors: CodeInvalid, CodeConflict when the name is taken.
func (a *Admission) AddAuthority(ctx context.Context, p access.Principal, au verify.Authority) error {
	if err := p.MayAdminister(au.Repositories...); err != nil {
		return a.refusedChange(ctx, p, AuditRecord{}, err)
	}
	au.Origin = "runtime"
	if err := au.Validate(); err != nil {
		return err
	}
	if au.Kind == verify.KindTUF {
		return store.Errorf(store.CodeInvalid, "the authority %s is of kind tuf, whose source this registry reads by itself: add it to the configuration", au.Name)
	}
	if err := a.o.Verifier.Check(au); err != nil {
		return err
	}
	return a.change(ctx, func(tx *store.Txn, t *grounds) error {
		if err := t.Add(tx, au); err != nil {
			return err
		}
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "trust", Reason: "authority " + au.Name + " added"})
		return nil
	})
}

// RemoveAuthority ends trust that was given at run time. Errors: CodeNotFound, CodeConflict when the configuration names it.
func (a *Admission) RemoveAuthority(ctx context.Context, p access.Principal, name string) error {
	err := a.change(ctx, func(tx *store.Txn, t *grounds) error {
		if err := t.Remove(tx, p, name); err != nil {
			return err
		}
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "trust", Reason: "authority " + name + " removed"})
		return nil
	})
	return a.refusedChange(ctx, p, AuditRecord{}, err)
}

// RevokeTrust ends the trust in a key, a certificate, an identity or a log entry of an authority, whether that is in the configuration or was added at run time.
// When it returns, no pull is served because of what that signed; other valid evidence admits as before. Where there is such a record already, it is returned.
// Errors: CodeInvalid, CodeNotFound, CodeDenied.
func (a *Admission) RevokeTrust(ctx context.Context, p access.Principal, r trust.Distrust) (*trust.Distrust, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	r.By, r.At = p.Name, a.now()
	err := a.change(ctx, func(tx *store.Txn, t *grounds) (err error) {
		var added bool
		if r, added, err = t.Distrust(tx, p, r); err == nil && added {
			a.audit(tx, AuditRecord{Actor: p.Name, Action: "trust", Reason: sentence.Clip(sentence.Because(r.String()+" revoked", r.Reason), sentence.Max)})
		}
		return err
	})
	if err != nil {
		return nil, a.refusedChange(ctx, p, AuditRecord{}, err)
	}
	return &r, nil
}

// RestoreTrust ends a revocation; the reason given goes into the audit record. Errors: CodeNotFound; CodeConflict where the configuration itself revokes it.
func (a *Admission) RestoreTrust(ctx context.Context, p access.Principal, r trust.Distrust) error {
	if err := r.Check(); err != nil {
		return err
	}
	err := a.change(ctx, func(tx *store.Txn, t *grounds) error {
		err := t.Restore(tx, p, r)
		if err == nil {
			a.audit(tx, AuditRecord{Actor: p.Name, Action: "trust", Reason: sentence.Clip(sentence.Because(r.String()+" restored", r.Reason), sentence.Max)})
		}
		return err
	})
	return a.refusedChange(ctx, p, AuditRecord{}, err)
}

// TrustRevocations lists the records in force, ordered by authority, kind and value.
func (a *Admission) TrustRevocations(_ context.Context, p access.Principal) ([]trust.Distrust, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	return a.Trust().Distrusted(), nil
}

// ApplyTUF stores what a TUF repository says and puts it into force, in one transaction: material of other authorities, and pins. Only what it changes is decided
// again. The state must not change afterwards. Errors: CodeNotFound; CodeConflict where it is older than what is in force; CodeInvalid.
func (a *Admission) ApplyTUF(ctx context.Context, s *verify.TUFState) error {
	n, err := pins.New(s)
	if err != nil {
		return err
	}
	return a.change(ctx, func(tx *store.Txn, t *grounds) error {
		news, err := t.ApplyTUF(tx, n, a.now())
		if err == nil && news {
			a.audit(tx, AuditRecord{Actor: "system", Action: "trust", Reason: fmt.Sprintf("TUF repository of %s: root %d, timestamp %d, snapshot %d, targets %d, %s", s.Authority, s.Root, s.Timestamp, s.Snapshot, s.Targets, s.Revision)})
		}
		return err
	})
}

// TUFStatuses lists the authorities of kind tuf, ordered by name.
func (a *Admission) TUFStatuses(_ context.Context, p access.Principal) ([]trust.TUFStatus, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	return a.Trust().TUFStatuses(a.now()), nil
}

// SetEngine puts another policy set into force. Any change of a set narrows: every verdict is decided again before it is used.
func (a *Admission) SetEngine(ctx context.Context, e contract.Engine) error {
	return a.change(ctx, func(_ *store.Txn, t *grounds) error {
		t.ReplaceEngine(e)
		return nil
	})
}

// SetAuthorities replaces the authorities of the configuration.
func (a *Admission) SetAuthorities(ctx context.Context, as []verify.Authority) error {
	return a.change(ctx, func(_ *store.Txn, t *grounds) error {
		return t.SetAuthorities(as)
	})
}
