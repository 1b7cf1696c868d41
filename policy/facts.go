package policy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// known is what the store keeps about one evidence manifest for one subject: under each authority that covers the repository, what it says by itself.
type known struct {
	Under map[string]judged `json:"under,omitempty"` // by the authority's name; "" where there is none
	Facts []verify.Fact     `json:"facts,omitempty"` // of the registry's own statement: given, not verified
	// Elsewhere is Under for the same digest in the repositories that borrow this evidence.
	Elsewhere map[store.Name]map[string]judged `json:"elsewhere,omitempty"`
	Found     verify.Found                     `json:"found"`
	Registry  bool                             `json:"registry,omitempty"` // the registry's own statement
	Again     bool                             `json:"again,omitempty"`    // when it came, it proved nothing that was not proven already
	At        time.Time                        `json:"at"`
}

// judged are the facts under one revision of an authority, or under none: then the subject was not there yet. Under another they are found anew.
type judged struct {
	Revision string        `json:"revision"`
	Facts    []verify.Fact `json:"facts"`
}

func (k *known) verified() bool {
	for _, under := range append(slices.Collect(maps.Values(k.Elsewhere)), k.Under) {
		for _, j := range under {
			if slices.ContainsFunc(j.Facts, proven) {
				return true
			}
		}
	}
	return slices.ContainsFunc(k.Facts, proven)
}

// idle reports whether it adds nothing: of such manifests a limited number is kept.
func (k *known) idle() bool { return k.Again || !k.verified() }

func proven(f verify.Fact) bool { return f.Verified }

// Limits of what counts for one subject (semantics.md, "Evidence").
const (
	maxUnverified = 64
	maxVerified   = 64       // newest, per authority and predicate type
	maxEvidence   = 40 << 20 // bytes of one layer
)

// nobody is the revision of no authority at all.
const nobody = "none"

// verify judges one evidence manifest for a subject under each authority under which that was not done yet, or under which it was another, and forgets those
// that are gone. holder is the repository that has the evidence. It reports whether anything is not as it was.
func (a *Admission) verify(ctx context.Context, tx *store.Txn, covering []*trust.Authority, subject verify.Subject, holder store.Name, evidence store.Digest, k *known) (changed bool, err error) {
	if k.Registry {
		return false, nil
	}
	var e *verify.Evidence
	under := make(map[string]judged, len(covering))
	one := func(name, revision string, au *trust.Authority) error {
		if j, ok := k.Under[name]; ok && j.Revision == revision {
			under[name] = j
			return nil
		}
		if e == nil {
			if e, err = a.load(ctx, tx, holder, evidence, k.Found); err != nil {
				return err
			}
		}
		report, err := a.o.Verifier.Verify(ctx, subject, []verify.Evidence{*e}, au.Asked())
		if err != nil {
			return err
		}
		if au != nil && au.Bare() {
			au.Waiting(report.Facts)
		}
		under[name], changed = judged{revision, report.Facts}, true
		return nil
	}
	for _, au := range covering {
		if au.Kind == verify.KindTUF {
			continue // what it says of a manifest is no evidence that somebody pushed
		}
		if err := one(au.Name, au.Revision(), au); err != nil {
			return false, err
		}
	}
	if len(under) == 0 {
		if err := one("", nobody, nil); err != nil {
			return false, err
		}
	}
	changed = changed || len(under) != len(k.Under)
	k.Under = under
	return changed, nil
}

// told are the facts as policies are told them: of each layer what is proven, under whichever authorities, or the refusal that says most.
func (k *known) told(covering []*trust.Authority, now time.Time) []verify.Fact {
	if k.Registry {
		return k.Facts
	}
	if len(k.Under) == 1 { // under one authority, each is all there is about its layer
		var all []verify.Fact
		k.each(covering, now, func(_ string, facts []verify.Fact) { all = facts })
		return all
	}
	type place struct {
		layer store.Digest
		n     int // of layers with the same bytes, in order
	}
	all := map[place][]verify.Fact{}
	var order []place
	k.each(covering, now, func(_ string, facts []verify.Fact) {
		seen := map[store.Digest]int{}
		for _, f := range facts {
			p := place{f.Layer, seen[f.Layer]}
			seen[f.Layer]++
			if all[p] == nil {
				order = append(order, p)
			}
			all[p] = append(all[p], f)
		}
	})
	var facts []verify.Fact
	for _, p := range order {
		facts = append(facts, best(all[p])...)
	}
	return facts
}

// each gives what is known under each authority, by name, as it stands now.
func (k *known) each(covering []*trust.Authority, now time.Time, do func(name string, facts []verify.Fact)) {
	for _, name := range slices.Sorted(maps.Keys(k.Under)) {
		var au *trust.Authority
		if i := slices.IndexFunc(covering, func(au *trust.Authority) bool { return au.Name == name }); i >= 0 {
			au = covering[i]
		}
		facts := slices.Clone(k.Under[name].Facts)
		for i := range facts {
			facts[i] = au.At(facts[i], now)
		}
		do(name, facts)
	}
}

// best are the proven facts of one layer, or the refusal that says most.
func best(facts []verify.Fact) []verify.Fact {
	telling := 0
	var all []verify.Fact
	for i, f := range facts {
		if f.Verified {
			all = append(all, f)
		} else if f.Code.Tells(facts[telling].Code) {
			telling = i
		}
	}
	if len(all) > 0 {
		return all
	}
	return []verify.Fact{facts[telling]}
}

// next is when a fact begins or ceases to count.
func (k *known) next(covering []*trust.Authority, now time.Time) time.Time {
	var next time.Time
	for name, j := range k.Under {
		next = contract.Earlier(next, (&verify.Report{Facts: j.Facts}).NextChange(now))
		if i := slices.IndexFunc(covering, func(au *trust.Authority) bool { return au.Name == name }); i >= 0 && slices.ContainsFunc(j.Facts, proven) {
			if end := covering[i].Ends(); end.After(now) {
				next = contract.Earlier(next, end)
			}
		}
	}
	return next
}

// load reads an evidence manifest with its layers. It was classified when it was stored.
func (a *Admission) load(ctx context.Context, tx *store.Txn, repo store.Name, d store.Digest, found verify.Found) (*verify.Evidence, error) {
	rec, err := tx.Manifest(repo, d)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, store.Errorf(store.CodeUnavailable, "the evidence %s is missing; run assay check", d)
	}
	p, err := a.parse(tx, d, rec.MediaType)
	if err != nil {
		return nil, err
	}
	e := &verify.Evidence{Manifest: rec.Descriptor(), ArtifactType: p.ArtifactType, Found: found}
	if p.Config != nil {
		e.ConfigType = p.Config.MediaType
	}
	for _, l := range p.Layers {
		content, err := a.local.ReadContent(ctx, l.Digest, maxEvidence)
		if err != nil {
			return nil, err
		}
		e.Layers = append(e.Layers, verify.Layer{Descriptor: l, Bytes: content})
	}
	return e, nil
}

// found are facts as they stand now.
type found struct {
	facts []verify.Fact
	next  time.Time // when a fact begins or ceases to count
}

func (f *found) and(g *found) *found {
	if len(g.facts) == 0 {
		return &found{f.facts, contract.Earlier(f.next, g.next)}
	}
	return &found{slices.Concat(f.facts, g.facts), contract.Earlier(f.next, g.next)}
}

// revision names the facts; empty if there are none.
func (f *found) revision() string {
	if len(f.facts) == 0 {
		return ""
	}
	b, err := json.Marshal(f.facts)
	if err != nil {
		return "unknown"
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// facts are those of one manifest's own evidence, verified again where trust has changed since, and what TUF targets say of it.
func (a *Admission) facts(ctx context.Context, tx *store.Txn, t *grounds, subject verify.Subject) (*found, error) {
	repo, d := subject.Repository, subject.Descriptor.Digest
	covering := t.Covering(repo)
	all := map[store.Digest]*known{}
	for evidence, b := range tx.Facts(repo, d) {
		k, err := decodeFacts(evidence, b)
		if err != nil {
			return nil, err
		}
		if stands, err := a.stands(tx, t, repo, evidence); err != nil {
			return nil, err
		} else if !stands {
			continue
		}
		was := k.idle()
		changed, err := a.verify(ctx, tx, covering, subject, repo, evidence, k)
		if err != nil {
			return nil, err
		}
		if changed {
			putFacts(tx, repo, d, evidence, k, was)
		}
		all[evidence] = k
	}
	if err := a.borrow(ctx, tx, t, subject, all); err != nil {
		return nil, err
	}
	pinned, next := t.PinFacts(subject, a.now())
	return count(all, covering, a.now()).and(&found{pinned, next}), nil
}

func decodeFacts(evidence store.Digest, b []byte) (*known, error) {
	k, p := new(known), store.ReadPlain(b)
	if k.read(&p) {
		return k, nil
	}
	k = new(known)
	if err := json.Unmarshal(b, k); err != nil {
		return nil, store.Errorf(store.CodeInternal, "the facts of %s are damaged; run assay check: %w", evidence, err)
	}
	return k, nil
}

// stands reports whether evidence counts at all: what is revoked, by its own digest or a blob's, proves nothing while the record is there.
func (a *Admission) stands(tx *store.Txn, t *grounds, repo store.Name, evidence store.Digest) (bool, error) {
	if tx.Verdict(repo, evidence).State != store.StateEvidence {
		return false, nil
	}
	if !t.Revokes() {
		return true, nil
	}
	s, err := a.subject(tx, store.Item{Repository: repo, Digest: evidence})
	return err == nil && a.withdrawn(t, s) == nil, err
}

// classUnproven counts, for each subject, the evidence manifests of which facts are kept that prove nothing, or nothing new: an arrival does not read all the others.
const classUnproven = "unproven"

func unprovenName(repo store.Name, subject store.Digest) string {
	return string(repo) + "@" + string(subject)
}

func unproven(tx *store.Txn, repo store.Name, subject store.Digest) int {
	n, err := strconv.Atoi(string(tx.Doc(classUnproven, unprovenName(repo, subject))))
	if err != nil {
		return 0
	}
	return n
}

// putFacts keeps facts. counted says that these were counted as idle before.
func putFacts(tx *store.Txn, repo store.Name, subject, evidence store.Digest, k *known, counted bool) {
	b, err := json.Marshal(k)
	if err != nil {
		panic("policy: facts that do not marshal") // strings, times and decoded JSON
	}
	tx.PutFacts(repo, subject, evidence, b)
	countUnproven(tx, repo, subject, counted, k.idle())
}

// dropFacts forgets what a manifest proved of a subject.
func dropFacts(tx *store.Txn, repo store.Name, subject, evidence store.Digest) {
	b := tx.Fact(repo, subject, evidence)
	if b == nil {
		return
	}
	k, err := decodeFacts(evidence, b)
	tx.DropFacts(repo, subject, evidence)
	countUnproven(tx, repo, subject, err == nil && k.idle(), false)
}

func countUnproven(tx *store.Txn, repo store.Name, subject store.Digest, was, is bool) {
	n := unproven(tx, repo, subject)
	switch {
	case is && !was:
		n++
	case was && !is:
		n--
	default:
		return
	}
	if n <= 0 {
		tx.DeleteDoc(classUnproven, unprovenName(repo, subject))
	} else {
		tx.PutDoc(classUnproven, unprovenName(repo, subject), []byte(strconv.Itoa(n)))
	}
}

// newest lists evidence by when it came, the newest first.
func newest(all map[store.Digest]*known) []store.Digest {
	order := make([]store.Digest, 0, len(all))
	for d := range all {
		order = append(order, d)
	}
	slices.SortFunc(order, func(x, y store.Digest) int {
		return cmp.Or(all[y].At.Compare(all[x].At), strings.Compare(string(x), string(y)))
	})
	return order
}

// Limits of how far evidence travels down (semantics.md, "The closure").
const (
	maxDepth = 4
	maxNodes = 10_000 // admitted ones: those that wait displace none
)

// inherited are the facts of the admitted indexes above a manifest, and its parents.
func (a *Admission) inherited(ctx context.Context, tx *store.Txn, t *grounds, repo store.Name, d store.Digest) (*found, []store.Digest, error) {
	all := &found{}
	parents := tx.Parents(repo, d)
	seen := map[store.Digest]bool{d: true}
	level, nodes := parents, 0
	for range maxDepth {
		var next []store.Digest
		for _, parent := range level {
			if seen[parent] || nodes > maxNodes || !a.counts(tx, t, store.Item{Repository: repo, Digest: parent}) {
				continue
			}
			seen[parent] = true
			nodes++
			rec, err := tx.Manifest(repo, parent)
			if err != nil {
				return nil, nil, err
			}
			own, err := a.facts(ctx, tx, t, subjectOf(repo, rec))
			if err != nil {
				return nil, nil, err
			}
			if len(own.facts) > 0 {
				own.next = contract.Earlier(own.next, rec.ValidUntil)
			}
			for i := range own.facts {
				own.facts[i].InheritedFrom = parent
			}
			all.facts, all.next = append(all.facts, own.facts...), contract.Earlier(all.next, own.next)
			next = append(next, tx.Parents(repo, parent)...)
		}
		level = next
	}
	return all, parents, nil
}

func subjectOf(repo store.Name, rec *store.ManifestRecord) verify.Subject {
	s := verify.Subject{Repository: repo, Descriptor: rec.Descriptor()}
	if det, err := rec.Detail(); err == nil {
		s.Alternate = det.Alternate
	}
	return s
}
