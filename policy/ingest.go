package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Inventories keeps what images contain, in the transactions of the gate. Implementation: [index.Index].
type Inventories interface {
	Put(tx *store.Txn, image store.Item, origin index.Origin, inv *sbom.Inventory) error
	Drop(tx *store.Txn, image store.Item)
}

// ingestSpace remembers, for each image, which document its inventory is from ('s') and which it should be from ('q': work to do).
const ingestSpace = "ingest"

func ingestKey(kind byte, i store.Item) []byte {
	return append([]byte{kind}, string(i.Repository)+"\x00"+string(i.Digest)...)
}

// source names a document: its origin, as policies call it, and the blob or evidence manifest that holds it.
func source(in *SBOMInput) string {
	if in == nil || !in.Present {
		return ""
	}
	return in.Origin + " " + string(in.Digest)
}

// requestIngest notes that an image's inventory should come from another document than it does, or from none. It reads no document: that is the worker's.
func (a *Admission) requestIngest(tx *store.Txn, s *subjectManifest, v *verdict) {
	if a.o.Inventories == nil || s.rec.Kind != store.KindImage || v.input == nil {
		return
	}
	i := store.Item{Repository: s.repo, Digest: s.rec.Digest}
	sp, want := tx.Space(ingestSpace), source(v.input.SBOM)
	has, queued := string(sp.Get(ingestKey('s', i))), string(sp.Get(ingestKey('q', i)))
	switch {
	case want == "":
		if has != "" || queued != "" {
			a.dropInventory(tx, i)
		}
	case want == has:
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
	after := []byte{'q'}
	for ctx.Err() == nil {
		var page []store.Pair
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			page = s.Space(ingestSpace).Scan(after, []byte{'q' + 1}, batch)
			return nil
		}); err != nil || len(page) == 0 {
			return err
		}
		for _, p := range page {
			repo, d, ok := strings.Cut(string(p.Key[1:]), "\x00")
			if !ok {
				return store.Errorf(store.CodeInternal, "an inventory work record is damaged; run assay check")
			}
			if err := a.ingest(ctx, store.Item{Repository: store.Name(repo), Digest: store.Digest(d)}, string(p.Value)); err != nil {
				return err
			}
		}
		after = append(bytes.Clone(page[len(page)-1].Key), 0)
	}
	return ctx.Err()
}

func (a *Admission) ingest(ctx context.Context, i store.Item, want string) error {
	kind, d, _ := strings.Cut(want, " ")
	inv, origin, err := inventory(ctx, a.local, i, kind, store.Digest(d))
	if err != nil && ctx.Err() == nil && store.CodeOf(err) != store.CodeUnavailable {
		a.log.Warn("an SBOM cannot be indexed", "repository", i.Repository, "digest", i.Digest, "document", d, "reason", err.Error())
		if own := a.ownDocument(ctx, i); own != "" && kind != "generated" {
			inv, origin, err = inventory(ctx, a.local, i, "generated", own)
		}
	}
	if err != nil && (ctx.Err() != nil || store.CodeOf(err) == store.CodeUnavailable) {
		return err
	}
	return a.local.Update(ctx, func(tx *store.Txn) error {
		sp := tx.Space(ingestSpace)
		if string(sp.Get(ingestKey('q', i))) != want {
			return nil // another document is wanted meanwhile, or none
		}
		if inv != nil {
			origin.Signer = a.signerOf(tx.Records, i, origin.Evidence)
			if err := a.o.Inventories.Put(tx, i, origin, inv); err != nil && store.CodeOf(err) != store.CodeInvalid {
				return err
			}
		}
		sp.Delete(ingestKey('q', i))
		sp.Put(ingestKey('s', i), []byte(want))
		if a.trusted(tx).engine.Traits(i.Repository).WantsSBOM { // a policy may ask about packages: it is decided again with the answer
			tx.Queue(i)
			tx.AfterCommit(func() { wake(a.wakeReview) })
		}
		return nil
	})
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

// inventory reads a document: a blob of the registry's own making, or the first SBOM in an evidence manifest.
func inventory(ctx context.Context, local *store.Local, i store.Item, kind string, d store.Digest) (*sbom.Inventory, index.Origin, error) {
	if kind == "generated" {
		b, err := local.ReadContent(ctx, d, sbom.MaxDocument)
		if err != nil {
			return nil, index.Origin{}, err
		}
		inv, err := sbom.Read("", b)
		return inv, index.Origin{Kind: "generated", Document: d}, err
	}
	var layers []store.Descriptor
	if err := local.View(ctx, func(s store.Snapshot) error {
		rec, err := s.Manifest(i.Repository, d)
		if err != nil {
			return err
		}
		if rec == nil {
			return store.Errorf(store.CodeManifestUnknown, "the evidence %s is gone", d)
		}
		p, err := store.ParseManifest(rec.MediaType, s.Content(d))
		if err != nil {
			return err
		}
		layers = p.Layers
		return nil
	}); err != nil {
		return nil, index.Origin{}, err
	}
	last := errors.New("the evidence holds no SBOM")
	for _, l := range layers {
		b, err := local.ReadContent(ctx, l.Digest, maxEvidence)
		if err != nil {
			return nil, index.Origin{}, err
		}
		inv, err := readSBOM(l.MediaType, b)
		if err == nil {
			return inv, index.Origin{Kind: "ingested", Document: l.Digest, Evidence: d}, nil
		}
		last = err
	}
	return nil, index.Origin{}, last
}

// signerOf is the authority that proved an SBOM; empty where nobody did.
func (a *Admission) signerOf(r store.Records, i store.Item, evidence store.Digest) string {
	var k known
	if b := r.Fact(i.Repository, i.Digest, evidence); b == nil || json.Unmarshal(b, &k) != nil {
		return ""
	}
	for _, f := range k.told(a.trust.Load().covering(i.Repository), a.now()) {
		if f.Verified && sbomPredicate(f) {
			return f.Authority
		}
	}
	return ""
}

// readSBOM reads a layer: a document as it is, or what a statement says. cosign carries SPDX in tag-value form as a JSON string.
func readSBOM(mediaType string, b []byte) (*sbom.Inventory, error) {
	scheme, kind, _ := verify.SchemeOf(mediaType)
	if kind == verify.KindDocument {
		return sbom.Read(mediaType, b)
	}
	st, err := verify.StatementIn(scheme, b)
	if err != nil {
		return nil, err
	}
	if !sbomPredicate(verify.Fact{Kind: verify.KindAttestation, PredicateType: st.PredicateType}) {
		return nil, errors.New("the statement holds no SBOM")
	}
	var text string
	if json.Unmarshal(st.Predicate, &text) == nil {
		return sbom.Read("", []byte(text))
	}
	return sbom.Read("", st.Predicate)
}
