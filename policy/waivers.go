package policy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// WaiverRules say who may sign waivers, and for how long.
type WaiverRules struct {
	Authorities []string // names; without any, no waiver counts
	// Max is the longest that a waiver may last, from its not_before or, without one, from its arrival; 0 is DefaultWaiverMax.
	Max time.Duration
}

func (r WaiverRules) max() time.Duration {
	if r.Max <= 0 {
		return waiver.DefaultMax
	}
	return r.Max
}

const (
	classWaiver        = "waiver"
	classWaiverPending = "waiver-pending" // evidence that carries one, to be taken
	classWaiverRevoked = "waiver-revoked"
	docWaivers         = "waivers"
)

// Limits of what is kept.
const (
	MaxWaivers       = 1000 // documents
	maxWaiverSigned  = 8    // statements for one
	waiverRemembered = 90 * 24 * time.Hour
)

// carried is one signed statement of a waiver as it arrived: proven again whenever an authority that may sign waivers becomes another.
type carried struct {
	Repository store.Name      `json:"repository"` // where it arrived first; of no consequence
	Subject    store.Digest    `json:"subject"`    // of the statement
	Evidence   verify.Evidence `json:"evidence"`   // one layer
	By         string          `json:"by"`
	At         time.Time       `json:"at"`
}

// waiverRecord is what the store keeps of a waiver. Statements of the same document share it; another document of the same id has its own.
type waiverRecord struct {
	Waiver waiver.Waiver `json:"waiver"`
	Signed []carried     `json:"signed"`
	At     time.Time     `json:"at"` // the first arrival
}

// keptWaiver is one as it stands in a snapshot of trust.
type keptWaiver struct {
	name  string // of its record
	rec   waiverRecord
	under []map[string]proof.Judged // by statement, by authority
}

// waiverName names the record of a document: what is revoked by its id, whatever it says, is told apart by what it says.
func waiverName(w *waiver.Waiver) string {
	sum := sha256.Sum256(w.Document())
	return w.ID + "/" + hex.EncodeToString(sum[:16])
}

// WaiverRevocation ends all waivers of an id, those that are still to come included, for good.
type WaiverRevocation struct {
	ID     string    `json:"id"`
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

func (t *grounds) loadWaivers(tx *store.Txn) error {
	for name, b := range tx.DocsOf(classWaiver) {
		w := keptWaiver{name: name}
		if err := json.Unmarshal(b, &w.rec); err != nil {
			return store.Errorf(store.CodeInternal, "the waiver %q is damaged; run assay check: %w", name, err)
		}
		t.waivers = append(t.waivers, w)
	}
	slices.SortFunc(t.waivers, func(x, y keptWaiver) int { return strings.Compare(x.name, y.name) })
	t.unwaived = map[string]WaiverRevocation{}
	for id, b := range tx.DocsOf(classWaiverRevoked) {
		var r WaiverRevocation
		if err := json.Unmarshal(b, &r); err != nil {
			return store.Errorf(store.CodeInternal, "the revocation of the waiver %q is damaged; run assay check: %w", id, err)
		}
		t.unwaived[id] = r
	}
	return nil
}

// proveWaivers verifies every statement under the authorities that may sign waivers, where that was not done under their revision.
func (a *Admission) proveWaivers(ctx context.Context, t *grounds) error {
	proven := make([]keptWaiver, len(t.waivers))
	for i, w := range t.waivers {
		under := make([]map[string]proof.Judged, len(w.rec.Signed))
		for n, s := range w.rec.Signed {
			var before map[string]proof.Judged
			if n < len(w.under) {
				before = w.under[n]
			}
			var err error
			if under[n], err = a.proveWaiver(ctx, t, s, before); err != nil {
				return err
			}
		}
		w.under = under
		proven[i] = w
	}
	t.waivers = proven
	return nil
}

// proveWaiver verifies one statement. Where it was carried from does not matter: an authority speaks wherever it was found, and counts where it covers.
func (a *Admission) proveWaiver(ctx context.Context, t *grounds, s carried, before map[string]proof.Judged) (map[string]proof.Judged, error) {
	under := map[string]proof.Judged{}
	for _, au := range t.waiverAuthorities() {
		if j, ok := before[au.Name]; ok && j.Revision == au.Revision() {
			under[au.Name] = j
			continue
		}
		j := proof.Judged{Revision: au.Revision()}
		if !au.Bare() {
			wide := au.Authority
			wide.Repositories = store.Globs{"**"}
			r, err := a.o.Verifier.Verify(ctx, verify.Subject{Repository: s.Repository, Descriptor: store.Descriptor{Digest: s.Subject}}, []verify.Evidence{s.Evidence}, []verify.Authority{wide})
			if err != nil {
				return nil, err
			}
			j.Facts = r.Facts
		}
		under[au.Name] = j
	}
	return under, nil
}

// waiverAuthorities are those in force that may sign waivers.
func (t *grounds) waiverAuthorities() []*trust.Authority {
	var all []*trust.Authority
	for i := range t.Authorities {
		if au := &t.Authorities[i]; slices.Contains(t.waiverRules.Authorities, au.Name) && au.Kind != verify.KindTUF && au.Name != verify.ReservedAuthority {
			all = append(all, au)
		}
	}
	return all
}

// signature is who vouches for a waiver, and until when.
type signature struct {
	authority, signer string
	until             time.Time // zero: without end
}

// signatures are the distinct signers (verify.Signers) of a waiver that count at now, each with the latest end, in a repository; "" is in any. next is when that changes.
func (t *grounds) signatures(w *keptWaiver, repo store.Name, now time.Time) (all []signature, next time.Time) {
	var facts []verify.Fact
	for _, under := range w.under {
		for _, au := range t.waiverAuthorities() {
			if repo != "" && !au.Covers(repo) {
				continue
			}
			next = contract.Earlier(next, (&verify.Report{Facts: under[au.Name].Facts}).NextChange(now))
			for _, f := range under[au.Name].Facts {
				if f = au.At(f, now); f.Verified && f.Kind == verify.KindAttestation && f.PredicateType == verify.PredicateWaiver {
					facts = append(facts, f)
				}
			}
		}
	}
	last := map[string]verify.Fact{} // of each signer, what counts longest
	for i, name := range verify.Signers(facts) {
		if was, there := last[name]; name != "" && (!there || proof.Longer(facts[i], was)) {
			last[name] = facts[i]
		}
	}
	for _, f := range last {
		signer := f.KeyID
		if f.Identity != "" {
			signer = f.Issuer + " " + f.Identity
		}
		all = append(all, signature{f.Authority, signer, f.ValidUntil})
	}
	slices.SortFunc(all, func(x, y signature) int {
		return cmp.Or(strings.Compare(x.authority, y.authority), strings.Compare(x.signer, y.signer))
	})
	return all, next
}

// WaiverState is where a waiver stands.
type WaiverState string

// The states of a waiver.
const (
	WaiverActive   WaiverState = "active"
	WaiverEarly    WaiverState = "early" // before not_before
	WaiverExpired  WaiverState = "expired"
	WaiverRevoked  WaiverState = "revoked"
	WaiverTooLong  WaiverState = "too_long" // it lasts longer than the configuration lets one
	WaiverUnproven WaiverState = "unproven" // too few signers that may sign waivers
)

// standing says whether a waiver counts in a repository ("": in any), until when, and when that changes by time alone.
func (t *grounds) waiverStanding(w *keptWaiver, repo store.Name, now time.Time) (state WaiverState, by []signature, until, next time.Time) {
	doc := &w.rec.Waiver
	by, next = t.signatures(w, repo, now)
	until = doc.Expires
	switch _, revoked := t.unwaived[doc.ID]; {
	case revoked:
		return WaiverRevoked, by, until, time.Time{}
	case !now.Before(doc.Expires):
		return WaiverExpired, by, until, time.Time{}
	case doc.Expires.Sub(w.begins()) > t.waiverRules.max():
		return WaiverTooLong, by, until, time.Time{}
	case len(by) < doc.Needed():
		return WaiverUnproven, by, until, next
	case now.Before(doc.NotBefore):
		return WaiverEarly, by, until, contract.Earlier(next, doc.NotBefore)
	}
	for _, s := range by {
		until = contract.Earlier(until, s.until)
	}
	return WaiverActive, by, until, contract.Earlier(next, until)
}

func (w *keptWaiver) begins() time.Time {
	if w.rec.Waiver.NotBefore.IsZero() {
		return w.rec.At
	}
	return w.rec.Waiver.NotBefore
}

// covering waivers of a manifest, as policies are told of them; ds are its digests and those of the indexes that list it. next is the first moment at which one
// begins or ceases to count.
func (t *grounds) waiversOf(repo store.Name, ds []store.Digest, now time.Time) (all []contract.WaiverInput, next time.Time) {
	for i := range t.waivers {
		w := &t.waivers[i]
		if !w.rec.Waiver.Covers(repo, ds) {
			continue
		}
		state, by, until, change := t.waiverStanding(w, repo, now)
		next = contract.Earlier(next, change)
		if state == WaiverActive {
			all = append(all, w.input(by, until))
		}
	}
	return all, next
}

func (w *keptWaiver) input(by []signature, until time.Time) contract.WaiverInput {
	doc := w.rec.Waiver
	in := contract.WaiverInput{ID: doc.ID, Codes: doc.Codes, Policies: doc.Match.Policies, Reason: doc.Reason, Ticket: doc.Ticket, Approver: doc.Approver, NotBefore: doc.NotBefore,
		Expires: until, Verified: true}
	for _, s := range by {
		if !slices.Contains(in.Authorities, s.authority) {
			in.Authorities = append(in.Authorities, s.authority)
		}
	}
	return in
}

// waive adds the waivers that cover a manifest to what a policy is told, and returns when one begins or ceases to count and the mark of them that the
// revision of the evidence bears.
func (t *grounds) waive(in *contract.Input, parents []store.Digest, others ...store.Digest) (next time.Time, mark string) {
	if len(t.waivers) == 0 {
		return next, ""
	}
	ds := slices.Concat([]store.Digest{in.Subject.Digest}, others, parents)
	in.Waivers, next = t.waiversOf(in.Subject.Repository, slices.DeleteFunc(ds, func(d store.Digest) bool { return d == "" }), in.Request.Time)
	return next, waiverMark(in.Waivers)
}

const markBegins = "+"

func waiverMark(all []contract.WaiverInput) string {
	if len(all) == 0 {
		return ""
	}
	b, err := json.Marshal(all)
	if err != nil {
		return markBegins + "unknown"
	}
	sum := sha256.Sum256(b)
	return markBegins + hex.EncodeToString(sum[:8])
}

// waivedOtherwise reports whether two revisions of evidence differ in the waivers.
func waivedOtherwise(was, is string) bool {
	_, x, _ := strings.Cut(was, markBegins)
	_, y, _ := strings.Cut(is, markBegins)
	return x != y
}

// waiverPrints says of each waiver by what it counts, apart from time: where that changes, verdicts are in doubt.
func (t *grounds) waiverPrints() map[string]string {
	prints := map[string]string{}
	for i := range t.waivers {
		w := &t.waivers[i]
		if _, revoked := t.unwaived[w.rec.Waiver.ID]; revoked || w.rec.Waiver.Expires.Sub(w.begins()) > t.waiverRules.max() {
			continue
		}
		var by []string
		for _, under := range w.under {
			for _, au := range t.waiverAuthorities() {
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

// sealWaivers puts in doubt what waivers that count otherwise than before are about, and writes what counts now for the next start.
func (t *grounds) sealWaivers(tx *store.Txn, before map[string]string) error {
	now := t.waiverPrints()
	changed := false
	for i := range t.waivers {
		w := &t.waivers[i]
		if before[w.name] == now[w.name] {
			continue
		}
		changed = true
		if err := t.doubtWaiver(tx, &w.rec.Waiver); err != nil {
			return err
		}
	}
	if !changed && len(before) == len(now) {
		return nil
	}
	b, err := json.Marshal(now)
	if err != nil {
		panic("policy: a record of waivers that does not marshal") // strings
	}
	tx.PutDoc(trust.ClassRecords, docWaivers, b)
	return nil
}

// doubtWaiver has what a waiver is about decided again before it is used: few manifests by name, or all of its repositories.
func (t *grounds) doubtWaiver(tx *store.Txn, w *waiver.Waiver) error {
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

func lastWaivers(tx *store.Txn) (map[string]string, error) {
	last := map[string]string{}
	if b := tx.Doc(trust.ClassRecords, docWaivers); b != nil {
		if err := json.Unmarshal(b, &last); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the record of the waivers is damaged; run assay check: %w", err)
		}
	}
	return last, nil
}
