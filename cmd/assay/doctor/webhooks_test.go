package doctor

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/webhooktls"
)

// What ends for clusters is said first: everything that is deployed waits for it.
func TestDoctorSaysFirstWhatEndsForClusters(t *testing.T) {
	p := newPatient(t)
	cfg := config.Default()
	cfg.Data, cfg.Kubernetes = p.dir, config.Kubernetes{Listen: "127.0.0.1:0", Names: []string{"assay.assay.svc", "127.0.0.1"}}
	keys := filepath.Join(p.dir, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := webhooktls.Open(p.app, keys, cfg.Kubernetes, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	began := p.now
	for _, step := range []struct {
		after       time.Duration
		ca, serving string
	}{
		{0, fine, fine}, {76 * 24 * time.Hour, fine, warning}, {91 * 24 * time.Hour, fine, broken}, {webhooktls.CALife - 80*24*time.Hour, warning, broken}, {webhooktls.CALife + time.Hour, broken, broken},
	} {
		p.now = began.Add(step.after)
		found := examine(t.Context(), p.app, cfg)
		if found[0].Name != "webhook CA" || found[0].Status != step.ca || found[1].Name != "webhook certificate" || found[1].Status != step.serving {
			t.Errorf("after %s: %v", step.after, found[:2])
		}
	}
	p.write(filepath.Join("keys", webhooktls.Serving), "x")
	if found := p.found(webhooksLast, cfg); found[1].Status != broken || !strings.Contains(found[1].Detail, "damaged") {
		t.Errorf("%v", found)
	}
	p.now = began
	p.write(filepath.Join("keys", webhooktls.Serving), "")
	if err := os.Remove(filepath.Join(keys, webhooktls.Serving)); err != nil {
		t.Fatal(err)
	}
	w, err := webhooktls.Open(p.app, keys, cfg.Kubernetes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := webhooktls.RotateCA(p.app, keys); err != nil {
			t.Fatal(err)
		}
	}
	if found := p.found(webhooksLast, cfg); len(found) != 3 || found[2].Status != warning || !strings.Contains(found[2].Detail, "SIGHUP") {
		t.Errorf("a server that was not told of a new CA: %v", found)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if found := p.found(webhooksLast, cfg); len(found) != 2 || found[0].Status != fine {
		t.Errorf("after that: %v", found)
	}
}
