package policy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Inventories keeps what images contain, in the transactions of the gate. Implementation: [index.Index].
type Inventories interface {
	Put(tx *store.Txn, image store.Item, origin index.Origin, inv *sbom.Inventory) error
	Drop(tx *store.Txn, image store.Item)
}

// ingestSpace remembers, for each image, what was read of its documents ('s': [ingested]) and which documents are to be read ('q': [ingestWork]).
const ingestSpace = "ingest"

func ingestKey(kind byte, i store.Item) []byte {
	return append([]byte{kind}, string(i.Repository)+"\x00"+string(i.Digest)...)
}

// ingestWork says which documents are to be read: the one that speaks for the image is indexed, and what a client declares is compared with what the registry found.
type ingestWork struct{ best, declared, generated sbomSource }

// work is what is to be read of an image's SBOMs.
func (all *sboms) work() (w ingestWork) {
	if all.best == nil {
		return w
	}
	w.best = all.best.sbomSource
	if d := all.declared; d != nil {
		w.declared = d.sbomSource
		if all.generated != nil {
			w.generated = all.generated.sbomSource
		}
	}
	return w
}

// String is a line for each document; empty if there is nothing to read.
func (w ingestWork) String() string {
	if w.best.origin == "" {
		return ""
	}
	return strings.Join([]string{w.best.String(), w.declared.String(), w.generated.String()}, "\n")
}

func parseWork(text string) (w ingestWork) {
	lines := append(strings.Split(text, "\n"), "", "")
	w.best, w.declared, w.generated = parseSource(lines[0]), parseSource(lines[1]), parseSource(lines[2])
	return w
}

// workName is short for a piece of work.
func workName(work string) string {
	sum := sha256.Sum256([]byte(work))
	return hex.EncodeToString(sum[:16])
}

// ingested is what is remembered of the documents that were read.
type ingested struct {
	Work     string         `json:"work"`               // its name
	Origin   string         `json:"origin"`             // of the document that speaks for the image
	Declared string         `json:"declared,omitempty"` // the declared document, where there is one
	Format   string         `json:"format,omitempty"`
	Summary  *sbom.Summary  `json:"summary,omitempty"` // of it; nil where it could not be read
	Found    string         `json:"found,omitempty"`   // the generated document that it was compared with
	Drift    *ContentsDrift `json:"drift,omitempty"`
	Failed   string         `json:"failed,omitempty"` // why a document could not be read
}

// readIngested is what is remembered of an image; nil if there is nothing.
func readIngested(r store.Records, i store.Item) (*ingested, error) {
	b := r.Space(ingestSpace).Get(ingestKey('s', i))
	if len(b) == 0 || b[0] != '{' { // of before anything but the document's name was remembered
		return nil, nil
	}
	in, p := new(ingested), store.ReadPlain(b)
	if in.read(&p) {
		return in, nil
	}
	in = new(ingested)
	if err := json.Unmarshal(b, in); err != nil {
		return nil, store.Errorf(store.CodeInternal, "the inventory record of %s is damaged; run assay check: %w", i.Digest, err)
	}
	return in, nil
}

// sbomOrigin is the origin of the SBOM that speaks for an image, empty if there is none, and whether it still waits to be read.
func sbomOrigin(r store.Records, i store.Item) (origin string, waits bool, err error) {
	if b := r.Space(ingestSpace).Get(ingestKey('q', i)); b != nil {
		return parseWork(string(b)).best.origin, true, nil
	}
	in, err := readIngested(r, i)
	if in != nil {
		origin = in.Origin
	}
	return origin, false, err
}

// describe adds what the document says to what policies are told of it.
func (r *ingested) describe(in *contract.SBOMInput) {
	s := r.Summary
	in.Packages, in.Format = packagesOf(s), cmp.Or(r.Format, in.Format)
	in.Generator = cmp.Or(s.Generator, in.Generator)
	if in.Created.IsZero() {
		in.Created = s.Created
	}
	if s.Distro != "" {
		in.Distro = &contract.DistroInput{ID: s.Distro, Version: s.DistroVer}
	}
}

// requestIngest notes that an image's inventory should come from other documents than it does, or from none. It reads no document: that is the worker's.
func (a *Admission) requestIngest(tx *store.Txn, s *subjectManifest, v *verdict) {
	if a.o.Inventories == nil || s.rec.Kind != store.KindImage || v.sboms == nil {
		return
	}
	i := store.Item{Repository: s.repo, Digest: s.rec.Digest}
	sp, want := tx.Space(ingestSpace), v.sboms.work().String()
	has, queued := sp.Get(ingestKey('s', i)), string(sp.Get(ingestKey('q', i)))
	read, err := readIngested(tx.Records, i)
	switch {
	case want == "":
		if has != nil || queued != "" {
			a.dropInventory(tx, i)
		}
	case err == nil && read != nil && read.Work == workName(want):
		if queued != "" {
			sp.Delete(ingestKey('q', i))
		}
	case want != queued:
		sp.Put(ingestKey('q', i), []byte(want))
		tx.AfterCommit(func() { wake(a.wakeIngest) })
	}
}

// dropInventory forgets what an image contains, with the image.
func (a *Admission) dropInventory(tx *store.Txn, i store.Item) {
	sp := tx.Space(ingestSpace)
	if a.o.Inventories == nil || sp.Get(ingestKey('s', i)) == nil && sp.Get(ingestKey('q', i)) == nil {
		return
	}
	sp.Delete(ingestKey('s', i))
	sp.Delete(ingestKey('q', i))
	tx.Space(findingsSpace).Delete(i.Key())
	vulns.Forget(tx, i)
	a.o.Inventories.Drop(tx, i)
}

// ingestRetry is how long the worker waits after the storage failed.
const ingestRetry = 10 * time.Second

// runIngest works the queue off until ctx ends. It is in the store: a restart resumes it.
func (a *Admission) runIngest(ctx context.Context) {
	if a.o.Inventories == nil {
		return
	}
	tick := time.NewTicker(ingestRetry)
	defer tick.Stop()
	for {
		if err := a.Ingest(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("the inventory queue stopped and is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.wakeIngest:
		case <-tick.C:
		}
	}
}

// Ingest reads the documents that are queued and gives their inventories to the index. What cannot be read is skipped, with a warning, for the registry's own
// document where there is one.
func (a *Admission) Ingest(ctx context.Context) error {
	if a.o.Inventories == nil {
		return nil
	}
	return inTurn(ctx, func(after *store.Item, limit int) (page []store.Item, err error) {
		from := []byte{'q'}
		if after != nil {
			from = append(ingestKey('q', *after), 0)
		}
		err = a.local.View(ctx, func(s store.Snapshot) error {
			for _, p := range s.Space(ingestSpace).Scan(from, []byte{'q' + 1}, limit) {
				repo, d, ok := strings.Cut(string(p.Key[1:]), "\x00")
				if !ok {
					return store.Errorf(store.CodeInternal, "an inventory work record is damaged; run assay check")
				}
				page = append(page, store.Item{Repository: store.Name(repo), Digest: store.Digest(d)})
			}
			return nil
		})
		return page, err
	}, func(i store.Item) (bool, error) {
		var want []byte
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			want = bytes.Clone(s.Space(ingestSpace).Get(ingestKey('q', i)))
			return nil
		}); err != nil || want == nil || !a.ingesting.over(a.now(), i, want) {
			return false, err
		}
		err := a.ingest(ctx, i, string(want))
		a.ingesting.note(a.now(), i, want, err)
		return true, err
	})
}

// ingest reads the documents of one image.
func (a *Admission) ingest(ctx context.Context, i store.Item, want string) error {
	w, r := parseWork(want), &ingested{Work: workName(want), Origin: parseWork(want).best.origin}
	best := w.best
	inv, err := a.readSource(ctx, i, best)
	if err != nil && retry(ctx, err) {
		return err
	}
	if err != nil {
		a.log.Warn("an SBOM cannot be indexed", "repository", i.Repository, "digest", i.Digest, "document", best.layer, "reason", err.Error())
		r.Failed = sentence.Clip(err.Error(), sentence.Max)
		if own := a.ownDocument(ctx, i); own != "" && best.origin != originGenerated {
			best = sbomSource{origin: originGenerated, layer: own}
			if inv, err = a.readSource(ctx, i, best); err != nil && retry(ctx, err) {
				return err
			}
		}
	}
	if err := a.compare(ctx, i, w, best, inv, r); err != nil {
		return err
	}
	return a.local.Update(ctx, func(tx *store.Txn) error { return a.keepIngested(tx, i, want, r, best, inv) })
}

// retry reports whether a failure is of the moment, and not of the document.
func retry(ctx context.Context, err error) bool {
	return ctx.Err() != nil || store.CodeOf(err) == store.CodeUnavailable
}

// compare summarizes what is declared, and compares it with what was found. inv is what best says, which may be either.
func (a *Admission) compare(ctx context.Context, i store.Item, w ingestWork, best sbomSource, inv *sbom.Inventory, r *ingested) error {
	read := func(s sbomSource) (*sbom.Inventory, error) {
		if s == best && inv != nil {
			return inv, nil
		}
		got, err := a.readSource(ctx, i, s)
		if err != nil && r.Failed == "" {
			r.Failed = sentence.Clip(err.Error(), sentence.Max)
		}
		if err != nil && retry(ctx, err) {
			return nil, err
		}
		return got, nil
	}
	if w.declared.origin == "" {
		return nil
	}
	r.Declared = w.declared.String()
	declared, err := read(w.declared)
	if err != nil || declared == nil {
		return err
	}
	summary := declared.Summary()
	r.Format, r.Summary = declared.Format, &summary
	if w.generated.origin == "" {
		return nil
	}
	found, err := read(w.generated)
	if err != nil || found == nil {
		return err
	}
	r.Found, r.Drift = w.generated.String(), driftOf(w.declared, declared, found)
	return nil
}

// keepIngested indexes what speaks for the image and remembers what was read, if that is still wanted.
func (a *Admission) keepIngested(tx *store.Txn, i store.Item, want string, r *ingested, best sbomSource, inv *sbom.Inventory) error {
	sp := tx.Space(ingestSpace)
	if string(sp.Get(ingestKey('q', i))) != want {
		return nil // another document is wanted meanwhile, or none
	}
	if inv != nil {
		origin := index.Origin{Kind: "ingested", Document: best.layer, Evidence: best.evidence, Signer: best.signer}
		if best.origin == originGenerated {
			origin.Kind = originGenerated
		}
		if err := a.o.Inventories.Put(tx, i, origin, inv); err != nil {
			if store.CodeOf(err) != store.CodeInvalid {
				return err
			}
			r.Failed, inv = sentence.Clip(err.Error(), sentence.Max), nil
		}
	}
	if inv == nil {
		a.o.Inventories.Drop(tx, i) // what another document said of it does not stand for this one
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	sp.Delete(ingestKey('q', i))
	sp.Put(ingestKey('s', i), b)
	noteFailure(tx, failedRead, i, r.Failed)
	tx.AfterCommit(a.contentsRead.ring)
	if inv != nil {
		if _, err := a.noteFindings(tx, i); err != nil {
			return err
		}
	}
	if t := a.trusted(tx).Engine.Traits(i.Repository); t.WantsSBOM || t.Vulnerabilities { // a policy may ask about packages: it is decided again with the answer
		tx.Queue(i)
		tx.AfterCommit(func() { wake(a.wakeReview) })
	}
	return nil
}

// ownDocument is the registry's own SPDX document about an image, if there is one.
func (a *Admission) ownDocument(ctx context.Context, i store.Item) (d store.Digest) {
	err := a.local.View(ctx, func(s store.Snapshot) error {
		var r sbomRecord
		if b := s.SBOM(i.Repository, i.Digest); b != nil && json.Unmarshal(b, &r) == nil {
			if in := r.input(); r.Failed == "" {
				d = in.Digest
			}
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return d
}

// readSource reads a document, and refuses one that nobody signed where it says that it is about something else.
func (a *Admission) readSource(ctx context.Context, i store.Item, s sbomSource) (*sbom.Inventory, error) {
	b, err := a.local.ReadContent(ctx, s.layer, maxEvidence)
	if err != nil {
		return nil, err
	}
	if s.origin == originGenerated { // in no wrapping
		return sbom.Read("", b)
	}
	inv, about, err := readSBOM(b)
	if err != nil || s.origin != originAttached {
		return inv, err
	}
	if err := a.local.View(ctx, func(snapshot store.Snapshot) error { return checkAbout(snapshot, i, inv, about) }); err != nil {
		return nil, err
	}
	return inv, nil
}

// checkAbout holds an unsigned document to the image: the subjects of its statement have to name the image, or an index above it, and a document that names another manifest of the
// repository is about that one. What it names otherwise (the image before it was pushed, in a form of its own) says nothing.
func checkAbout(s store.Snapshot, i store.Item, inv *sbom.Inventory, about *verify.Statement) error {
	parents := s.Parents(i.Repository, i.Digest)
	if about != nil {
		named := false
		for _, d := range append(parents, i.Digest) {
			subject := verify.Subject{Repository: i.Repository, Descriptor: store.Descriptor{Digest: d}}
			if rec, err := s.Manifest(i.Repository, d); err != nil {
				return err
			} else if rec != nil {
				subject = subjectOf(i.Repository, rec)
			}
			named = named || about.About(subject) != nil
		}
		if !named {
			return errors.New("the statement is about another image")
		}
	}
	if d := inv.Subject; d != "" && d != i.Digest {
		for _, p := range parents {
			if p == d {
				return nil
			}
		}
		if s.Verdict(i.Repository, d).State != "" {
			return errors.New("the document says that it is about another image of the repository, " + string(d))
		}
	}
	return nil
}

// document reads the document that an image's inventory is from.
func document(ctx context.Context, local *store.Local, o index.Origin) (*sbom.Inventory, error) {
	b, err := local.ReadContent(ctx, o.Document, maxEvidence)
	if err != nil {
		return nil, err
	}
	inv, _, err := readSBOM(b)
	return inv, err
}

// readSBOM reads the content of a layer: a document as it is, or what a statement says, in whatever wrapping. It also returns the statement, if there is one that names subjects.
// cosign carries SPDX in tag-value form as a JSON string.
func readSBOM(b []byte) (*sbom.Inventory, *verify.Statement, error) {
	scheme, predicate, bare := wrapping(b)
	var about *verify.Statement
	switch {
	case scheme == "":
		inv, err := sbom.Read("", b)
		return inv, nil, err
	case !bare:
		st, err := verify.StatementIn(scheme, b)
		if err != nil {
			return nil, nil, err
		}
		if !sbomPredicate(st.PredicateType) {
			return nil, nil, errors.New("the statement holds no SBOM")
		}
		about, predicate = st, st.Predicate
	}
	var text string
	if json.Unmarshal(predicate, &text) == nil {
		predicate = []byte(text)
	}
	inv, err := sbom.Read("", predicate)
	return inv, about, err
}

// wrapping tells how a statement is wrapped; scheme is empty where there is none. BuildKit writes statements about nothing where the image has no name yet: bare is true then.
func wrapping(b []byte) (scheme verify.Scheme, predicate []byte, bare bool) {
	var kind, subjects []byte
	err := store.Members(b, func(key string, value []byte) error {
		switch key {
		case "payloadType":
			scheme = verify.SchemeDSSE
		case "dsseEnvelope":
			scheme = verify.SchemeBundle
		case "_type":
			kind = value
		case "subject":
			subjects = value
		case "predicate":
			predicate = value
		}
		return nil
	})
	switch {
	case err != nil:
		return "", nil, false
	case scheme == "" && kind != nil:
		empty := bytes.TrimSpace(subjects)
		return verify.SchemeNone, predicate, len(subjects) == 0 || string(empty) == "null" || string(bytes.Join(bytes.Fields(empty), nil)) == "[]"
	}
	return scheme, nil, false
}
