package policy

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// TrustRevocationKind says what of an authority is revoked.
type TrustRevocationKind string

// The kinds.
const (
	RevokedKey      TrustRevocationKind = "key"       // a key's ID, sha256:<64 hex>
	RevokedSerial   TrustRevocationKind = "serial"    // a certificate's serial number: lower-case hex without leading zeros
	RevokedIdentity TrustRevocationKind = "identity"  // as verify.Fact.Identity: exact
	RevokedLogIndex TrustRevocationKind = "log_index" // an entry of a transparency log: decimal
)

// TrustRevocation ends the trust in one thing that an authority vouched for, whatever it signed. There is at most one for each authority, kind and value. It
// outlives the authority: who removes and adds it again finds it revoked.
type TrustRevocation struct {
	Authority string              `json:"authority"`
	Kind      TrustRevocationKind `json:"kind"`
	Value     string              `json:"value"`            // at most verify.MaxPattern bytes
	Reason    string              `json:"reason,omitempty"` // at most 300 characters
	By        string              `json:"by"`
	At        time.Time           `json:"at"`
}

const classUntrusted = "untrusted"

// id names the record. Neither an authority's name nor a kind has a slash.
func (r TrustRevocation) id() string { return r.Authority + "/" + string(r.Kind) + "/" + r.Value }

// String names what is revoked, for a log or an audit record.
func (r TrustRevocation) String() string {
	return string(r.Kind) + " " + r.Value + " of authority " + r.Authority
}

// check parses the value. Errors: CodeInvalid.
func (r TrustRevocation) check() error {
	ok := r.Value != "" && len(r.Value) <= verify.MaxPattern
	form := ""
	switch r.Kind {
	case RevokedKey:
		digits, found := strings.CutPrefix(r.Value, "sha256:")
		sum, err := hex.DecodeString(digits)
		ok, form = ok && found && err == nil && len(sum) == 32 && digits == strings.ToLower(digits), "sha256: and 64 lower-case hexadecimal digits, as assay trust list shows it"
	case RevokedSerial:
		ok, form = ok && len(r.Value) <= 64 && strings.Trim(r.Value, "0123456789abcdef") == "" && (r.Value[0] != '0' || r.Value == "0"), "lower-case hexadecimal digits without colons and leading zeros"
	case RevokedIdentity:
		form = "the identity as explanations show it"
	case RevokedLogIndex:
		n, err := strconv.ParseInt(r.Value, 10, 64)
		ok, form = ok && err == nil && n >= 0 && strconv.FormatInt(n, 10) == r.Value, "a decimal number"
	default:
		return store.Errorf(store.CodeInvalid, "%.40q is nothing that can be revoked of an authority; use key, serial, identity or log_index", r.Kind)
	}
	if !ok {
		return store.Errorf(store.CodeInvalid, "%.80q is no %s; write %s", r.Value, r.Kind, form)
	}
	if len(r.Reason) > sentence.Max {
		return store.Errorf(store.CodeInvalid, "the reason of a revocation has at most %d characters", sentence.Max)
	}
	return nil
}

// apply takes what is revoked from an authority. Its lists are shared: they are replaced.
func (r TrustRevocation) apply(a *verify.Authority) {
	add := func(list *[]string) {
		if !slices.Contains(*list, r.Value) {
			*list = append(slices.Clip(*list), r.Value)
		}
	}
	switch r.Kind {
	case RevokedKey:
		add(&a.Revoked.Keys)
		a.Keys = slices.Clone(a.Keys)
		for i := range a.Keys {
			a.Keys[i].Revoked = a.Keys[i].Revoked || a.Keys[i].ID == r.Value
		}
	case RevokedSerial:
		add(&a.Revoked.Serials)
	case RevokedIdentity:
		add(&a.Revoked.Identities)
	case RevokedLogIndex:
		if n, err := strconv.ParseInt(r.Value, 10, 64); err == nil && !slices.Contains(a.Revoked.LogIndexes, n) {
			a.Revoked.LogIndexes = append(slices.Clip(a.Revoked.LogIndexes), n)
		}
	}
}

// in reports whether an authority itself revokes the same.
func (r TrustRevocation) in(a verify.Authority) bool {
	switch r.Kind {
	case RevokedKey:
		return slices.Contains(a.Revoked.Keys, r.Value) || slices.ContainsFunc(a.Keys, func(k verify.Key) bool { return k.Revoked && k.ID == r.Value })
	case RevokedSerial:
		return slices.Contains(a.Revoked.Serials, r.Value)
	case RevokedIdentity:
		return slices.Contains(a.Revoked.Identities, r.Value)
	}
	n, err := strconv.ParseInt(r.Value, 10, 64)
	return err == nil && slices.Contains(a.Revoked.LogIndexes, n)
}

func (t *trust) loadOverlay(tx *store.Txn) error {
	for id, b := range tx.DocsOf(classUntrusted) {
		var r TrustRevocation
		if err := json.Unmarshal(b, &r); err != nil {
			return store.Errorf(store.CodeInternal, "the record of what is no longer trusted, %q, is damaged; run assay check: %w", id, err)
		}
		t.overlay = append(t.overlay, r)
	}
	slices.SortFunc(t.overlay, compareTrustRevocations)
	return nil
}

func compareTrustRevocations(x, y TrustRevocation) int {
	return cmp.Or(strings.Compare(x.Authority, y.Authority), strings.Compare(string(x.Kind), string(y.Kind)), strings.Compare(x.Value, y.Value))
}

// administers refuses whoever is not an administrator of everything that an authority speaks for. Of one that is gone, nobody knows what that was.
func (t *trust) administers(p access.Principal, name string) (*authority, error) {
	for i := range t.authorities {
		if a := &t.authorities[i]; a.Name == name {
			return a, p.MayAdminister(a.Repositories...)
		}
	}
	return nil, p.MayAdminister("**")
}

// RevokeTrust ends the trust in a key, a certificate, an identity or a log entry of an authority, whether that is in the configuration or was added at run time.
// When it returns, no pull is served because of what that signed; other valid evidence admits as before. Where there is such a record already, it is returned.
// Errors: CodeInvalid, CodeNotFound, CodeDenied.
func (a *Admission) RevokeTrust(ctx context.Context, p access.Principal, r TrustRevocation) (*TrustRevocation, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	r.By, r.At = p.Name, a.now()
	err := a.change(ctx, func(tx *store.Txn, t *trust) error {
		au, err := t.administers(p, r.Authority)
		switch {
		case err != nil:
			return err
		case au == nil:
			return store.Errorf(store.CodeNotFound, "there is no authority %.80q; assay trust list shows them", r.Authority)
		case r.Kind == RevokedKey && au.Kind == verify.KindKey && au.Material == "" && !slices.ContainsFunc(au.Keys, func(k verify.Key) bool { return k.ID == r.Value }):
			return store.Errorf(store.CodeNotFound, "the authority %q has no key %q; assay trust list shows them", r.Authority, r.Value)
		}
		i, there := slices.BinarySearchFunc(t.overlay, r, compareTrustRevocations)
		if there {
			r = t.overlay[i]
			return nil
		}
		if n := len(t.overlay) - len(slices.DeleteFunc(slices.Clone(t.overlay), func(o TrustRevocation) bool { return o.Authority == r.Authority && o.Kind == r.Kind })); n >= verify.MaxRevoked {
			return store.Errorf(store.CodeInvalid, "%d records of that kind are there for authority %s, and no more are taken; give it other keys or roots", n, r.Authority)
		}
		b, err := json.Marshal(r)
		if err != nil {
			return store.Errorf(store.CodeInternal, "the revocation could not be stored: %w", err)
		}
		t.overlay = slices.Insert(slices.Clone(t.overlay), i, r)
		tx.PutDoc(classUntrusted, r.id(), b)
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "trust", Reason: sentence.Clip(sentence.Because(r.String()+" revoked", r.Reason), sentence.Max)})
		return nil
	})
	if err != nil {
		return nil, a.refusedChange(ctx, p, AuditRecord{}, err)
	}
	return &r, nil
}

// RestoreTrust ends a revocation; the reason given goes into the audit record. Errors: CodeNotFound; CodeConflict where the configuration itself revokes it.
func (a *Admission) RestoreTrust(ctx context.Context, p access.Principal, r TrustRevocation) error {
	if err := r.check(); err != nil {
		return err
	}
	err := a.change(ctx, func(tx *store.Txn, t *trust) error {
		if _, err := t.administers(p, r.Authority); err != nil {
			return err
		}
		i, there := slices.BinarySearchFunc(t.overlay, r, compareTrustRevocations)
		switch {
		case there:
			t.overlay = slices.Delete(slices.Clone(t.overlay), i, i+1)
			tx.DeleteDoc(classUntrusted, r.id())
		case slices.ContainsFunc(slices.Concat(t.config, t.runtime), func(au verify.Authority) bool { return au.Name == r.Authority && r.in(au) }):
			return store.Errorf(store.CodeConflict, "the authority %s itself lists this as revoked: change the configuration and reload, or remove the authority and add it anew", r.Authority)
		default:
			return store.Errorf(store.CodeNotFound, "there is no revocation of the %.200s; assay trust list shows them", r.String())
		}
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "trust", Reason: sentence.Clip(sentence.Because(r.String()+" restored", r.Reason), sentence.Max)})
		return nil
	})
	return a.refusedChange(ctx, p, AuditRecord{}, err)
}

// TrustRevocations lists the records in force, ordered by authority, kind and value.
func (a *Admission) TrustRevocations(_ context.Context, p access.Principal) ([]TrustRevocation, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	return slices.Clone(a.trust.Load().overlay), nil
}
