package trust

import (
	"cmp"
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

// DistrustKind says what of an authority is revoked.
type DistrustKind string

// The kinds.
const (
	RevokedKey      DistrustKind = "key"       // a key's ID, sha256:<64 hex>
	RevokedSerial   DistrustKind = "serial"    // a certificate's serial number: lower-case hex without leading zeros
	RevokedIdentity DistrustKind = "identity"  // as verify.Fact.Identity: exact
	RevokedLogIndex DistrustKind = "log_index" // an entry of a transparency log: decimal
)

// Distrust ends the trust in one thing that an authority vouched for, whatever it signed. There is at most one for each authority, kind and value. It
// outlives the authority: who removes and adds it again finds it revoked.
type Distrust struct {
	Authority string       `json:"authority"`
	Kind      DistrustKind `json:"kind"`
	Value     string       `json:"value"`            // at most verify.MaxPattern bytes
	Reason    string       `json:"reason,omitempty"` // at most 300 characters
	By        string       `json:"by"`
	At        time.Time    `json:"at"`
}

const classUntrusted = "untrusted"

// id names the record. Neither an authority's name nor a kind has a slash.
func (r Distrust) id() string { return r.Authority + "/" + string(r.Kind) + "/" + r.Value }

// String names what is revoked, for a log or an audit record.
func (r Distrust) String() string {
	return string(r.Kind) + " " + r.Value + " of authority " + r.Authority
}

// Check parses the value, and bounds the reason. Errors: CodeInvalid.
func (r Distrust) Check() error {
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

// apply takes what is revoked from an authority: all records about it, of which no two are alike. Its lists are shared: they are replaced.
func apply(rs []Distrust, a *verify.Authority) {
	r := &a.Revoked
	r.Keys, r.Serials, r.Identities = joined(r.Keys, rs, RevokedKey, asText), joined(r.Serials, rs, RevokedSerial, asText), joined(r.Identities, rs, RevokedIdentity, asText)
	r.LogIndexes = joined(r.LogIndexes, rs, RevokedLogIndex, func(value string) (int64, bool) {
		n, err := strconv.ParseInt(value, 10, 64)
		return n, err == nil
	})
	keys := map[string]bool{}
	for _, r := range rs {
		if r.Kind == RevokedKey {
			keys[r.Value] = true
		}
	}
	if len(keys) > 0 {
		a.Keys = slices.Clone(a.Keys)
		for i := range a.Keys {
			a.Keys[i].Revoked = a.Keys[i].Revoked || keys[a.Keys[i].ID]
		}
	}
}

func asText(value string) (string, bool) { return value, true }

// joined is a list with the values of a kind that it does not have, in their order. A list to which nothing is added stays the one it is.
func joined[T comparable](list []T, rs []Distrust, kind DistrustKind, read func(string) (T, bool)) []T {
	var have map[T]bool
	for _, r := range rs {
		if r.Kind != kind {
			continue
		}
		if have == nil {
			have, list = make(map[T]bool, len(list)), slices.Clone(list)
			for _, v := range list {
				have[v] = true
			}
		}
		if v, ok := read(r.Value); ok && !have[v] {
			have[v], list = true, append(list, v)
		}
	}
	return list
}

// in reports whether an authority itself revokes the same.
func (r Distrust) in(a verify.Authority) bool {
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

func (t *Snapshot) loadOverlay(tx *store.Txn) error {
	for id, b := range tx.DocsOf(classUntrusted) {
		var r Distrust
		if err := json.Unmarshal(b, &r); err != nil {
			return store.Errorf(store.CodeInternal, "the record of what is no longer trusted, %q, is damaged; run assay check: %w", id, err)
		}
		t.overlay = append(t.overlay, r)
	}
	slices.SortFunc(t.overlay, compareDistrusts)
	return nil
}

func compareDistrusts(x, y Distrust) int {
	return cmp.Or(strings.Compare(x.Authority, y.Authority), strings.Compare(string(x.Kind), string(y.Kind)), strings.Compare(x.Value, y.Value))
}

// about are the records about one authority, which lie beside each other.
func (t *Snapshot) about(authority string) []Distrust {
	from, _ := slices.BinarySearchFunc(t.overlay, authority, func(r Distrust, name string) int { return strings.Compare(r.Authority, name) })
	to := from
	for to < len(t.overlay) && t.overlay[to].Authority == authority {
		to++
	}
	return t.overlay[from:to]
}

// Distrusted lists the records in force, ordered by authority, kind and value.
func (t *Snapshot) Distrusted() []Distrust { return slices.Clone(t.overlay) }

// Distrust puts a record into force, if p administers its authority, and returns the one that is then: where there is such a record already, that. r was checked.
// Errors: CodeNotFound, CodeInvalid where there are too many, CodeDenied.
func (t *Snapshot) Distrust(tx *store.Txn, p access.Principal, r Distrust) (inForce Distrust, added bool, err error) {
	au, err := t.Administers(p, r.Authority)
	switch {
	case err != nil:
		return r, false, err
	case au == nil:
		return r, false, store.Errorf(store.CodeNotFound, "there is no authority %.80q; assay trust list shows them", r.Authority)
	case r.Kind == RevokedKey && au.Kind == verify.KindKey && au.Material == "" && !slices.ContainsFunc(au.Keys, func(k verify.Key) bool { return k.ID == r.Value }):
		return r, false, store.Errorf(store.CodeNotFound, "the authority %q has no key %q; assay trust list shows them", r.Authority, r.Value)
	}
	i, there := slices.BinarySearchFunc(t.overlay, r, compareDistrusts)
	if there {
		return t.overlay[i], false, nil
	}
	if n := len(t.overlay) - len(slices.DeleteFunc(slices.Clone(t.overlay), func(o Distrust) bool { return o.Authority == r.Authority && o.Kind == r.Kind })); n >= verify.MaxRevoked {
		return r, false, store.Errorf(store.CodeInvalid, "%d records of that kind are there for authority %s, and no more are taken; give it other keys or roots", n, r.Authority)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return r, false, store.Errorf(store.CodeInternal, "the revocation could not be stored: %w", err)
	}
	t.overlay = slices.Insert(slices.Clone(t.overlay), i, r)
	tx.PutDoc(classUntrusted, r.id(), b)
	return r, true, nil
}

// Restore ends the record of the same authority, kind and value, if p administers its authority. Errors: CodeNotFound; CodeConflict where the configuration itself revokes it;
// CodeDenied.
func (t *Snapshot) Restore(tx *store.Txn, p access.Principal, r Distrust) error {
	if _, err := t.Administers(p, r.Authority); err != nil {
		return err
	}
	i, there := slices.BinarySearchFunc(t.overlay, r, compareDistrusts)
	switch {
	case there:
		t.overlay = slices.Delete(slices.Clone(t.overlay), i, i+1)
		tx.DeleteDoc(classUntrusted, r.id())
		return nil
	case slices.ContainsFunc(slices.Concat(t.config, t.runtime), func(au verify.Authority) bool { return au.Name == r.Authority && r.in(au) }):
		return store.Errorf(store.CodeConflict, "the authority %s itself lists this as revoked: change the configuration and reload, or remove the authority and add it anew", r.Authority)
	}
	return store.Errorf(store.CodeNotFound, "there is no revocation of the %.200s; assay trust list shows them", r.String())
}
