package contents

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/moves"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/turns"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const app = store.Name("acme/app")

type set struct{}

func (set) Decide(context.Context, *contract.Input) (*contract.Decision, error) {
	return &contract.Decision{Allow: true}, nil
}
func (set) Traits(store.Name) contract.Traits { return contract.Traits{} }
func (set) Revision() string                  { return "one" }

func user(name string, roles access.Roles) access.Principal {
	return access.Principal{Name: name, Kind: access.KindUser, Grants: []access.Grant{{Repositories: store.Globs{"acme/**"}, Roles: roles}}}
}

var puller, pusher = user("puller", access.RolePull), user("pusher", access.RolePull|access.RolePush)

func digest(name string) store.Digest { return store.DigestOf("sha256", []byte(name)) }

func by(name string) Ref { return Ref{app, store.Reference{Digest: digest(name)}} }

// shelf is a Reader over three images, of which one waits, and a document that the inventories are from.
type shelf struct {
	*Reader
	local *store.Local
	doc   store.Digest
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	clock, log := func() time.Time { return epoch }, slog.New(slog.DiscardHandler)
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: clock, Rand: rand.Reader, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	blob, err := local.PutBlob(t.Context(), app, []byte(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x","packages":[{"SPDXID":"SPDXRef-a","name":"left","versionInfo":"1",
		"externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:npm/left@1"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{local: local, doc: blob.Digest}
	x := index.New(local, log)
	var now *trust.Snapshot
	if err := local.Update(t.Context(), func(tx *store.Txn) (err error) {
		if now, err = trust.Load(tx, set{}, nil, ""); err != nil {
			return err
		}
		now.EndDenials()
		for name, packages := range map[string][]string{"one": {"left"}, "two": {"left", "right"}, "waiting": {"secret"}} {
			rec := &store.ManifestRecord{Digest: digest(name), MediaType: store.TypeImage, Kind: store.KindImage, State: store.StateAdmitted, Seq: 9}
			if name == "waiting" {
				rec.State = store.StateQuarantined
			}
			rec.SetDetail(&store.Detail{Pushers: []string{"pusher"}, FirstSeen: epoch})
			tx.PutManifest(app, rec)
			inv := &sbom.Inventory{}
			for _, p := range packages {
				inv.Packages = append(inv.Packages, sbom.Package{Name: p, Version: "1", PURL: "pkg:npm/" + p + "@1", Type: "npm"})
			}
			if err := x.Put(tx, store.Item{Repository: app, Digest: rec.Digest}, index.Origin{Kind: "generated", Document: blob.Digest}, inv); err != nil {
				return err
			}
		}
		tx.PutTag(app, "v1", nil, &store.TagRecord{Current: digest("two"), CurrentAt: epoch})
		for _, name := range []string{"one", "waiting", "gone", "two"} {
			if err := moves.Note(tx, app, "v1", nil, moves.Move{Digest: digest(name), At: epoch, By: "ci"}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	trusted := func() *trust.Snapshot { return now }
	borrowed := func(store.Snapshot, store.Name, store.Digest) map[store.Digest]*proof.Known { return nil }
	s.Reader = New(Options{Local: local, Trust: trusted, Answering: turns.New(1, 1, 1), Reading: turns.New(1, 1, 1), Refresh: func(context.Context, store.Name, store.Reference) {}, Clock: clock,
		Findings: findings.New(findings.Options{Local: local, Indexed: true, Trust: trusted, Borrowed: borrowed, Clock: clock, Log: log})})
	return s
}

func TestEachIsToldOfTheContentsThatItCouldGet(t *testing.T) {
	s := newShelf(t)
	for _, c := range []struct {
		p    access.Principal
		name string
		code store.Code
	}{
		{puller, "one", ""}, {puller, "waiting", store.CodeDenied}, {pusher, "waiting", ""}, {puller, "gone", store.CodeManifestUnknown}, {user("stranger", 0), "one", store.CodeManifestUnknown},
	} {
		list, err := s.Contents(t.Context(), c.p, by(c.name), "")
		if got := store.CodeOf(err); c.code != "" && got != c.code && got != store.CodeNameUnknown {
			t.Errorf("%s, %s: %v", c.p.Name, c.name, err)
		}
		if c.code == "" && (err != nil || len(list.Packages) != 1) {
			t.Errorf("%s, %s: %+v, %v", c.p.Name, c.name, list, err)
		}
	}
	for p, want := range map[*access.Principal]int{&puller: 0, &pusher: 1} {
		page, err := s.QueryContents(t.Context(), *p, index.Query{Pattern: "pkg:npm/secret"}, Filter{})
		if err != nil || len(page.Matches) != want || page.Pending != 0 {
			t.Errorf("%s: %+v, %v", p.Name, page, err)
		}
	}
	d, err := s.DiffContents(t.Context(), puller, by("one"), by("two"), "")
	if err != nil || len(d.Added) != 1 || len(d.Removed) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	if why, err := s.WhyContents(t.Context(), puller, by("one"), "", "pkg:npm/left", ""); err != nil || len(why) != 1 {
		t.Errorf("%+v, %v", why, err)
	}
	if _, err := s.DriftContents(t.Context(), puller, by("one"), ""); store.CodeOf(err) != store.CodeNotFound || !strings.Contains(err.Error(), "nobody declared") {
		t.Error(err)
	}
}

func TestAHistoryLeavesOutWhatOneCouldNotGet(t *testing.T) {
	s := newShelf(t)
	for p, want := range map[*access.Principal]int{&puller: 2, &pusher: 4} {
		list, err := s.HistoryContents(t.Context(), *p, app, "v1", "")
		if err != nil || len(list) != want || list[0].Packages != 2 || list[want-1].Digest != digest("one") {
			t.Errorf("%s: %+v, %v", p.Name, list, err)
		}
		if p == &puller && (list[0].Difference == nil || len(list[0].Difference.Added) != 1) || p == &pusher && list[1].Unknown == "" {
			t.Errorf("%s: %+v", p.Name, list)
		}
	}
	if _, err := s.HistoryContents(t.Context(), puller, app, "v2", ""); store.CodeOf(err) != store.CodeManifestUnknown {
		t.Error(err)
	}
}

func TestQuestionsAreAnsweredInTurn(t *testing.T) {
	s := newShelf(t)
	if err := s.o.Answering.Take(t.Context(), "somebody else"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ask := range map[string]func() error{
		"contents": func() error { _, err := s.Contents(ctx, puller, by("one"), ""); return err },
		"vulnerabilities": func() error {
			_, err := s.Vulnerabilities(ctx, puller, by("one"), "", "", 1, false)
			return err
		},
		"images": func() error { _, err := s.AffectedImages(ctx, puller, "CVE-2026-1", nil, "", 1); return err },
	} {
		if err := ask(); err == nil {
			t.Errorf("%s does not wait", name)
		}
	}
	s.o.Answering.Leave()
	if _, err := s.Contents(t.Context(), puller, by("one"), ""); err != nil {
		t.Error(err)
	}
}

func TestWhatIsUnmatchedSaysWhy(t *testing.T) {
	s := newShelf(t)
	v, err := s.Vulnerabilities(t.Context(), puller, by("one"), "", "", 0, true)
	if err != nil || v.Unmatched == "" || len(v.Findings) != 0 || v.Digest != digest("one") {
		t.Errorf("%+v, %v", v, err)
	}
	for _, id := range []string{"", strings.Repeat("x", 129)} {
		if _, err := s.AffectedImages(t.Context(), puller, id, nil, "", 0); store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := s.AffectedImages(t.Context(), access.Principal{Kind: access.KindAnonymous, Challenge: true}, "CVE-2026-1", nil, "", 0); store.CodeOf(err) != store.CodeUnauthorized {
		t.Error(err)
	}
}

func TestAPageOfFindingsIsGoodForItsDatabases(t *testing.T) {
	x := &findings.Assessment{Report: &vulns.Report{Generation: 7, Findings: make([]finding.Finding, 5)}, Said: make([][]contract.VEXInput, 5)}
	next, pages := "", 0
	for n := 0; n < 5; pages++ {
		v := &Vulnerabilities{}
		if err := v.page(x, next, 2); err != nil {
			t.Fatal(err)
		}
		n, next = n+len(v.Findings), v.Next
	}
	if pages != 3 || next != "" {
		t.Errorf("%d pages, then %q", pages, next)
	}
	for _, after := range []string{"6.2", "7", "7.-1", "7.x"} {
		if err := (&Vulnerabilities{}).page(x, after, 2); store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%q: %v", after, err)
		}
	}
}

func TestAFilterKnowsStatesAndTimes(t *testing.T) {
	rec := &store.ManifestRecord{}
	rec.SetDetail(&store.Detail{FirstSeen: epoch})
	for name, c := range map[string]struct {
		f    Filter
		lets bool
	}{
		"nothing":   {Filter{}, true},
		"its state": {Filter{States: []store.State{store.StateAdmitted}}, true},
		"another":   {Filter{States: []store.State{store.StateRevoked}}, false},
		"since":     {Filter{Since: epoch}, true},
		"later":     {Filter{Since: epoch.Add(time.Second)}, false},
		"until":     {Filter{Until: epoch}, false},
		"before":    {Filter{Until: epoch.Add(time.Second)}, true},
	} {
		if c.f.lets(rec, store.StateAdmitted) != c.lets {
			t.Error(name)
		}
	}
}

// A document that is gone or cannot be read is a problem of its image.
func TestAnIndexIsHeldToItsDocuments(t *testing.T) {
	s := newShelf(t)
	problems, err := Check(t.Context(), s.local, true, 10)
	if err != nil || len(problems) == 0 {
		t.Errorf("three images with different packages cannot all be of one document: %v, %v", problems, err)
	}
	if one, err := Check(t.Context(), s.local, true, 1); err != nil || len(one) != 1 {
		t.Errorf("%v, %v", one, err)
	}
}
