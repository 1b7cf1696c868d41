package inventory

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func digest(n int) store.Digest { return store.DigestOf("sha256", fmt.Append(nil, n)) }

var image = store.Item{Repository: "acme/app", Digest: digest(0)}

// attested is an SBOM that an authority signed, attached what nobody did.
func attested(n int, authority string) verify.Fact {
	return verify.Fact{Evidence: digest(n), Layer: digest(n + 1000), Kind: verify.KindAttestation, Verified: true, Authority: authority, PredicateType: sbom.PredicateSPDX}
}

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

func choose(t *testing.T, local *store.Local, prefer Preferences, facts ...verify.Fact) *Choice {
	t.Helper()
	var c *Choice
	if err := local.View(t.Context(), func(s store.Snapshot) (err error) {
		c, err = Choose(s.Records, image, prefer, facts, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhoSpeaksIsSaidByPreferenceThenSignatureThenNobody(t *testing.T) {
	local := newLocal(t)
	prefer := Preferences{{Repositories: store.Globs{"other/**"}, Authorities: store.Globs{"**"}}, {Repositories: store.Globs{"acme/**"}, Authorities: store.Globs{"scan-*", "release"}}}
	above := attested(9, "scan-b")
	above.InheritedFrom = digest(99)
	misnamed := attested(8, "scan-a")
	misnamed.Verified, misnamed.Code = false, verify.CodeDigestMismatch
	reserved := attested(7, verify.ReservedAuthority)
	for name, c := range map[string]struct {
		facts []verify.Fact
		made  string
		best  string
	}{
		"nothing":                        {},
		"what names another is none":     {facts: []verify.Fact{misnamed, reserved}},
		"anybody's":                      {facts: []verify.Fact{attached(1)}, best: "attached " + string(digest(1))},
		"a signature goes before":        {facts: []verify.Fact{attached(1), attested(2, "other")}, best: "attested " + string(digest(2))},
		"the registry's own before that": {facts: []verify.Fact{attested(2, "other")}, made: `{"summary":{},"docs":{"spdx-json":"sha256:x"},"at":"2026-01-01T00:00:00Z"}`, best: "generated -"},
		"whom one prefers before all":    {facts: []verify.Fact{attested(2, "other"), attested(3, "release")}, made: `{"summary":{},"docs":{},"at":"2026-01-01T00:00:00Z"}`, best: "attested " + string(digest(3))},
		"in their order":                 {facts: []verify.Fact{attested(3, "release"), attested(4, "scan-a")}, best: "attested " + string(digest(4))},
		"the image's before the index's": {facts: []verify.Fact{above, attested(4, "scan-a")}, best: "attested " + string(digest(4))},
		"what failed speaks for nobody":  {made: `{"failed":"no","summary":{},"at":"2026-01-01T00:00:00Z"}`},
	} {
		in(t, local, func(tx *store.Txn) error {
			if tx.DropSBOM(image.Repository, image.Digest); c.made != "" {
				tx.PutSBOM(image.Repository, image.Digest, []byte(c.made))
			}
			return nil
		})
		got := choose(t, local, prefer, c.facts...)
		if got.best == nil && c.best != "" || got.best != nil && (c.best == "" || !strings.HasPrefix(got.best.String(), c.best)) {
			t.Errorf("%s: %v", name, got.best)
		}
		if told := got.Input(); (told == nil) != (c.best == "" && c.made == "") {
			t.Errorf("%s: told %+v", name, told)
		}
	}
	if a, b := prefer.String(), prefer[:1].String(); a == b || Preferences(nil).String() != "" {
		t.Errorf("%q, %q", a, b)
	}
}

func TestSourcesAndWorkAreReadAsTheyWereWritten(t *testing.T) {
	for _, s := range []Source{{}, {Origin: OriginGenerated, Layer: "sha256:a"}, {Origin: OriginAttached, Evidence: "sha256:b", Layer: "sha256:a"}, {Origin: OriginAttested, Evidence: "sha256:b", Layer: "sha256:a", Signer: "the release team"}} {
		if got := parseSource(s.String()); got != s {
			t.Errorf("%q: %+v", s, got)
		}
		if w := (Work{Best: s, Generated: Source{Origin: OriginGenerated, Layer: "sha256:c"}}); s.Origin != "" && ParseWork(w.String()) != w {
			t.Errorf("%q: %+v", w, ParseWork(w.String()))
		}
	}
	if w := ParseWork("damaged"); w != (Work{}) || w.String() != "" {
		t.Errorf("%+v", w)
	}
}

// An inventory of the index counts if what it is from speaks, or would.
func TestWhoseInventoryVouches(t *testing.T) {
	local := newLocal(t)
	origin := func(f verify.Fact) index.Origin {
		return index.Origin{Kind: "ingested", Evidence: f.Evidence, Document: f.Layer, Signer: f.Authority}
	}
	prefer := Preferences{{Repositories: store.Globs{"**"}, Authorities: store.Globs{"release"}}}
	signed, other, loose := attested(1, "release"), attested(2, "other"), attached(3)
	c := choose(t, local, prefer, signed, attested(4, "release"), other, loose)
	var got []bool
	for _, o := range []index.Origin{origin(signed), origin(attested(4, "release")), origin(other), origin(loose), {Kind: OriginGenerated}} {
		got = append(got, c.Vouches(o, false))
	}
	if !slices.Equal(got, []bool{true, true, false, false, false}) {
		t.Error(got)
	}
	if alone := choose(t, local, prefer, loose); alone.Vouches(origin(loose), false) || !alone.Vouches(origin(loose), true) {
		t.Error("what anybody attached counts only where it is believed unsigned")
	}
}
