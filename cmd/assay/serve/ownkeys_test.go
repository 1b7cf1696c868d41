package serve

import (
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/webhooktls"
	"github.com/assay-registry/assay/verify"
)

// Who could get hold of a cluster's CA must not be able to sign images with it: it is one of the registry's own keys, like all others, now and once it is the next.
func TestTheWebhooksKeysNeverSpeakForImages(t *testing.T) {
	a, keys := &cli.App{World: cli.World{Clock: time.Now, Rand: rand.Reader}}, t.TempDir()
	ring, err := place.OpenKeys(keys, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(ownKeys(ring)); n != 4 {
		t.Errorf("%d keys before there are webhooks", n)
	}
	if _, err := webhooktls.Open(a, keys, config.Kubernetes{Listen: "127.0.0.1:0", Names: []string{"assay.assay.svc"}}, slog.New(slog.DiscardHandler)); err != nil {
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
