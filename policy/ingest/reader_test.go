package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/turns"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func digest(n int) store.Digest { return store.DigestOf("sha256", fmt.Append(nil, n)) }

var image = store.Item{Repository: "acme/app", Digest: digest(0)}

// attached is an SBOM that nobody signed.
func attached(n int) verify.Fact {
	return verify.Fact{Evidence: digest(n), Layer: digest(n + 1000), Kind: verify.KindDocument, Code: verify.CodeUnsigned, MediaType: sbom.MediaTypeSPDX}
}

func newLocal(t *testing.T) *store.Local {
	t.Helper()
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: func() time.Time { return epoch }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return local
}

// in runs do in a transaction.
func in(t *testing.T, local *store.Local, do func(tx *store.Txn) error) {
	t.Helper()
	if err := local.Update(t.Context(), do); err != nil {
		t.Fatal(err)
	}
}

func choose(t *testing.T, local *store.Local, facts ...verify.Fact) *inventory.Choice {
	t.Helper()
	var c *inventory.Choice
	if err := local.View(t.Context(), func(s store.Snapshot) (err error) {
		c, err = inventory.Choose(s.Records, image, nil, facts, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

// kept is an index in memory, which takes no inventory that names too much.
type kept struct{ origin index.Origin }

func (k *kept) Put(_ *store.Txn, _ store.Item, o index.Origin, inv *sbom.Inventory) error {
	if len(inv.Packages) > 1 {
		return store.Errorf(store.CodeInvalid, "too many packages")
	}
	k.origin = o
	return nil
}
func (k *kept) Drop(*store.Txn, store.Item) { k.origin = index.Origin{} }

func document(t *testing.T, local *store.Local, packages ...string) store.Digest {
	t.Helper()
	var list []string
	for _, p := range packages {
		list = append(list, fmt.Sprintf(`{"SPDXID":"SPDXRef-%s","name":%q,"versionInfo":"1","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:npm/%s@1"}]}`, p, p, p))
	}
	d, err := local.PutBlob(t.Context(), image.Repository, []byte(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x","packages":[`+strings.Join(list, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	return d.Digest
}

func TestWhatIsWantedIsReadOnceAndKeptWhileItIsWanted(t *testing.T) {
	local, x := newLocal(t), &kept{}
	reader := Reader{Local: local, Index: x, Log: slog.New(slog.DiscardHandler)}
	small, large := attached(1), attached(2)
	small.Layer, large.Layer = document(t, local, "a"), document(t, local, "a", "b")
	request := func(facts ...verify.Fact) (queued, gone bool) {
		c := choose(t, local, facts...)
		in(t, local, func(tx *store.Txn) error {
			queued, gone = c.Request(tx, image)
			return nil
		})
		return queued, gone
	}
	read := func() (record *inventory.Record, kept, indexed bool) {
		var want []byte
		in(t, local, func(tx *store.Txn) error {
			want = inventory.Queued(tx.Records, image)
			return nil
		})
		got, err := reader.Read(t.Context(), image, string(want))
		if err != nil {
			t.Fatal(err)
		}
		in(t, local, func(tx *store.Txn) (err error) {
			if kept, indexed, err = reader.Keep(tx, got); err == nil {
				record, err = inventory.Of(tx.Records, image)
			}
			return err
		})
		return record, kept, indexed
	}
	if queued, gone := request(); queued || gone {
		t.Error("nothing is wanted of an image without SBOMs")
	}
	if queued, _ := request(small); !queued {
		t.Error("an SBOM is not read")
	}
	if queued, _ := request(small); queued {
		t.Error("it is queued already")
	}
	if r, kept, indexed := read(); !kept || !indexed || r.Origin != inventory.OriginAttached || r.Summary.Packages != 1 || x.origin.Evidence != small.Evidence {
		t.Errorf("%v %v %+v %+v", kept, indexed, r, x.origin)
	}
	if queued, _ := request(small); queued {
		t.Error("it was read")
	}
	if queued, _ := request(large); !queued {
		t.Error("another document takes its place")
	}
	if r, kept, indexed := read(); !kept || indexed || !strings.Contains(r.Failed, "too many packages") || x.origin != (index.Origin{}) {
		t.Errorf("%v %v %+v %+v", kept, indexed, r, x.origin)
	}
	in(t, local, func(tx *store.Txn) error {
		if failed, more := inventory.Failures(tx.Records, 1); more || len(failed) != 1 || failed[0].What != "read" {
			t.Errorf("%+v", failed)
		}
		return inventory.ReadAgain(tx, image)
	})
	if queued, _ := request(large); !queued {
		t.Error("it is not read again where that is asked for")
	}
	got, err := reader.Read(t.Context(), image, "attached "+string(small.Evidence)+" "+string(small.Layer))
	if err != nil {
		t.Fatal(err)
	}
	in(t, local, func(tx *store.Txn) error {
		if kept, _, err := reader.Keep(tx, got); kept || err != nil {
			t.Errorf("kept, though another is wanted: %v", err)
		}
		return nil
	})
	if _, gone := request(); !gone {
		t.Error("nobody speaks for it any more")
	}
	in(t, local, func(tx *store.Txn) error {
		if !inventory.Drop(tx, image) || inventory.Drop(tx, image) || inventory.Waiting(tx.Records, 10) != 0 {
			t.Error("it is not forgotten once")
		}
		return nil
	})
}

// What is missing for the moment is read later, and marks nothing as unreadable.
func TestWhatCannotBeReadNowIsTriedAgain(t *testing.T) {
	reader := Reader{Local: newLocal(t), Index: &kept{}, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := reader.Read(ctx, image, "generated - "+string(digest(5))); err == nil {
		t.Error("a reading that was interrupted is taken for one")
	}
}

func TestWhatIsNotIndexedIsNoAnswer(t *testing.T) {
	local := newLocal(t)
	answers := &Answers{Local: local, Turn: turns.New(1, 1, 1)}
	for _, p := range []contract.Packages{answers, answers.For(choose(t, local, attached(1)))} {
		_, _, err := p.FindPackages(t.Context(), image.Repository, image.Digest, contract.PackageQuery{PURL: "pkg:npm/*"}, 1)
		if e, ok := errors.AsType[*store.Error](err); !ok || e.Code != store.CodeNotFound {
			t.Error(err)
		}
		if places, err := p.LocatePackages(t.Context(), image.Repository, image.Digest, []string{"pkg:npm/a@1"}); err != nil || len(places) != 0 {
			t.Error(places, err)
		}
	}
}
