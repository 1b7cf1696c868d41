package moves

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

func TestTheLastMovesOfATagAreRemembered(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: func() time.Time { return at }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := local.Update(t.Context(), func(tx *store.Txn) error {
		old := &store.TagRecord{Current: "sha256:before", CurrentAt: at}
		for n := range contract.MaxTagHistory {
			if err := Note(tx, "acme/app", "v1", old, Move{Digest: store.Digest(fmt.Sprint("sha256:", n)), At: at, By: "ci"}); err != nil {
				return err
			}
			if all, err := Of(tx.Records, "acme/app", "v1"); n == 0 && (err != nil || len(all) != 2 || all[0].Digest != "sha256:before" || all[1].By != "ci") {
				t.Errorf("%+v, %v", all, err)
			}
		}
		all, err := Of(tx.Records, "acme/app", "v1")
		if err != nil || len(all) != contract.MaxTagHistory || all[0].Digest != "sha256:0" {
			t.Errorf("%d moves, %v", len(all), err)
		}
		Forget(tx, "acme/app", "v1")
		if all, err := Of(tx.Records, "acme/app", "v1"); err != nil || all != nil {
			t.Errorf("%+v, %v", all, err)
		}
		tx.Space(space).Put(key("acme/app", "v2"), []byte("{"))
		if err := Note(tx, "acme/app", "v2", nil, Move{}); store.CodeOf(err) != store.CodeInternal {
			t.Error(err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
