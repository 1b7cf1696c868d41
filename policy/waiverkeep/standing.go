package waiverkeep

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// signature is who vouches for a waiver, and until when.
type signature struct {
	authority, signer string
	until             time.Time // zero: without end
}

// signatures are the distinct signers (verify.Signers) of a waiver that count at now, each with the latest end, in a repository; "" is in any. next is when that changes.
func (b *Book) signatures(w *kept, repo store.Name, now time.Time) (all []signature, next time.Time) {
	var facts []verify.Fact
	for _, under := range w.under {
		for _, au := range b.signers {
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

// State is where a waiver stands.
type State string

// The states of a waiver.
const (
	Active   State = "active"
	Early    State = "early" // before not_before
	Expired  State = "expired"
	Revoked  State = "revoked"
	TooLong  State = "too_long" // it lasts longer than the configuration lets one
	Unproven State = "unproven" // too few signers that may sign waivers
)

// standing says whether a waiver counts in a repository ("": in any), until when, and when that changes by time alone.
func (b *Book) standing(w *kept, repo store.Name, now time.Time) (state State, by []signature, until, next time.Time) {
	doc := &w.rec.Waiver
	by, next = b.signatures(w, repo, now)
	until = doc.Expires
	switch _, revoked := b.revoked[doc.ID]; {
	case revoked:
		return Revoked, by, until, time.Time{}
	case !now.Before(doc.Expires):
		return Expired, by, until, time.Time{}
	case doc.Expires.Sub(w.begins()) > b.rules.max():
		return TooLong, by, until, time.Time{}
	case len(by) < doc.Needed():
		return Unproven, by, until, next
	case now.Before(doc.NotBefore):
		return Early, by, until, contract.Earlier(next, doc.NotBefore)
	}
	for _, s := range by {
		until = contract.Earlier(until, s.until)
	}
	return Active, by, until, contract.Earlier(next, until)
}

func (w *kept) begins() time.Time {
	if w.rec.Waiver.NotBefore.IsZero() {
		return w.rec.At
	}
	return w.rec.Waiver.NotBefore
}

// covering are the waivers of a manifest, as policies are told of them; ds are its digests and those of the indexes that list it. next is the first moment at which one
// begins or ceases to count.
func (b *Book) covering(repo store.Name, ds []store.Digest, now time.Time) (all []contract.WaiverInput, next time.Time) {
	for i := range b.waivers {
		w := &b.waivers[i]
		if !w.rec.Waiver.Covers(repo, ds) {
			continue
		}
		state, by, until, change := b.standing(w, repo, now)
		next = contract.Earlier(next, change)
		if state == Active {
			all = append(all, w.input(by, until))
		}
	}
	return all, next
}

func (w *kept) input(by []signature, until time.Time) contract.WaiverInput {
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

// Waive adds the waivers that cover a manifest to what a policy is told, and returns when one begins or ceases to count and the mark of them that the
// revision of the evidence bears.
func (b *Book) Waive(in *contract.Input, parents []store.Digest, others ...store.Digest) (next time.Time, mark string) {
	if len(b.waivers) == 0 {
		return next, ""
	}
	ds := slices.Concat([]store.Digest{in.Subject.Digest}, others, parents)
	in.Waivers, next = b.covering(in.Subject.Repository, slices.DeleteFunc(ds, func(d store.Digest) bool { return d == "" }), in.Request.Time)
	return next, markOf(in.Waivers)
}

const markBegins = "+"

func markOf(all []contract.WaiverInput) string {
	if len(all) == 0 {
		return ""
	}
	text, err := json.Marshal(all)
	if err != nil {
		return markBegins + "unknown"
	}
	sum := sha256.Sum256(text)
	return markBegins + hex.EncodeToString(sum[:8])
}

// WaivedOtherwise reports whether two revisions of evidence differ in the waivers.
func WaivedOtherwise(was, is string) bool {
	_, x, _ := strings.Cut(was, markBegins)
	_, y, _ := strings.Cut(is, markBegins)
	return x != y
}
