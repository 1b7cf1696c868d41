package sight_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const app = store.Name("acme/app")

type set string

func (s set) Decide(context.Context, *contract.Input) (*contract.Decision, error) {
	return &contract.Decision{Allow: true}, nil
}
func (s set) Traits(store.Name) contract.Traits { return contract.Traits{} }
func (s set) Revision() string                  { return string(s) }

func user(name string, roles access.Roles) access.Principal {
	return access.Principal{Name: name, Kind: access.KindUser, Grants: []access.Grant{{Repositories: store.Globs{"acme/**"}, Roles: roles}}}
}

func record(state store.State, pushers ...string) *store.ManifestRecord {
	rec := &store.ManifestRecord{Digest: store.DigestOf("sha256", []byte("app")), State: state, Seq: 9}
	rec.SetDetail(&store.Detail{Pushers: pushers, Code: "signature.missing", Reason: "nobody signed it", Remedy: "sign it"})
	return rec
}

// What is withdrawn or in doubt does not stand as its record says.
func TestAManifestStandsAsAPullOfThisMomentTakesIt(t *testing.T) {
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: func() time.Time { return epoch }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var now, withdrawn, doubted *trust.Snapshot
	if err := local.Update(t.Context(), func(tx *store.Txn) (err error) {
		if now, err = trust.Load(tx, set("one"), nil, ""); err != nil {
			return err
		}
		now.EndDenials()
		withdrawn = now.Clone()
		doubted = now.Clone()
		doubted.Seq = 10
		doubted.ReplaceEngine(set("two"))
		return withdrawn.Revoke(tx, trust.Revocation{ID: "R-1", Digest: record("").Digest, Repository: "**"})
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		trust       *trust.Snapshot
		state, want store.State
	}{
		{now, store.StateAdmitted, store.StateAdmitted}, {now, store.StateQuarantined, store.StateQuarantined},
		{withdrawn, store.StateAdmitted, store.StateRevoked}, {withdrawn, store.StateTombstoned, store.StateTombstoned},
		{doubted, store.StateAdmitted, store.StatePending}, {doubted, store.StateQuarantined, store.StateQuarantined},
	} {
		if err := local.View(t.Context(), func(s store.Snapshot) error {
			if got := sight.Standing(s, c.trust, epoch, app, record(c.state)); got != c.want {
				t.Errorf("%s: %s, want %s", c.state, got, c.want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhoIsShownWhat(t *testing.T) {
	for _, c := range []struct {
		name        string
		by          access.Principal
		state       store.State
		knows, gets bool
	}{
		{"a puller", user("p", access.RolePull), store.StateAdmitted, true, true},
		{"a puller, of what waits", user("p", access.RolePull), store.StateQuarantined, true, false},
		{"who pushed it", user("u", access.RolePush|access.RolePull), store.StateQuarantined, true, true},
		{"an administrator, of what was deleted", user("a", access.RoleAdmin), store.StateTombstoned, true, true},
		{"a puller, of what was deleted", user("p", access.RolePull), store.StateTombstoned, false, false},
	} {
		rec := record(c.state, "u")
		if knows, gets := sight.Knows(c.by, app, rec), sight.MayGet(c.by, app, rec, c.state); knows != c.knows || gets != c.gets {
			t.Errorf("%s: knows %v, gets %v", c.name, knows, gets)
		}
	}
	if sight.Uploaded(access.Principal{Name: "u", Kind: access.KindAnonymous}, record(store.StateAdmitted, "u")) {
		t.Error("somebody without a name pushed nothing")
	}
}

func TestARefusalSaysWhatToDo(t *testing.T) {
	err := sight.Refusal(app, record(store.StateQuarantined), store.Reference{Tag: "v1"})
	e, ok := errors.AsType[*store.Error](err)
	if !ok || e.Code != store.CodeDenied || e.Message != "acme/app:v1 is quarantined: nobody signed it. To fix: sign it." || e.Reason != "signature.missing" || e.Explain != "/api/v1/explain?reference=v1&repository=acme%2Fapp" {
		t.Errorf("%+v", e)
	}
	if !sight.IsRefusal(err) || !sight.IsRefusal(sight.Unknown()) || sight.IsRefusal(errors.New("no answer")) {
		t.Error("no answer is no refusal")
	}
}
