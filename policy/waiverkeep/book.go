package waiverkeep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Rules say who may sign waivers, and for how long.
type Rules struct {
	Authorities []string // names; without any, no waiver counts
	// Max is the longest that a waiver may last, from its not_before or, without one, from its arrival; 0 is [waiver.DefaultMax].
	Max time.Duration
}

func (r Rules) max() time.Duration {
	if r.Max <= 0 {
		return waiver.DefaultMax
	}
	return r.Max
}

const (
	classKept    = "waiver"
	classRevoked = "waiver-revoked"
	docPrints    = "waivers"
)

// Limits of what is kept.
const (
	Max        = 1000 // documents
	maxSigned  = 8    // statements for one
	remembered = 90 * 24 * time.Hour
	maxRevoked = 100_000 // ids, for good
	scanLimit  = 1 << 16 // repositories that hold one digest
)

// carried is one signed statement of a waiver as it arrived: proven again whenever an authority that may sign waivers becomes another.
type carried struct {
	Repository store.Name      `json:"repository"` // where it arrived first; of no consequence
	Subject    store.Digest    `json:"subject"`    // of the statement
	Evidence   verify.Evidence `json:"evidence"`   // one layer
	By         string          `json:"by"`
	At         time.Time       `json:"at"`
}

// record is what the store keeps of a waiver. Statements of the same document share it; another document of the same id has its own.
type record struct {
	Waiver waiver.Waiver `json:"waiver"`
	Signed []carried     `json:"signed"`
	At     time.Time     `json:"at"` // the first arrival
}

// kept is one as it stands in a snapshot of trust.
type kept struct {
	name  string // of its record
	rec   record
	under []map[string]proof.Judged // by statement, by authority
}

// nameOf names the record of a document: what is revoked by its id, whatever it says, is told apart by what it says.
func nameOf(w *waiver.Waiver) string {
	sum := sha256.Sum256(w.Document())
	return w.ID + "/" + hex.EncodeToString(sum[:16])
}

// Revocation ends all waivers of an id, those that are still to come included, for good.
type Revocation struct {
	ID     string    `json:"id"`
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// Book is the waivers of a snapshot of trust.
type Book struct {
	rules   Rules
	signers []*trust.Authority    // that may sign waivers; as of the last Prove
	waivers []kept                // ordered by name
	revoked map[string]Revocation // by id
}

// Load reads what is kept. It is to be proven. Errors: CodeInternal where a record is damaged.
func Load(r store.Records, rules Rules) (*Book, error) {
	b := &Book{rules: rules, revoked: map[string]Revocation{}}
	for name, text := range r.DocsOf(classKept) {
		w := kept{name: name}
		if err := json.Unmarshal(text, &w.rec); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the waiver %q is damaged; run assay check: %w", name, err)
		}
		b.waivers = append(b.waivers, w)
	}
	slices.SortFunc(b.waivers, func(x, y kept) int { return strings.Compare(x.name, y.name) })
	for id, text := range r.DocsOf(classRevoked) {
		var one Revocation
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the revocation of the waiver %q is damaged; run assay check: %w", id, err)
		}
		b.revoked[id] = one
	}
	return b, nil
}

// Clone is a copy to be changed: its list is replaced, never written to.
func (b *Book) Clone() *Book {
	c := *b
	c.revoked = maps.Clone(b.revoked)
	return &c
}

// SetRules replaces who may sign waivers, and for how long. They are to be proven again.
func (b *Book) SetRules(rules Rules) { b.rules = rules }

// Prove verifies every statement under those of the authorities that may sign waivers, where that was not done under their revision. An error means that no answer could be had.
func (b *Book) Prove(ctx context.Context, v verify.Verifier, authorities []trust.Authority) error {
	b.signers = nil
	for i := range authorities {
		if au := &authorities[i]; slices.Contains(b.rules.Authorities, au.Name) && au.Kind != verify.KindTUF && au.Name != verify.ReservedAuthority {
			b.signers = append(b.signers, au)
		}
	}
	proven := make([]kept, len(b.waivers))
	for i, w := range b.waivers {
		under := make([]map[string]proof.Judged, len(w.rec.Signed))
		for n, s := range w.rec.Signed {
			var before map[string]proof.Judged
			if n < len(w.under) {
				before = w.under[n]
			}
			var err error
			if under[n], err = b.prove(ctx, v, s, before); err != nil {
				return err
			}
		}
		w.under = under
		proven[i] = w
	}
	b.waivers = proven
	return nil
}

// prove verifies one statement. Where it was carried from does not matter: an authority speaks wherever it was found, and counts where it covers.
func (b *Book) prove(ctx context.Context, v verify.Verifier, s carried, before map[string]proof.Judged) (map[string]proof.Judged, error) {
	under := map[string]proof.Judged{}
	for _, au := range b.signers {
		if j, ok := before[au.Name]; ok && j.Revision == au.Revision() {
			under[au.Name] = j
			continue
		}
		j := proof.Judged{Revision: au.Revision()}
		if !au.Bare() {
			wide := au.Authority
			wide.Repositories = store.Globs{"**"}
			r, err := v.Verify(ctx, verify.Subject{Repository: s.Repository, Descriptor: store.Descriptor{Digest: s.Subject}}, []verify.Evidence{s.Evidence}, []verify.Authority{wide})
			if err != nil {
				return nil, err
			}
			j.Facts = r.Facts
		}
		under[au.Name] = j
	}
	return under, nil
}

// Prints say of each waiver by what it counts, apart from time: where that changes, verdicts are in doubt.
func (b *Book) Prints() map[string]string {
	prints := map[string]string{}
	for i := range b.waivers {
		w := &b.waivers[i]
		if _, revoked := b.revoked[w.rec.Waiver.ID]; revoked || w.rec.Waiver.Expires.Sub(w.begins()) > b.rules.max() {
			continue
		}
		var by []string
		for _, under := range w.under {
			for _, au := range b.signers {
				if slices.ContainsFunc(under[au.Name].Facts, proof.Proven) {
					by = append(by, au.Name+"@"+au.Revision())
				}
			}
		}
		if len(by) == 0 {
			continue
		}
		slices.Sort(by)
		sum := sha256.Sum256([]byte(strings.Join(by, "\n")))
		prints[w.name] = hex.EncodeToString(sum[:8])
	}
	return prints
}

// Seal puts in doubt what waivers that count otherwise than before are about, and writes what counts now for the next start. before are the [Book.Prints] of before, or [Last].
func (b *Book) Seal(tx *store.Txn, t *trust.Snapshot, before map[string]string) error {
	now := b.Prints()
	changed := false
	for i := range b.waivers {
		w := &b.waivers[i]
		if before[w.name] == now[w.name] {
			continue
		}
		changed = true
		if err := doubt(tx, t, &w.rec.Waiver); err != nil {
			return err
		}
	}
	if !changed && len(before) == len(now) {
		return nil
	}
	text, err := json.Marshal(now)
	if err != nil {
		panic("waiverkeep: a record of waivers that does not marshal") // strings
	}
	tx.PutDoc(trust.ClassRecords, docPrints, text)
	return nil
}

// doubt has what a waiver is about decided again before it is used: few manifests by name, or all of its repositories.
func doubt(tx *store.Txn, t *trust.Snapshot, w *waiver.Waiver) error {
	if len(w.Match.Digests) == 0 {
		t.Deny(trust.Denial{Repositories: w.Match.Repositories})
		return nil
	}
	for _, d := range w.Match.Digests {
		items := tx.Alternates(d)
		for _, n := range tx.RepositoriesOf(d, 'm', scanLimit) {
			items = append(items, store.Item{Repository: n, Digest: d})
		}
		for _, i := range items {
			if !w.Match.Repositories.Match(i.Repository) {
				continue
			}
			tx.Queue(i)
			rec, err := tx.Manifest(i.Repository, i.Digest)
			if err != nil {
				return err
			}
			b := tx.Content(i.Digest)
			if rec == nil || b == nil {
				continue
			}
			if p, err := store.ParseManifest(rec.MediaType, b); err == nil {
				for _, m := range p.Manifests {
					if tx.Verdict(i.Repository, m.Digest).State != "" {
						tx.Queue(store.Item{Repository: i.Repository, Digest: m.Digest})
					}
				}
			}
		}
	}
	return nil
}

// Last are the prints that were sealed last. Errors: CodeInternal.
func Last(tx *store.Txn) (map[string]string, error) {
	last := map[string]string{}
	if b := tx.Doc(trust.ClassRecords, docPrints); b != nil {
		if err := json.Unmarshal(b, &last); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the record of the waivers is damaged; run assay check: %w", err)
		}
	}
	return last, nil
}
