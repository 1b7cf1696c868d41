package ingest

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// Index keeps what images contain, in the transactions of the gate. Implementation: [index.Index].
type Index interface {
	Put(tx *store.Txn, image store.Item, origin index.Origin, inv *sbom.Inventory) error
	Drop(tx *store.Txn, image store.Item)
}

// Reader reads the documents that are to be read and gives their inventories to the index.
type Reader struct {
	Local *store.Local
	Index Index
	Log   *slog.Logger
}

// Reading is what was read of the documents of an image, before it is kept.
type Reading struct {
	image  store.Item
	want   string
	record inventory.Record
	best   inventory.Source // that the inventory is of
	inv    *sbom.Inventory  // nil where none could be read
}

// Read reads the documents of one image; want is what [inventory.Queued] says of it. What cannot be read is skipped, with a warning, for the registry's own document where there is one. An error is
// of the moment.
func (r *Reader) Read(ctx context.Context, i store.Item, want string) (*Reading, error) {
	w := inventory.ParseWork(want)
	got := &Reading{image: i, want: want, record: inventory.Record{Origin: w.Best.Origin}, best: w.Best}
	var err error
	if got.inv, err = r.source(ctx, i, got.best); err != nil && retry(ctx, err) {
		return nil, err
	}
	if err != nil {
		r.Log.Warn("an SBOM cannot be indexed", "repository", i.Repository, "digest", i.Digest, "document", got.best.Layer, "reason", err.Error())
		got.record.Failed = sentence.Clip(err.Error(), sentence.Max)
		if own := r.own(ctx, i); own != "" && got.best.Origin != inventory.OriginGenerated {
			got.best = inventory.Source{Origin: inventory.OriginGenerated, Layer: own}
			if got.inv, err = r.source(ctx, i, got.best); err != nil && retry(ctx, err) {
				return nil, err
			}
		}
	}
	return got, r.compare(ctx, w, got)
}

// retry reports whether a failure is of the moment, and not of the document.
func retry(ctx context.Context, err error) bool {
	return ctx.Err() != nil || store.CodeOf(err) == store.CodeUnavailable
}

// compare summarizes what is declared, and compares it with what was found.
func (r *Reader) compare(ctx context.Context, w inventory.Work, got *Reading) error {
	read := func(s inventory.Source) (*sbom.Inventory, error) {
		if s == got.best && got.inv != nil {
			return got.inv, nil
		}
		inv, err := r.source(ctx, got.image, s)
		if err != nil && got.record.Failed == "" {
			got.record.Failed = sentence.Clip(err.Error(), sentence.Max)
		}
		if err != nil && retry(ctx, err) {
			return nil, err
		}
		return inv, nil
	}
	if w.Declared.Origin == "" {
		return nil
	}
	got.record.Declared = w.Declared.String()
	declared, err := read(w.Declared)
	if err != nil || declared == nil {
		return err
	}
	summary := declared.Summary()
	got.record.Format, got.record.Summary = declared.Format, &summary
	if w.Generated.Origin == "" {
		return nil
	}
	found, err := read(w.Generated)
	if err != nil || found == nil {
		return err
	}
	got.record.Found, got.record.Drift = w.Generated.String(), inventory.DriftOf(w.Declared, declared, found)
	return nil
}

// Keep indexes what speaks for the image and remembers what was read, if that is still wanted; indexed reports whether the index has an inventory of it now.
func (r *Reader) Keep(tx *store.Txn, got *Reading) (kept, indexed bool, err error) {
	i := got.image
	if string(inventory.Queued(tx.Records, i)) != got.want {
		return false, false, nil // another document is wanted meanwhile, or none
	}
	record, inv := got.record, got.inv
	if inv != nil {
		origin := index.Origin{Kind: "ingested", Document: got.best.Layer, Evidence: got.best.Evidence, Signer: got.best.Signer}
		if got.best.Origin == inventory.OriginGenerated {
			origin.Kind = inventory.OriginGenerated
		}
		if err := r.Index.Put(tx, i, origin, inv); err != nil {
			if store.CodeOf(err) != store.CodeInvalid {
				return false, false, err
			}
			record.Failed, inv = sentence.Clip(err.Error(), sentence.Max), nil
		}
	}
	if inv == nil {
		r.Index.Drop(tx, i) // what another document said of it does not stand for this one
	}
	if err := inventory.Remember(tx, i, got.want, &record); err != nil {
		return false, false, err
	}
	return true, inv != nil, nil
}

// own is the registry's own SPDX document about an image, if there is one.
func (r *Reader) own(ctx context.Context, i store.Item) (d store.Digest) {
	err := r.Local.View(ctx, func(s store.Snapshot) error {
		var made inventory.Generated
		if b := s.SBOM(i.Repository, i.Digest); b != nil && json.Unmarshal(b, &made) == nil {
			if in := made.Input(); made.Failed == "" {
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

// source reads a document, and refuses one that nobody signed where it says that it is about something else.
func (r *Reader) source(ctx context.Context, i store.Item, s inventory.Source) (*sbom.Inventory, error) {
	b, err := r.Local.ReadContent(ctx, s.Layer, MaxDocument)
	if err != nil {
		return nil, err
	}
	if s.Origin == inventory.OriginGenerated { // in no wrapping
		return sbom.Read("", b)
	}
	inv, about, err := Read(b)
	if err != nil || s.Origin != inventory.OriginAttached {
		return inv, err
	}
	if err := r.Local.View(ctx, func(snapshot store.Snapshot) error { return checkAbout(snapshot, i, inv, about) }); err != nil {
		return nil, err
	}
	return inv, nil
}
