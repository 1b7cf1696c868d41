package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/pins"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// maxPinned is the most manifests that a change of pins puts in doubt one by one: beyond, it is all that the authority speaks for.
const maxPinned = 4096

const classTUF = "tuf"

// storedTUF is the state as the store keeps it, with the root that it was verified from.
type storedTUF struct {
	Root  string           `json:"root"` // hash of the first trusted root.json
	State *verify.TUFState `json:"state"`
}

// pins are the authorities of kind tuf that speak for a repository and have said something.
func (t *trust) pins(repo store.Name) []*pins.Set {
	if len(t.tuf) == 0 {
		return nil
	}
	var all []*pins.Set
	for i := range t.authorities {
		if a := &t.authorities[i]; a.Kind == verify.KindTUF && t.tuf[a.Name] != nil && a.Covers(repo) {
			all = append(all, t.tuf[a.Name])
		}
	}
	return all
}

// pinFacts are what TUF targets say of a manifest, under any tag. The role is who signed: one signer, however many tags it pins.
func (t *trust) pinFacts(s verify.Subject, now time.Time) *found {
	f := &found{}
	for _, n := range t.pins(s.Repository) {
		pins := n.Digest(s.Repository, s.Descriptor.Digest, maxVerified)
		if s.Alternate != "" {
			pins = append(pins, n.Digest(s.Repository, s.Alternate, maxVerified)...)
		}
		for _, p := range pins[:min(len(pins), maxVerified)] {
			fact := verify.Fact{Evidence: s.Descriptor.Digest, Layer: s.Descriptor.Digest, Found: verify.FoundTUF, Kind: verify.KindSignature, Scheme: verify.SchemeTUF, Verified: true,
				Authority: n.Authority, Target: p.Target(), Role: p.Role, Issuer: "tuf:" + n.Authority, Identity: p.Role}
			if fact.ValidUntil = n.Ends(); !fact.ValidUntil.IsZero() {
				fact.Ends = verify.CodeTUFExpired
			}
			if fact = fact.At(now); p.Length != s.Descriptor.Size {
				fact.Verified, fact.Code = false, verify.CodeDigestMismatch
				fact.Message = fmt.Sprintf("The TUF target %s names this digest with %d bytes, and the manifest has %d.", p.Target(), p.Length, s.Descriptor.Size)
			}
			f.facts = append(f.facts, fact)
		}
		if end := n.Ends(); len(pins) > 0 && end.After(now) {
			f.next = contract.Earlier(f.next, end)
		}
	}
	return f
}

// tufInput is what TUF targets say of a tag. Where several authorities pin it, the one that it contradicts is told.
func (t *trust) tufInput(s verify.Subject, tag string, now time.Time) *contract.TUFInput {
	var in *contract.TUFInput
	for _, n := range t.pins(s.Repository) {
		p := n.Tag(s.Repository, tag)
		if p == nil || in != nil && !in.DigestMatch {
			continue
		}
		in = &contract.TUFInput{Authority: n.Authority, Role: p.Role, Target: p.Target(), DigestMatch: pins.Fits(p, s), Version: p.Version, ValidUntil: n.Ends()}
		if n.Expired(now) {
			in.DigestMatch, in.Code = false, verify.CodeTUFExpired
		}
	}
	return in
}

// keepTUF drops what was said by repositories that nobody trusts any more, or that are to be trusted from another root on.
func (t *trust) keepTUF(tx *store.Txn, all []verify.Authority) {
	kept := map[string]*pins.Set{}
	for name, n := range t.tuf {
		i := find(all, name)
		if i < 0 || all[i].Kind != verify.KindTUF || rootHash(all[i]) != n.Anchor {
			tx.DeleteDoc(classTUF, name)
			continue
		}
		n := *n
		n.Warn = all[i].TUF.Expired == "warn"
		kept[name] = &n
	}
	t.tuf = kept
}

// rootHash names the root.json that an authority of kind tuf begins with.
func rootHash(a verify.Authority) string {
	sum := sha256.Sum256([]byte(a.TUF.Root))
	return hex.EncodeToString(sum[:])
}

// loadTUF reads what TUF repositories said last.
func (t *trust) loadTUF(r store.Records) error {
	for name, b := range r.DocsOf(classTUF) {
		var s storedTUF
		if err := json.Unmarshal(b, &s); err != nil || s.State == nil {
			return store.Errorf(store.CodeInternal, "the TUF state of the authority %q is damaged; run assay check: %w", name, err)
		}
		n, err := pins.New(s.State)
		if err != nil {
			return err
		}
		n.Anchor = s.Root
		t.tuf[name] = n
	}
	return nil
}

// ApplyTUF stores what a TUF repository says and puts it into force, in one transaction: material of other authorities, and pins. Only what it changes is decided
// again. The state must not change afterwards. Errors: CodeNotFound; CodeConflict where it is older than what is in force; CodeInvalid.
func (a *Admission) ApplyTUF(ctx context.Context, s *verify.TUFState) error {
	n, err := pins.New(s)
	if err != nil {
		return err
	}
	return a.change(ctx, func(tx *store.Txn, t *trust) error {
		i := slices.IndexFunc(t.authorities, func(au authority) bool { return au.Name == s.Authority && au.Kind == verify.KindTUF })
		if i < 0 {
			return store.Errorf(store.CodeNotFound, "there is no authority %.80q of kind tuf; add it to the configuration", s.Authority)
		}
		au, old := &t.authorities[i], t.tuf[s.Authority]
		if old != nil && old.Root == s.Root && (s.Timestamp < old.Timestamp || s.Snapshot < old.Snapshot || s.Targets < old.Targets) || old != nil && s.Root < old.Root {
			return store.Errorf(store.CodeConflict, "the TUF metadata of %s is older than what is in force; nothing was changed", s.Authority)
		}
		n.Anchor, n.Warn = rootHash(au.Authority), au.TUF.Expired == "warn"
		b, err := json.Marshal(storedTUF{n.Anchor, s})
		if err != nil {
			return store.Errorf(store.CodeInternal, "the TUF state could not be stored: %w", err)
		}
		tx.PutDoc(classTUF, s.Authority, b)
		t.tuf = maps.Clone(t.tuf)
		t.tuf[s.Authority] = n
		if old == nil || old.Revision != s.Revision {
			a.audit(tx, AuditRecord{Actor: "system", Action: "trust", Reason: fmt.Sprintf("TUF repository of %s: root %d, timestamp %d, snapshot %d, targets %d, %s", s.Authority, s.Root, s.Timestamp, s.Snapshot, s.Targets, s.Revision)})
		}
		return t.repin(tx, au, old, n, a.now())
	})
}

// repin puts in doubt what a new state says otherwise than the old one: manifests and tags whose pins differ, all of them where the old one had run out, or would have later. New
// material of an authority is found by comparing the authorities; here it is only what had run out that counts again.
func (t *trust) repin(tx *store.Txn, au *authority, old, now *pins.Set, at time.Time) error {
	renewed := old != nil && old.Expired(at)
	if renewed {
		for _, other := range t.authorities {
			if other.Material == au.Name {
				t.deny(denial{Repositories: other.Repositories, Evidence: true, Widening: true})
			}
		}
	}
	items, err := moved(tx, au, old, now, renewed || old != nil && sooner(now.Ends(), old.Ends()))
	if err != nil {
		return err
	}
	if len(items) > maxPinned {
		t.deny(denial{Repositories: au.Repositories})
		return nil
	}
	for i := range items {
		tx.Queue(i)
	}
	return nil
}

// moved are the manifests that a difference of pins is about, at most one more than maxPinned: those that are or were pinned, and both sides of the tags.
func moved(tx *store.Txn, au *authority, old, now *pins.Set, all bool) (map[store.Item]bool, error) {
	items := map[store.Item]bool{}
	add := func(repo store.Name, d store.Digest) {
		if i := (store.Item{Repository: repo, Digest: d}); d != "" && judgedState(tx.Verdict(repo, d).State) {
			items[i] = true
		}
	}
	for _, p := range pins.Differing(old, now, all) {
		if len(items) > maxPinned {
			break
		}
		if !au.Covers(p.Repository) {
			continue
		}
		add(p.Repository, p.Digest)
		for _, i := range tx.Alternates(p.Digest) {
			if i.Repository == p.Repository {
				add(i.Repository, i.Digest)
			}
		}
		tag, err := tx.Tag(p.Repository, p.Tag)
		if err != nil {
			return nil, err
		}
		if tag != nil {
			add(p.Repository, tag.Current)
			add(p.Repository, tag.Visible)
		}
	}
	return items, nil
}

// TUFState is what is in force of a TUF repository, as it was applied; nil if nothing was. It is not to be changed.
func (a *Admission) TUFState(name string) *verify.TUFState {
	if n := a.trust.Load().tuf[name]; n != nil {
		return n.TUFState
	}
	return nil
}

// TUFPolicies are the policies that a TUF repository publishes, by path; nil if there are none.
func (a *Admission) TUFPolicies(name string) map[string][]byte {
	if s := a.TUFState(name); s != nil {
		return s.Policies
	}
	return nil
}

// TUFAuthorities are the authorities of kind tuf, whose sources are to be asked.
func (a *Admission) TUFAuthorities() []verify.Authority {
	var as []verify.Authority
	for _, au := range a.trust.Load().authorities {
		if au.Kind == verify.KindTUF {
			as = append(as, au.Authority)
		}
	}
	return as
}

// TUFStatus is where an authority of kind tuf stands, for an administrator.
type TUFStatus struct {
	Authority string    `json:"authority"`
	Source    string    `json:"source,omitempty"`
	Root      int64     `json:"root,omitempty"` // versions; zero where nothing was had from the source yet
	Timestamp int64     `json:"timestamp,omitempty"`
	Snapshot  int64     `json:"snapshot,omitempty"`
	Targets   int64     `json:"targets,omitempty"`
	Revision  string    `json:"revision,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	CheckedAt time.Time `json:"checked_at,omitzero"`
	Expired   bool      `json:"expired,omitempty"` // by now
	Pins      int       `json:"pins,omitempty"`
	Material  []string  `json:"material,omitempty"` // authorities that it supplies
	Policies  []string  `json:"policies,omitempty"` // paths
}

// TUFStatuses lists the authorities of kind tuf, ordered by name.
func (a *Admission) TUFStatuses(_ context.Context, p access.Principal) ([]TUFStatus, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	t, now := a.trust.Load(), a.now()
	all := []TUFStatus{}
	for _, au := range a.TUFAuthorities() {
		s := TUFStatus{Authority: au.Name, Source: au.TUF.Source}
		if n := t.tuf[au.Name]; n != nil {
			s.Root, s.Timestamp, s.Snapshot, s.Targets, s.Revision = n.Root, n.Timestamp, n.Snapshot, n.Targets, n.Revision
			s.Expires, s.CheckedAt, s.Expired, s.Pins = n.Expires, n.CheckedAt, !n.Expires.IsZero() && !now.Before(n.Expires), len(n.Pins)
			s.Material, s.Policies = slices.Sorted(maps.Keys(n.Material)), slices.Sorted(maps.Keys(n.Policies))
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(x, y TUFStatus) int { return strings.Compare(x.Authority, y.Authority) })
	return all, nil
}
