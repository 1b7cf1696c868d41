package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// TestSweeper checks that a driver that is a [store.Sweeper] ends exactly the idle sessions. newBlobs is as for [TestBlobs].
func TestSweeper(t *testing.T, newBlobs func(t *testing.T, now func() time.Time) store.Blobs) {
	clock := time.Unix(1_700_000_000, 0)
	b := newBlobs(t, func() time.Time { return clock })
	sweeper, ok := b.(store.Sweeper)
	if !ok {
		t.Fatalf("%T is no store.Sweeper", b)
	}
	sweep := func(before time.Time, want int) {
		t.Helper()
		if n, err := sweeper.Sweep(context.Background(), before.Unix()); err != nil || n != want {
			t.Errorf("Sweep ended %d sessions, want %d, %v", n, want, err)
		}
	}
	sweep(clock, 0)
	held := noise(1, store.InlineLimit*2)
	d := upload(t, b, digest.SHA256, held)

	old, oldBig, used, renewed := start(t, b, ""), start(t, b, ""), start(t, b, ""), start(t, b, "")
	appendTo(t, oldBig, noise(2, store.InlineLimit*2))
	old.Close()
	oldBig.Close()
	renewed.Close()
	clock = clock.Add(time.Hour)
	resume(t, b, renewed.ID()).Close()
	young := start(t, b, "")
	young.Close()

	sweep(clock.Add(-time.Hour), 0) // idle since exactly then is not before
	sweep(clock.Add(-time.Minute), 2)
	gone(t, b, old.ID())
	gone(t, b, oldBig.ID())
	resume(t, b, renewed.ID()).Close()
	resume(t, b, young.ID()).Close()
	appendTo(t, used, []byte("still in use"))
	clock = clock.Add(time.Hour)
	used.Close()
	sweep(clock, 2)
	resume(t, b, used.ID()).Close()
	holds(t, b, d, held)
	clock = clock.Add(time.Second)
	sweep(clock, 1)
	gone(t, b, used.ID())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := sweeper.Sweep(ctx, clock.Unix()); err == nil {
		t.Error("Sweep ignores its context")
	}
}
