package trust

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

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/pins"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// maxPinned is the most manifests that a change of pins puts in doubt one by one: beyond, it is all that the authority speaks for.
const maxPinned = 4096

// maxTargets is how many targets of one authority that name a manifest are told: as many as count of anything else that one says.
const maxTargets = 64

const classTUF = "tuf"

// storedTUF is the state as the store keeps it, with the root that it was verified from.
type storedTUF struct {
	Root  string           `json:"root"` // hash of the first trusted root.json
	State *verify.TUFState `json:"state"`
}

// pins are the authorities of kind tuf that speak for a repository and have said something.
func (t *Snapshot) pins(repo store.Name) []*pins.Set {
	if len(t.tuf) == 0 {
		return nil
	}
	var all []*pins.Set
	for i := range t.Authorities {
		if a := &t.Authorities[i]; a.Kind == verify.KindTUF && t.tuf[a.Name] != nil && a.Covers(repo) {
			all = append(all, t.tuf[a.Name])
		}
	}
	return all
}

// PinFacts are what TUF targets say of a manifest, under any tag, and when that changes by time alone. The role is who signed: one signer, however many tags it pins.
func (t *Snapshot) PinFacts(s verify.Subject, now time.Time) (facts []verify.Fact, next time.Time) {
	for _, n := range t.pins(s.Repository) {
		pins := n.Digest(s.Repository, s.Descriptor.Digest, maxTargets)
		if s.Alternate != "" {
			pins = append(pins, n.Digest(s.Repository, s.Alternate, maxTargets)...)
		}
		for _, p := range pins[:min(len(pins), maxTargets)] {
			fact := verify.Fact{Evidence: s.Descriptor.Digest, Layer: s.Descriptor.Digest, Found: verify.FoundTUF, Kind: verify.KindSignature, Scheme: verify.SchemeTUF, Verified: true,
				Authority: n.Authority, Target: p.Target(), Role: p.Role, Issuer: "tuf:" + n.Authority, Identity: p.Role}
			if fact.ValidUntil = n.Ends(); !fact.ValidUntil.IsZero() {
				fact.Ends = verify.CodeTUFExpired
			}
			if fact = fact.At(now); p.Length != s.Descriptor.Size {
				fact.Verified, fact.Code = false, verify.CodeDigestMismatch
				fact.Message = fmt.Sprintf("The TUF target %s names this digest with %d bytes, and the manifest has %d.", p.Target(), p.Length, s.Descriptor.Size)
			}
			facts = append(facts, fact)
		}
		if end := n.Ends(); len(pins) > 0 && end.After(now) {
			next = contract.Earlier(next, end)
		}
	}
	return facts, next
}

// TUFInput is what TUF targets say of a tag. Where several authorities pin it, the one that it contradicts is told.
func (t *Snapshot) TUFInput(s verify.Subject, tag string, now time.Time) *contract.TUFInput {
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

// ApplyTUF puts what a TUF repository says into force: material of other authorities, and pins. news says whether it says something else than before.
// Errors: CodeNotFound; CodeConflict where it is older than what is in force.
func (t *Snapshot) ApplyTUF(tx *store.Txn, n *pins.Set, now time.Time) (news bool, err error) {
	i := slices.IndexFunc(t.Authorities, func(au Authority) bool { return au.Name == n.Authority && au.Kind == verify.KindTUF })
	if i < 0 {
		return false, store.Errorf(store.CodeNotFound, "there is no authority %.80q of kind tuf; add it to the configuration", n.Authority)
	}
	au, old := &t.Authorities[i], t.tuf[n.Authority]
	if old != nil && old.Root == n.Root && (n.Timestamp < old.Timestamp || n.Snapshot < old.Snapshot || n.Targets < old.Targets) || old != nil && n.Root < old.Root {
		return false, store.Errorf(store.CodeConflict, "the TUF metadata of %s is older than what is in force; nothing was changed", n.Authority)
	}
	n.Anchor, n.Warn = rootHash(au.Authority), au.TUF.Expired == "warn"
	b, err := json.Marshal(storedTUF{n.Anchor, n.TUFState})
	if err != nil {
		return false, store.Errorf(store.CodeInternal, "the TUF state could not be stored: %w", err)
	}
	tx.PutDoc(classTUF, n.Authority, b)
	t.tuf = maps.Clone(t.tuf)
	t.tuf[n.Authority] = n
	return old == nil || old.Revision != n.Revision, t.repin(tx, au, old, n, now)
}

// keepTUF drops what was said by repositories that nobody trusts any more, or that are to be trusted from another root on.
func (t *Snapshot) keepTUF(tx *store.Txn, all []verify.Authority) {
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
func (t *Snapshot) loadTUF(r store.Records) error {
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

// repin puts in doubt what a new state says otherwise than the old one: manifests and tags whose pins differ, all of them where the old one had run out, or would have later. New
// material of an authority is found by comparing the authorities; here it is only what had run out that counts again.
func (t *Snapshot) repin(tx *store.Txn, au *Authority, old, now *pins.Set, at time.Time) error {
	renewed := old != nil && old.Expired(at)
	if renewed {
		for _, other := range t.Authorities {
			if other.Material == au.Name {
				t.Deny(Denial{Repositories: other.Repositories, Evidence: true, Widening: true})
			}
		}
	}
	items, err := moved(tx, au, old, now, renewed || old != nil && Sooner(now.Ends(), old.Ends()))
	if err != nil {
		return err
	}
	if len(items) > maxPinned {
		t.Deny(Denial{Repositories: au.Repositories})
		return nil
	}
	for i := range items {
		tx.Queue(i)
	}
	return nil
}

// moved are the manifests that a difference of pins is about, at most one more than maxPinned: those that are or were pinned, and both sides of the tags.
func moved(tx *store.Txn, au *Authority, old, now *pins.Set, all bool) (map[store.Item]bool, error) {
	items := map[store.Item]bool{}
	add := func(repo store.Name, d store.Digest) {
		if i := (store.Item{Repository: repo, Digest: d}); d != "" && Judged(tx.Verdict(repo, d).State) {
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
func (t *Snapshot) TUFState(name string) *verify.TUFState {
	if n := t.tuf[name]; n != nil {
		return n.TUFState
	}
	return nil
}

// TUFPolicies are the policies that a TUF repository publishes, by path; nil if there are none.
func (t *Snapshot) TUFPolicies(name string) map[string][]byte {
	if s := t.TUFState(name); s != nil {
		return s.Policies
	}
	return nil
}

// TUFAuthorities are the authorities of kind tuf, whose sources are to be asked.
func (t *Snapshot) TUFAuthorities() []verify.Authority {
	var as []verify.Authority
	for _, au := range t.Authorities {
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

// StoredTUF is what TUF repositories said last, by authority, as the store holds it: for whoever compiles policies before there is an Admission. What
// [Load] would drop, because nobody trusts the repository any more or another first root is trusted now, is left out.
func StoredTUF(ctx context.Context, local *store.Local, authorities []verify.Authority) (map[string]*verify.TUFState, error) {
	states := map[string]*verify.TUFState{}
	err := local.View(ctx, func(s store.Snapshot) error {
		t := &Snapshot{tuf: map[string]*pins.Set{}}
		if err := t.loadTUF(s.Records); err != nil {
			return err
		}
		for _, a := range authorities {
			if n := t.tuf[a.Name]; n != nil && a.Kind == verify.KindTUF && n.Anchor == rootHash(a) {
				states[a.Name] = n.TUFState
			}
		}
		return nil
	})
	return states, err
}

// TUFStatuses are the authorities of kind tuf, ordered by name.
func (t *Snapshot) TUFStatuses(now time.Time) []TUFStatus {
	all := []TUFStatus{}
	for _, au := range t.TUFAuthorities() {
		s := TUFStatus{Authority: au.Name, Source: au.TUF.Source}
		if n := t.tuf[au.Name]; n != nil {
			s.Root, s.Timestamp, s.Snapshot, s.Targets, s.Revision = n.Root, n.Timestamp, n.Snapshot, n.Targets, n.Revision
			s.Expires, s.CheckedAt, s.Expired, s.Pins = n.Expires, n.CheckedAt, !n.Expires.IsZero() && !now.Before(n.Expires), len(n.Pins)
			s.Material, s.Policies = slices.Sorted(maps.Keys(n.Material)), slices.Sorted(maps.Keys(n.Policies))
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(x, y TUFStatus) int { return strings.Compare(x.Authority, y.Authority) })
	return all
}
