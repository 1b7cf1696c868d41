package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/webhooktls"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Who could get hold of a cluster's CA must not be able to sign images with it: it is one of the registry's own keys, like all others, now and once it is the next.
func TestTheWebhooksKeysNeverSpeakForImages(t *testing.T) {
	a, keys, _ := authorityOf(t)
	ring, err := place.OpenKeys(keys, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(ownKeys(ring)); n != 4 {
		t.Errorf("%d keys before there are webhooks", n)
	}
	if _, err := webhooktls.Open(a, keys, webhookConfig, logger(a, config.Log{Level: "info", Format: "text"})); err != nil {
		t.Fatal(err)
	}
	if _, err := webhooktls.RotateCA(a, keys); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{webhooktls.CA, webhooktls.NextCA, webhooktls.Serving} {
		p, err := webhooktls.ReadPair(filepath.Join(keys, name))
		if err != nil {
			t.Fatal(err)
		}
		if use := config.OwnKey(verify.Authority{Roots: string(webhooktls.EncodeCertificate(p.Cert))}, ownKeys(ring)); use != name {
			t.Errorf("a root that is the registry's %s: %q", name, use)
		}
		id, err := verify.KeyID(p.Cert.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		if use := config.OwnKey(verify.Authority{Keys: []verify.Key{{ID: id}}}, ownKeys(ring)); use != name {
			t.Errorf("a key that is the registry's %s: %q", name, use)
		}
	}
	if err := os.WriteFile(filepath.Join(keys, webhooktls.Serving), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(ownKeys(ring)); n != 6 {
		t.Errorf("%d keys beside one that is damaged", n)
	}
}

// What lets everything through is what the doctor says first, for as long as it does.
func TestTheDoctorTellsOfBreakGlassFirst(t *testing.T) {
	a, keys, now := authorityOf(t)
	d := &place.Directory{Path: filepath.Dir(keys)}
	began := *now
	tell := glassTeller(d, logger(a, config.Log{Level: "info", Format: "text"}))
	tell([]policy.WaiverView{{Waiver: waiver.Waiver{ID: "W-1", Codes: []string{waiver.AllCodes}, Match: waiver.Match{Repositories: store.Globs{"acme/**"}}, Reason: "production\x1b is down", Approver: "alice",
		NotBefore: began.Add(time.Hour), Expires: began.Add(5 * time.Hour)}, State: policy.WaiverEarly, Until: began.Add(4 * time.Hour)}})
	cfg := config.Default()
	cfg.Data = d.Path
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{0, "W-1 waives every code in acme/** from "}, {2 * time.Hour, "for 2h0m0s more"}, {4 * time.Hour, ""},
	} {
		*now = began.Add(step.after)
		f := examine(a, t.Context(), cfg)[0]
		if (f.Name == "BREAK GLASS") != (step.want != "") || step.want != "" && (f.Status != warning || !strings.Contains(f.Detail, step.want) || strings.Contains(f.Detail, "\x1b") || !strings.Contains(f.Detail, "alice")) {
			t.Errorf("after %s: %+v", step.after, f)
		}
	}
	tell(nil)
	if found := glassBroken(a, d.Path); len(found) != 0 {
		t.Errorf("revoked: %v", found)
	}
	if err := os.WriteFile(filepath.Join(d.Path, place.StateGlass), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found := glassBroken(a, d.Path); len(found) != 1 || found[0].Status != broken {
		t.Errorf("damaged: %v", found)
	}
}
