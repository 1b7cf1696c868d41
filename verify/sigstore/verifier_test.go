package sigstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// A panic below the verifier refuses the layer, is logged with its cause, and ends nothing.
func TestPanicBecomesAFact(t *testing.T) {
	s := p256(t, "signer")
	var log bytes.Buffer
	v := New(slog.New(slog.NewTextHandler(&log, nil)))
	e := evidence(good(s))
	trusted := []*authority{{Authority: release(s.key), keys: []*key{nil}}}
	facts := v.layer(context.Background(), app(), &e[0], &e[0].Layers[0], trusted)
	if len(facts) != 1 || facts[0].Code != verify.CodeInternal || facts[0].Verified {
		t.Fatalf("got %+v", facts)
	}
	if strings.Contains(facts[0].Message, "nil pointer") || !strings.Contains(log.String(), "nil pointer") {
		t.Errorf("the cause belongs into the log alone: %q, %q", facts[0].Message, log.String())
	}
}

func TestNoAnswerIsAnError(t *testing.T) {
	s := p256(t, "signer")
	v := New(slog.New(slog.DiscardHandler))
	e := evidence(good(s))
	ended, end := context.WithCancel(context.Background())
	end()
	if _, err := v.Verify(ended, app(), e, []verify.Authority{release(s.key)}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	subjects := map[string]func(*verify.Subject){
		"empty":                  func(s *verify.Subject) { *s = verify.Subject{} },
		"no digest":              func(s *verify.Subject) { s.Descriptor.Digest = "" },
		"no repository":          func(s *verify.Subject) { s.Repository = "" },
		"alternate is none":      func(s *verify.Subject) { s.Alternate = "sha512:00" },
		"alternate of one's own": func(s *verify.Subject) { s.Alternate = s.Descriptor.Digest },
	}
	for name, change := range subjects {
		subject := app()
		change(&subject)
		if _, err := v.Verify(context.Background(), subject, e, []verify.Authority{release(s.key)}); err == nil {
			t.Errorf("subject %s: no error", name)
		}
	}
	keys := map[string]verify.Key{
		"empty PEM":    {ID: s.key.ID},
		"no PEM":       {ID: s.key.ID, PEM: "x"},
		"another's ID": {ID: "sha256:" + strings.Repeat("0", 64), PEM: s.key.PEM},
	}
	for name, k := range keys {
		if _, err := v.Verify(context.Background(), app(), e, []verify.Authority{release(s.key), release(k)}); store.CodeOf(err) != store.CodeInternal {
			t.Errorf("key %s: got %v", name, err)
		}
		other := release(k)
		other.Repositories = store.Globs{"other/**"}
		if _, err := v.Verify(context.Background(), app(), e, []verify.Authority{release(s.key), other}); err != nil {
			t.Errorf("key %s of an authority that does not cover: %v", name, err)
		}
	}
}

func TestNoEvidenceIsAnEmptyReport(t *testing.T) {
	for _, e := range [][]verify.Evidence{nil, {{}}} {
		report, err := New(slog.New(slog.DiscardHandler)).Verify(context.Background(), app(), e, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b := string(marshal(report)); b != `{"facts":[]}` {
			t.Errorf("got %s", b)
		}
	}
}

// The same arguments give the same report, from any number of goroutines, and stay as they were.
func TestVerifyIsPure(t *testing.T) {
	s, other := p256(t, "signer"), p256(t, "other")
	st := statement(vulnerability, `{"a":1}`, app().Descriptor.Digest)
	e := evidence(good(s), good(other), s.dsse(st), s.bundle(verify.TypeBundle, st))
	estate, _ := newEstate("seed")
	for _, f := range forms() {
		e[0].Layers = append(e[0].Layers, f.layer(f.sign(estate.Identity(workflow, actions), both(estate), image)))
	}
	ca := estate.NewCA("corp")
	e[0].Layers = append(e[0].Layers, ca.Issue("release", employee()).Simple(simplePayload(), both(estate)).SimpleLayer())
	authorities := []verify.Authority{release(s.key, other.key), keylessOf(estate), corporate(ca)}
	before := marshal(e)
	v := New(slog.New(slog.DiscardHandler))
	first, err := v.Verify(context.Background(), app(), e, authorities)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			again, err := v.Verify(context.Background(), app(), e, authorities)
			if err != nil || !bytes.Equal(marshal(again), marshal(first)) {
				t.Errorf("another answer: %v", err)
			}
		})
	}
	group.Wait()
	if !bytes.Equal(before, marshal(e)) {
		t.Error("the evidence was changed")
	}
}

// A report survives its way through the KV.
func TestReportIsJSON(t *testing.T) {
	s := p256(t, "signer")
	report := &verify.Report{Facts: check(t, app(), evidence(good(s), good(p256(t, "other"))), release(s.key))}
	var back verify.Report
	if err := json.Unmarshal(marshal(report), &back); err != nil || !bytes.Equal(marshal(report), marshal(back)) {
		t.Errorf("it came back as another: %v", err)
	}
}

// Hostile text that a trusted key signed is shown escaped and cut.
func TestMessagesAreSafe(t *testing.T) {
	s := p256(t, "signer")
	for _, reference := range []string{"r.example/\x1b[31m\r\nDENIED", strings.Repeat("x/", 4000), "ü\u202e"} {
		b := marshal(map[string]any{
			"critical": map[string]any{"identity": map[string]any{"docker-reference": reference},
				"image": map[string]any{"docker-manifest-digest": app().Descriptor.Digest}, "type": "cosign container image signature"},
		})
		f := one(t, app(), s.simple(b), release(s.key))
		want(t, f, verify.CodeOtherRepository)
		if len(f.ClaimedReference) > verify.MaxText || strings.Contains(f.Message, "\u202e") {
			t.Errorf("got reference of %d bytes, message %q", len(f.ClaimedReference), f.Message)
		}
	}
}

func newVerifier() *Verifier { return New(slog.New(slog.DiscardHandler)) }
