package outbox_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/outbox"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

// target answers as it is told to, and keeps what it got.
type target struct {
	status int
	err    error
	got    []string // repositories
}

func (t *target) Post(_ context.Context, body []byte) (int, error) {
	var e outbox.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return 0, err
	}
	t.got = append(t.got, string(e.Data.Repository))
	return t.status, t.err
}

func TestEventsWaitUntilTheyAreDelivered(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Microsecond); return now }
	local, err := store.NewLocal(ctx, store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: clock, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	good, bad := &target{status: 202}, &target{status: 500}
	all := []outbox.Target{{URL: "https://good.example/secret", Repositories: store.Globs{"**"}, Events: outbox.Names(), Post: good},
		{URL: "https://bad.example/", Repositories: store.Globs{"acme/**"}, Events: []string{outbox.EventRevoked}, Post: bad}}
	open := func(targets ...outbox.Target) *outbox.Outbox {
		return outbox.New(outbox.Options{Local: local, Targets: targets, Source: "https://registry.example", Clock: clock, Log: slog.New(slog.DiscardHandler)})
	}
	o := open(all...)
	waiting := func() (n, attempts int) {
		t.Helper()
		if err := o.Each(ctx, outbox.Events, func(_ []byte, w *outbox.Work) (bool, error) {
			n, attempts = n+1, attempts+w.Attempts
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
		return n, attempts
	}
	if err := local.Update(ctx, func(tx *store.Txn) error {
		for _, repo := range []store.Name{"acme/app", "other/app"} {
			o.Tell(tx, o.Event(outbox.EventRevoked, store.Item{Repository: repo, Digest: store.DigestOf("sha256", []byte(repo))}, &store.Detail{Code: "state.revoked"}, store.StateAdmitted, store.StateRevoked))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n, _ := waiting(); n != 3 {
		t.Fatalf("%d wait, of two for the one target and one for the other", n)
	}
	if err := o.Deliver(ctx); err != nil || !slices.Equal(good.got, []string{"acme/app", "other/app"}) || len(bad.got) != 1 {
		t.Fatalf("%v: %v, %v", err, good.got, bad.got)
	}
	if n, attempts := waiting(); n != 1 || attempts != 1 {
		t.Errorf("%d wait after %d attempts: what failed is kept, and nothing else", n, attempts)
	}
	if err := o.Deliver(ctx); err != nil || len(bad.got) != 1 {
		t.Errorf("it is tried again at once: %v", err)
	}
	now, bad.status, bad.err = now.Add(outbox.Delay(1)), 0, errors.New("connection refused")
	if err := o.Deliver(ctx); err != nil || len(bad.got) != 2 {
		t.Errorf("it is not tried again: %v", err)
	}
	if o = open(all[0]); o.Forget(ctx) != nil {
		t.Error("not forgotten")
	}
	if n, _ := waiting(); n != 0 {
		t.Errorf("%d wait for a target that is configured no more", n)
	}
}

func TestAttemptsComeLaterEachTime(t *testing.T) {
	for n, want := range []time.Duration{10 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second} {
		if d := outbox.Delay(n); d != want {
			t.Errorf("the attempt %d waits %v", n, d)
		}
	}
	if d := outbox.Delay(1000); d != time.Hour {
		t.Errorf("the longest is %v", d)
	}
}
