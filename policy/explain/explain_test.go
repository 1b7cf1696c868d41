package explain

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const app = store.Name("acme/app")

// set is an engine that traces by saying again what it was asked.
type set struct{}

func (set) Decide(context.Context, *contract.Input) (*contract.Decision, error) {
	return &contract.Decision{Allow: true}, nil
}
func (set) Traits(store.Name) contract.Traits { return contract.Traits{} }
func (set) Revision() string                  { return "one" }
func (set) Trace(_ context.Context, in *contract.Input) (*contract.Decision, []contract.TraceNode, error) {
	if len(in.Subject.Pushers) > 0 {
		return &contract.Decision{Deny: []contract.Reason{{Code: "a"}, {Code: "a"}}}, nil, nil
	}
	return &contract.Decision{Allow: true}, nil, nil
}

func user(name string, roles access.Roles) access.Principal {
	return access.Principal{Name: name, Kind: access.KindUser, Grants: []access.Grant{{Repositories: store.Globs{"acme/**"}, Roles: roles}}}
}

var (
	puller, pusher = user("puller", access.RolePull), user("pusher", access.RolePull|access.RolePush)
	admin          = user("root", access.RoleAdmin)
)

func digest(name string) store.Digest { return store.DigestOf("sha256", []byte(name)) }

// manifest is one that stands so, with a decision about it.
func manifest(tx *store.Txn, name string, kind store.Kind, state store.State) {
	rec := &store.ManifestRecord{Digest: digest(name), MediaType: store.TypeImage, Kind: kind, State: state, Seq: 9}
	det := &store.Detail{Pushers: []string{"pusher"}, Decision: "d-" + name, Clock: epoch}
	if state == store.StateQuarantined {
		det.Code, det.Reason, det.Remedy = "signature.missing", "nobody signed it", "sign it"
	}
	rec.SetDetail(det)
	tx.PutManifest(app, rec)
	b, err := json.Marshal(Record{ID: det.Decision, Repository: app, Digest: rec.Digest, State: state, Result: &contract.Decision{ID: det.Decision, Deny: []contract.Reason{{Code: "a"}}},
		Input: &contract.Input{Manifest: &contract.ManifestInput{}, Subject: contract.SubjectInput{Pushers: []string{"pusher"}}, SBOM: &contract.SBOMInput{Present: true},
			Referrers:  &contract.ReferrersInput{Count: 2, List: []contract.ReferrerInput{{Digest: digest("evidence"), ArtifactType: "x"}, {Digest: digest("waiting"), ArtifactType: "y"}}},
			Signatures: []contract.SignatureInput{{InheritedFrom: digest("index"), Authority: "release", Verified: true}, {Authority: "own"}}}})
	if err != nil {
		panic(err) // a structure that always marshals
	}
	tx.PutDecision(det.Decision, b)
}

func newExplainer(t *testing.T) *Explainer {
	t.Helper()
	clock := func() time.Time { return epoch }
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: clock, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var now *trust.Snapshot
	var book *waiverkeep.Book
	if err := local.Update(t.Context(), func(tx *store.Txn) (err error) {
		if now, err = trust.Load(tx, set{}, nil, ""); err != nil {
			return err
		}
		now.EndDenials()
		manifest(tx, "admitted", store.KindImage, store.StateAdmitted)
		manifest(tx, "waiting", store.KindImage, store.StateQuarantined)
		manifest(tx, "evidence", store.KindEvidence, store.StateEvidence)
		tx.PutTag(app, "v1", nil, &store.TagRecord{Current: digest("waiting"), Visible: digest("admitted"), Reason: "nobody signed it"})
		book, err = waiverkeep.Load(tx.Records, waiverkeep.Rules{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	trusted := func() *trust.Snapshot { return now }
	borrowed := func(store.Snapshot, store.Name, store.Digest) map[store.Digest]*proof.Known {
		return map[store.Digest]*proof.Known{}
	}
	return New(Options{Local: local, Grounds: func() (*trust.Snapshot, *waiverkeep.Book) { return now, book }, Borrowed: borrowed, Refresh: func(context.Context, store.Name, store.Reference) {},
		Findings: findings.New(findings.Options{Local: local, Trust: trusted, Borrowed: borrowed, Clock: clock, Log: slog.New(slog.DiscardHandler)}), Pulls: pulls.New(local, clock), Patience: time.Hour, Clock: clock})
}

func TestWhyItMayOrMayNotBePulled(t *testing.T) {
	x := newExplainer(t)
	for _, c := range []struct {
		by       access.Principal
		ref      store.Reference
		state    store.State
		readable bool
		reason   string
		pushers  int
		sbom     bool
	}{
		{puller, store.Reference{Digest: digest("admitted")}, store.StateAdmitted, true, satisfied, 0, true},
		{pusher, store.Reference{Digest: digest("admitted")}, store.StateAdmitted, true, satisfied, 1, true},
		{puller, store.Reference{Digest: digest("waiting")}, store.StateQuarantined, false, "nobody signed it", 0, false},
		{pusher, store.Reference{Tag: "v1"}, store.StateQuarantined, false, "nobody signed it", 1, true},
		{puller, store.Reference{Digest: digest("evidence")}, store.StateEvidence, true, "it is evidence about another manifest, readable by whoever may pull here", 0, true},
	} {
		e, err := x.Explain(t.Context(), c.by, app, c.ref)
		if err != nil {
			t.Errorf("%s, %s: %v", c.by.Name, c.ref, err)
			continue
		}
		if e.State != c.state || e.Readable != c.readable || e.Reason != c.reason || len(e.Pushers) != c.pushers || (e.SBOM != nil) != c.sbom || (c.ref.Tag != "") != (e.Tag != nil) {
			t.Errorf("%s, %s: %+v", c.by.Name, c.ref, e)
		}
		if waits := c.state == store.StateQuarantined; waits != e.ExpiresAt.Equal(epoch.Add(time.Hour)) {
			t.Errorf("%s, %s: expires at %v", c.by.Name, c.ref, e.ExpiresAt)
		}
	}
	for name, ask := range map[string]func() error{
		"what is not there": func() error {
			_, err := x.Explain(t.Context(), puller, app, store.Reference{Digest: digest("nothing")})
			return err
		},
		"where one may not read": func() error {
			_, err := x.Explain(t.Context(), puller, "else/where", store.Reference{Digest: digest("admitted")})
			return err
		},
		"a tree of nothing": func() error {
			_, err := x.Tree(t.Context(), puller, app, store.Reference{Tag: "v2"})
			return err
		},
	} {
		if code := store.CodeOf(ask()); code != store.CodeManifestUnknown && code != store.CodeNameUnknown {
			t.Errorf("%s: %s", name, code)
		}
	}
}

func TestOfADecisionEachSeesWhatItCouldGet(t *testing.T) {
	x := newExplainer(t)
	for _, c := range []struct {
		by                 access.Principal
		name               string
		bytes              bool
		pushers, referrers int
	}{
		{puller, "admitted", true, 0, 1},
		{pusher, "admitted", true, 1, 2},
		{puller, "waiting", false, 0, 1},
		{admin, "waiting", true, 1, 2},
	} {
		r, err := x.Decision(t.Context(), c.by, "d-"+c.name)
		if err != nil {
			t.Errorf("%s, %s: %v", c.by.Name, c.name, err)
			continue
		}
		if (r.Input.Manifest != nil) != c.bytes || (r.Input.SBOM != nil) != c.bytes || len(r.Input.Subject.Pushers) != c.pushers || len(r.Input.Referrers.List) != c.referrers {
			t.Errorf("%s, %s: %+v", c.by.Name, c.name, r.Input)
		}
	}
	for _, id := range []string{"d-nothing", fmt.Sprintf("%065d", 1)} {
		if _, err := x.Decision(t.Context(), admin, id); store.CodeOf(err) != store.CodeNotFound {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := x.Decision(t.Context(), access.Principal{}, "d-admitted"); store.CodeOf(err) != store.CodeNotFound {
		t.Error(err)
	}
}

func TestATraceIsForWhomTheBytesAre(t *testing.T) {
	x := newExplainer(t)
	if _, err := x.Trace(t.Context(), puller, "d-waiting"); store.CodeOf(err) != store.CodeDenied {
		t.Error(err)
	}
	for _, c := range []struct {
		by         access.Principal
		reproduced bool
	}{{pusher, true}, {puller, false}} { // a reader is not told who pushed, nor is the policy
		tr, err := x.Trace(t.Context(), c.by, "d-admitted")
		if err != nil || tr.Reproduced != c.reproduced || tr.Digest != digest("admitted") {
			t.Errorf("%s: %+v, %v", c.by.Name, tr, err)
		}
	}
}

func TestWhatIsInheritedIsAmongWhatIsVerified(t *testing.T) {
	x := newExplainer(t)
	r, err := x.Verify(t.Context(), puller, app, store.Reference{Digest: digest("admitted")})
	if err != nil || !r.Allowed || r.Reason != "" || len(r.Facts) != 1 || r.Facts[0].InheritedFrom != digest("index") {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = x.Verify(t.Context(), puller, app, store.Reference{Tag: "v1"}); err != nil || r.Allowed || r.Reason == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestATreeShowsWhoseStateOneMayKnow(t *testing.T) {
	x := newExplainer(t)
	n, err := x.Tree(t.Context(), puller, app, store.Reference{Tag: "v1"})
	if err != nil || n.Digest != digest("waiting") || n.Reason != "nobody signed it" || len(n.Children) != 0 {
		t.Errorf("%+v, %v", n, err)
	}
	if got := factLine(verify.Fact{Kind: verify.KindAttestation, PredicateType: "p", Verified: true, Authority: "release"}); got != "attestation p verified, authority release" {
		t.Error(got)
	}
}

// Of very many facts those that prove something are shown.
func TestWhatIsRefusedIsLeftOutBeyondAPage(t *testing.T) {
	x := newExplainer(t)
	all := map[store.Digest]*proof.Known{}
	for n := range maxFacts + 5 {
		d := digest(fmt.Sprint(n))
		all[d] = &proof.Known{At: epoch, Facts: []verify.Fact{{Evidence: d, Verified: n == maxFacts/2}}}
	}
	facts, err := explainFacts(x.trust(), verify.Subject{Repository: app}, nil, all, epoch)
	if err != nil || len(facts) != maxFacts || !facts[0].Verified || slices.ContainsFunc(facts[1:], func(f verify.Fact) bool { return f.Verified }) {
		t.Errorf("%d facts, %v", len(facts), err)
	}
}
