package policy_test

import (
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// suppliedKit has an authority for acme/** whose keys come from a TUF repository that itself speaks only for infra/**.
func suppliedKit(t testing.TB, expired string) *tufKit {
	t.Helper()
	k := newKit(t)
	release := verify.Authority{Name: "release", Kind: verify.KindKey, Material: "acme-tuf", Repositories: store.Globs{"acme/**"}}
	k.opts.Authorities = []verify.Authority{tufAuthority("acme-tuf", expired, "infra/**"), release}
	k.start()
	s := &tufKit{k, verify.TUFState{Authority: "acme-tuf", Root: 1, Timestamp: 1, Snapshot: 1, Targets: 1, Expires: k.clock.now().Add(24 * time.Hour),
		Material: map[string]verify.Material{"release": {Keys: []verify.Key{k.key.public}}}}}
	s.apply()
	return s
}

// configure has what the TUF repository said count beyond its end, or not.
func (k *tufKit) configure(expired string) []verify.Authority {
	as := append([]verify.Authority{}, k.opts.Authorities...)
	as[0] = tufAuthority("acme-tuf", expired, "infra/**")
	return as
}

// Metadata that only warned when it ran out, and now refuses, takes with it whatever its material proved, wherever that is.
func TestAttackMaterialThatOnlyWarnedRefusesOnceConfigured(t *testing.T) {
	for _, how := range []string{"reload", "restart"} {
		t.Run(how, func(t *testing.T) {
			k := suppliedKit(t, "warn")
			i := k.push(pusher, app, "v1", "one")
			k.sign(signer, app, i.desc.Digest, k.key)
			k.clock.advance(48 * time.Hour)
			want(t, "expired, and only a warning", k.get(puller, app, "v1"), string(i.desc.Digest))
			if how == "reload" {
				if err := k.a.SetAuthorities(k.ctx, k.configure("refuse")); err != nil {
					t.Fatal(err)
				}
			} else {
				k.opts.Authorities = k.configure("refuse")
				k.start()
			}
			want(t, "expired, and refused", k.get(puller, app, "v1"), denied)
		})
	}
}

// Metadata that ends earlier than what it replaces ends what it proves earlier too.
func TestAttackMetadataThatEndsEarlierEndsVerdictsEarlier(t *testing.T) {
	k := suppliedKit(t, "")
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "supplied", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.next.Expires = k.clock.now().Add(time.Hour)
	k.apply()
	want(t, "renewed", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.clock.advance(2 * time.Hour)
	want(t, "after the earlier end", k.get(puller, app, "v1"), denied)
}

// The same for what targets pin.
func TestAttackPinsThatEndEarlierEndVerdictsEarlier(t *testing.T) {
	k := newTUFKit(t, "")
	i := k.push(pusher, app, "v1", "one")
	k.pin(app, "v1", i.desc)
	k.apply()
	want(t, "pinned", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.next.Expires = k.clock.now().Add(time.Hour)
	k.apply()
	want(t, "renewed", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.clock.advance(2 * time.Hour)
	want(t, "after the earlier end", k.get(puller, app, "v1"), denied)
}

// Metadata that is merely renewed puts nothing in doubt: neither where it refuses nor where it warns.
func TestRenewedMetadataDecidesNothing(t *testing.T) {
	for _, expired := range []string{"refuse", "warn"} {
		k := newTUFKit(t, expired)
		i := k.push(pusher, app, "v1", "one")
		k.pin(app, "v1", i.desc)
		k.apply()
		want(t, "pinned", k.get(puller, app, "v1"), string(i.desc.Digest))
		before := k.decidedAt(app, i.desc.Digest)
		k.next.Expires = k.next.Expires.Add(time.Hour)
		k.apply()
		want(t, "renewed", k.get(puller, app, "v1"), string(i.desc.Digest))
		if after := k.decidedAt(app, i.desc.Digest); !after.Equal(before) {
			t.Errorf("expired: %s: decided again at %s, before at %s", expired, after, before)
		}
	}
}

func (k *kit) decidedAt(repo store.Name, d store.Digest) time.Time {
	k.t.Helper()
	var at time.Time
	if err := k.local.View(k.ctx, func(s store.Snapshot) error {
		rec, err := s.Manifest(repo, d)
		if err != nil {
			return err
		}
		det, err := rec.Detail()
		at = det.DecidedAt
		return err
	}); err != nil {
		k.t.Fatal(err)
	}
	return at
}
