package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// PolicySource is what was accepted last of a place that policies come from: an artifact of this registry, or a bundle. It stays in force until another is accepted.
type PolicySource struct {
	Ref      string            `json:"ref"`      // oci:REPOSITORY:TAG or bundle:PATH
	Digest   store.Digest      `json:"digest"`   // of the manifest, or of the bundle
	Revision uint64            `json:"revision"` // signed; it only rises
	Files    map[string]string `json:"files"`    // modules and data.json
	SignedBy string            `json:"signed_by,omitempty"`
	At       time.Time         `json:"at"`
	// Permitted is what an administrator takes although it is not newer, until something was accepted.
	Permitted store.Digest `json:"permitted,omitempty"`
}

const classPolicySource = "policysource"

// StoredPolicySources is what was accepted last, by reference.
func StoredPolicySources(ctx context.Context, local *store.Local) (map[string]*PolicySource, error) {
	docs, err := local.Docs(ctx, classPolicySource)
	if err != nil {
		return nil, err
	}
	all := map[string]*PolicySource{}
	for ref, b := range docs {
		s := new(PolicySource)
		if err := json.Unmarshal(b, s); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the record of the policies of %s is damaged; run assay check: %w", ref, err)
		}
		all[ref] = s
	}
	return all, nil
}

// Succeeds reports why s must not take the place of the source that was accepted last, which may be nil. Whoever holds an old artifact with a good signature would otherwise
// bring back what it allowed.
func (s *PolicySource) Succeeds(last *PolicySource) error {
	switch {
	case s.Revision == 0:
		return store.Errorf(store.CodeInvalid, "the policies have no revision; make them with assay policy push --revision N")
	case last == nil || last.Digest == "" || s.Digest == last.Digest || s.Digest == last.Permitted:
		return nil
	case s.Revision < last.Revision:
		return store.Errorf(store.CodeInvalid, "the policies have revision %d, and revision %d was in force already; to go back on purpose: assay policy rollback %s@%s",
			s.Revision, last.Revision, s.Ref, s.Digest)
	case s.Revision == last.Revision:
		return store.Errorf(store.CodeInvalid, "the policies have revision %d, as others that are in force; give them a higher one", s.Revision)
	}
	return nil
}

// AcceptPolicySource puts what a source says now into force, with the engine that follows from it, in one transaction. Errors: CodeConflict where another was accepted meanwhile;
// those of [PolicySource.Succeeds].
func (a *Admission) AcceptPolicySource(ctx context.Context, s *PolicySource, e contract.Engine) error {
	return a.change(ctx, func(tx *store.Txn, t *grounds) error {
		taken, err := s.take(tx, a.now())
		if err != nil {
			return err
		}
		if taken != nil {
			putDoc(tx, classPolicySource, s.Ref, taken)
			a.audit(tx, AuditRecord{Actor: "system", Action: "policy", Digest: s.Digest, Reason: fmt.Sprintf("%s is in force with revision %d, signed by %s", s.Ref, s.Revision, s.SignedBy)})
		}
		t.ReplaceEngine(e)
		return nil
	})
}

// PermitPolicySource has an older revision accepted once: that digest, and no other. Errors: CodeNotFound, CodeDenied.
func (a *Admission) PermitPolicySource(ctx context.Context, p access.Principal, ref string, d store.Digest) error {
	if err := p.MayAdminister("**"); err != nil {
		return a.refusedChange(ctx, p, AuditRecord{Digest: d}, err)
	}
	return a.local.Update(ctx, func(tx *store.Txn) error {
		var last PolicySource
		b := tx.Doc(classPolicySource, ref)
		if b == nil {
			return store.Errorf(store.CodeNotFound, "no policies of %.200q were ever in force; assay policy status shows what is", ref)
		}
		if err := json.Unmarshal(b, &last); err != nil {
			return store.Errorf(store.CodeInternal, "the record of the policies of %s is damaged; run assay check: %w", ref, err)
		}
		last.Permitted = d
		putDoc(tx, classPolicySource, ref, last)
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "policy", Digest: d, Reason: fmt.Sprintf("%s may go back from revision %d to %s", ref, last.Revision, short(d))})
		return nil
	})
}

func short(d store.Digest) string {
	if text := string(d); len(text) > 19 {
		return text[:19]
	}
	return string(d)
}

// SignedBy is the first of the named authorities under which a verified signature on a manifest stands now. Errors: CodeManifestUnknown; CodeDenied where there is none, or where
// the manifest is withdrawn.
func (a *Admission) SignedBy(ctx context.Context, repo store.Name, d store.Digest, names []string) (authority string, err error) {
	err = a.local.Peek(ctx, func(tx *store.Txn) error {
		t := a.grounds.Load()
		s, err := a.subject(tx, store.Item{Repository: repo, Digest: d})
		if err != nil {
			return err
		}
		switch {
		case s == nil || s.rec.State == store.StateTombstoned || s.rec.State == store.StateExpired:
			return sight.Unknown()
		case s.rec.State == store.StateRevoked || a.withdrawn(t, s) != nil:
			return store.Errorf(store.CodeDenied, "%s@%s was revoked", repo, short(d))
		}
		f, err := a.facts(ctx, tx, t, proof.Subject(repo, s.rec))
		if err != nil {
			return err
		}
		for _, fact := range f.Facts {
			if fact.Verified && fact.Kind == verify.KindSignature && fact.Scheme != verify.SchemeTUF && slices.Contains(names, fact.Authority) {
				authority = fact.Authority
				return nil
			}
		}
		return store.Errorf(store.CodeDenied, "%s@%s has no signature that counts, by %s; sign it: assay sign --key FILE HOST/%s@%s", repo, short(d), strings.Join(names, " or "), repo, d)
	})
	return authority, err
}

// KeepPolicySource remembers what was accepted, before there is an engine to decide by it. Errors: those of [PolicySource.Succeeds].
func KeepPolicySource(ctx context.Context, local *store.Local, s *PolicySource) error {
	return local.Update(ctx, func(tx *store.Txn) error {
		taken, err := s.take(tx, local.Now().UTC())
		if err == nil && taken != nil {
			putDoc(tx, classPolicySource, s.Ref, taken)
		}
		return err
	})
}

// take is what is remembered of a source that is accepted now; nil where it is what was accepted last.
func (s *PolicySource) take(tx *store.Txn, now time.Time) (*PolicySource, error) {
	var last *PolicySource
	if b := tx.Doc(classPolicySource, s.Ref); b != nil {
		if err := json.Unmarshal(b, &last); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the record of the policies of %s is damaged; run assay check: %w", s.Ref, err)
		}
	}
	if err := s.Succeeds(last); err != nil {
		return nil, err
	}
	if last != nil && last.Digest == s.Digest {
		return nil, nil
	}
	taken := *s
	if taken.Permitted, taken.At = "", now; last != nil && last.Permitted != s.Digest {
		taken.Permitted = last.Permitted
	}
	return &taken, nil
}
