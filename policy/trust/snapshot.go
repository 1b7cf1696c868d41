package trust

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/pins"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Snapshot is an immutable snapshot of everything that a verdict depends on but evidence and waivers. Whoever decides takes one snapshot and
// stores its sequence with the verdict; a verdict older than a denial that covers its repository is decided again before it is used.
type Snapshot struct {
	Seq         uint64
	Engine      contract.Engine
	Authorities []Authority // as they count: those of the configuration in its order, then those of the store by name

	config      []verify.Authority   // from the configuration
	runtime     []verify.Authority   // from the store
	overlay     []Distrust           // what they no longer vouch for
	tuf         map[string]*pins.Set // what TUF repositories say, by authority
	denials     []Denial
	revoked     map[store.Digest][]Revocation
	revocations []Revocation
	rules       string // names the rules of the configuration beside the policies
	doc         []byte // state, as the store holds it
}

// state is what the store remembers between runs, apart from the authorities themselves.
type state struct {
	Seq      uint64   `json:"seq"`
	Denials  []Denial `json:"denials"`
	Revision string   `json:"revision"` // of the engine and the rules
}

// Where the store keeps it. ClassRecords has one document for each part of the state; those who keep something beside it take other names there.
const (
	ClassRecords    = "trust"
	classAuthority  = "authority"
	classRevocation = "revocation"
	docState        = "state"
	docAuthorities  = "authorities"
)

// Load makes the first snapshot of a process from the store, the configuration's authorities and its policies, with the next sequence: what is not as it was when the last process
// ended puts verdicts in doubt. rules names the rules beside the policies of which the same is true. It is to be sealed in the same transaction.
// Errors: CodeInternal where a record is damaged.
func Load(tx *store.Txn, e contract.Engine, authorities []verify.Authority, rules string) (*Snapshot, error) {
	last := state{Seq: 1}
	if b := tx.Doc(ClassRecords, docState); b != nil {
		if err := json.Unmarshal(b, &last); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the trust record is damaged; run assay check: %w", err)
		}
	}
	t := &Snapshot{Seq: last.Seq + 1, Engine: e, config: authorities, rules: rules, denials: last.Denials, revoked: map[store.Digest][]Revocation{}, tuf: map[string]*pins.Set{}}
	if err := t.loadDocs(tx); err != nil {
		return nil, err
	}
	t.join(tx)
	before, err := lastAuthorities(tx)
	if err != nil {
		return nil, err
	}
	if t.revision() != last.Revision {
		t.Deny(Denial{Repositories: everywhere})
	}
	t.compareLast(before)
	t.sealAuthorities(tx)
	return t, nil
}

func (t *Snapshot) loadDocs(tx *store.Txn) error {
	for name, b := range tx.DocsOf(classAuthority) {
		var au verify.Authority
		if err := json.Unmarshal(b, &au); err != nil {
			return store.Errorf(store.CodeInternal, "the record of the authority %q is damaged; run assay check: %w", name, err)
		}
		t.runtime = append(t.runtime, au)
	}
	slices.SortFunc(t.runtime, func(x, y verify.Authority) int { return strings.Compare(x.Name, y.Name) })
	for id, b := range tx.DocsOf(classRevocation) {
		if planted {
			break
		}
		var r Revocation
		if err := json.Unmarshal(b, &r); err != nil {
			return store.Errorf(store.CodeInternal, "the revocation %q is damaged; run assay check: %w", id, err)
		}
		t.addRevocation(r, tx)
	}
	if err := t.loadOverlay(tx); err != nil {
		return err
	}
	return t.loadTUF(tx.Records)
}

// Clone is a copy to be changed: lists and maps of it are replaced, never written to.
func (t *Snapshot) Clone() *Snapshot {
	c := *t
	c.denials = slices.Clone(t.denials)
	c.revocations = slices.Clone(t.revocations)
	c.revoked = maps.Clone(t.revoked)
	c.tuf = maps.Clone(t.tuf)
	return &c
}

// Join takes together what was changed of a copy, and puts in doubt what counts otherwise than under the authorities of before.
func (t *Snapshot) Join(tx *store.Txn, before []Authority) {
	t.join(tx)
	if t.compare(before) {
		t.sealAuthorities(tx)
	}
}

// ReplaceEngine puts other policies into force. Any change of a set narrows: every verdict is decided again before it is used.
func (t *Snapshot) ReplaceEngine(e contract.Engine) {
	if t.Engine.Revision() != e.Revision() {
		t.Deny(Denial{Repositories: everywhere})
	}
	t.Engine = e
}

// revision names what any difference of doubts every verdict.
func (t *Snapshot) revision() string { return t.Engine.Revision() + t.rules }

// Seal writes what the store remembers. Nothing changes afterwards.
func (t *Snapshot) Seal(tx *store.Txn) {
	b, err := json.Marshal(state{t.Seq, t.denials, t.revision()})
	if err != nil {
		panic("trust: a state that does not marshal") // numbers and strings
	}
	t.doc = b
	tx.PutDoc(ClassRecords, docState, b)
}

// Current reports whether the store's state is that of this snapshot. A transaction that reads it cannot commit across a change of trust.
func (t *Snapshot) Current(r store.Records) bool {
	return bytes.Equal(r.Doc(ClassRecords, docState), t.doc)
}
