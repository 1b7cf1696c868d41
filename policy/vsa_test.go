package policy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/outbox"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/vsa"
	"github.com/assay-registry/assay/store"
)

const verifier = "https://registry.example"

func vsaKit(t *testing.T, edit ...func(*policy.Options)) (*kit, *ecdsa.PrivateKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newKit(t, append([]func(*policy.Options){func(o *policy.Options) {
		o.Verdicts = vsa.Options{Key: private, All: true, Verifier: verifier, Host: "registry.example", Version: "test", Validity: 168 * time.Hour,
			Levels: []vsa.Level{{Authority: "release", Level: "SLSA_BUILD_LEVEL_2"}}}
	}}, edit...)...), private
}

func (k *kit) issue() {
	k.t.Helper()
	if err := k.a.IssueVSAs(k.ctx); err != nil {
		k.t.Fatal(err)
	}
}

// summaries are the predicates of the summaries that a puller finds, their signatures verified.
func (k *kit) summaries(repo store.Name, d store.Digest, key *ecdsa.PrivateKey) []map[string]any {
	k.t.Helper()
	page, err := k.as(puller).Referrers(k.ctx, repo, d, "application/vnd.in-toto+json", "", 0)
	if err != nil {
		k.t.Fatal(err)
	}
	var all []map[string]any
	for _, r := range page.Items {
		if r.Annotations["predicateType"] != vsa.Predicate {
			continue
		}
		m, err := k.as(puller).Manifest(k.ctx, repo, store.Reference{Digest: r.Digest})
		if err != nil {
			k.t.Fatal(err)
		}
		p, err := store.ParseManifest(m.MediaType, m.Bytes)
		if err != nil {
			k.t.Fatal(err)
		}
		want(k.t, "the envelope, by who may pull", k.getBlob(puller, repo, p.Layers[0].Digest), "ok")
		b, err := k.local.ReadContent(k.ctx, p.Layers[0].Digest, 1<<20)
		if err != nil {
			k.t.Fatal(err)
		}
		all = append(all, openSummary(k.t, b, d, repo, key))
	}
	return all
}

func openSummary(t testing.TB, envelope []byte, d store.Digest, repo store.Name, key *ecdsa.PrivateKey) map[string]any {
	t.Helper()
	var e struct {
		PayloadType, Payload string
		Signatures           []struct{ Sig string }
	}
	if err := json.Unmarshal(envelope, &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(payload), payload))
	if !ecdsa.VerifyASN1(&key.PublicKey, sum[:], sig) {
		t.Fatal("the signature is not that of the verdict key")
	}
	var s struct {
		Subject []struct {
			Name   string
			Digest map[string]string
		}
		PredicateType string
		Predicate     map[string]any
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		t.Fatal(err)
	}
	if s.PredicateType != vsa.Predicate || s.Subject[0].Name != string(repo) || s.Subject[0].Digest["sha256"] != d.Encoded() {
		t.Fatalf("the statement is about %v as %s", s.Subject, s.PredicateType)
	}
	return s.Predicate
}

func TestAnAdmissionIsAttestedAndWithdrawn(t *testing.T) {
	k, key := vsaKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.issue()
	if got := k.artifactTypes(admin, app, i.desc.Digest); len(got) != 0 {
		t.Fatalf("before admission: %v", got)
	}
	sig := k.sign(signer, app, i.desc.Digest, k.key)
	k.issue()
	all := k.summaries(app, i.desc.Digest, key)
	if len(all) != 1 {
		t.Fatalf("%d summaries", len(all))
	}
	s := all[0]
	text := string(k.json(s))
	for _, part := range []string{
		`"resourceUri":"registry.example/acme/app@` + string(i.desc.Digest) + `"`, `"verificationResult":"PASSED"`, `"verifier":{"id":"` + verifier + `"`, `"verifiedLevels":["ASSAY_ADMITTED"]`,
		`"inputAttestations":[{"digest":{"sha256":"` + sig.Digest.Encoded() + `"}`, `"repository":"acme/app"`, `"expires":"2026-11-27T12:00:00Z"`,
		`"policy":{"digest":{"sha256":"` + strings.TrimPrefix(k.opts.Engine.Revision(), "sha256:") + `"}`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the predicate lacks %s:\n%s", part, text)
		}
	}
	want(t, "the image stays admitted", k.get(puller, app, "v1"), string(i.desc.Digest))

	// Nothing that changes nothing writes it again.
	k.clock.advance(time.Hour)
	k.push(pusher, app, "v1", "one")
	if err := k.a.RenewVSAs(k.ctx); err != nil {
		t.Fatal(err)
	}
	k.issue()
	if again := k.summaries(app, i.desc.Digest, key); len(again) != 1 || string(k.json(again[0])) != text {
		t.Errorf("it was written again: %v", again)
	}

	// It goes with the verdict, at once, and does not hold the verdict up itself.
	if err := k.as(admin).DeleteManifest(k.ctx, app, store.Reference{Digest: sig.Digest}); err != nil {
		t.Fatal(err)
	}
	want(t, "without its signature", k.get(puller, app, "v1"), denied)
	if left := k.artifactTypes(admin, app, i.desc.Digest); left["application/vnd.in-toto+json"] != 0 {
		t.Errorf("the summary outlives the verdict: %v", left)
	}
	k.issue()
	if left := k.summaries(app, i.desc.Digest, key); len(left) != 0 {
		t.Errorf("a summary of what is refused: %v", left)
	}
}

func TestASummaryEndsWithRevocationAndDeletion(t *testing.T) {
	for name, end := range map[string]func(*kit, image) error{
		"revoked": func(k *kit, i image) error {
			_, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: i.desc.Digest, Repository: "acme/app", Reason: "bad"})
			return err
		},
		"deleted": func(k *kit, i image) error {
			return k.as(admin).DeleteManifest(k.ctx, app, store.Reference{Digest: i.desc.Digest})
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, key := vsaKit(t)
			i := k.push(pusher, app, "v1", "one")
			k.sign(signer, app, i.desc.Digest, k.key)
			k.issue()
			if n := len(k.summaries(app, i.desc.Digest, key)); n != 1 {
				t.Fatalf("%d summaries", n)
			}
			if err := end(k, i); err != nil {
				t.Fatal(err)
			}
			if err := k.a.Catchup(k.ctx); err != nil {
				t.Fatal(err)
			}
			k.issue()
			if left := k.artifactTypes(admin, app, i.desc.Digest); left["application/vnd.in-toto+json"] != 0 {
				t.Errorf("referrers: %v", left)
			}
		})
	}
}

func TestASummaryIsReplacedWhereItWouldSaySomethingElse(t *testing.T) {
	k, key := vsaKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	k.issue()
	first := k.summaries(app, i.desc.Digest, key)[0]

	// More evidence: at most one in a minute.
	statement := k.stateProvenance(signer, app, i.desc.Digest, "https://slsa.dev/provenance/v1")
	k.issue()
	if got := k.summaries(app, i.desc.Digest, key); len(got) != 1 || string(k.json(got[0])) != string(k.json(first)) {
		t.Errorf("replaced within a minute: %v", got)
	}
	k.clock.advance(2 * time.Minute)
	k.issue()
	got := k.summaries(app, i.desc.Digest, key)
	if len(got) != 1 || !strings.Contains(string(k.json(got[0])), statement.Encoded()) {
		t.Fatalf("after new evidence: %v", got)
	}
	if levels := fmt.Sprint(got[0]["verifiedLevels"]); levels != "[ASSAY_ADMITTED SLSA_BUILD_LEVEL_2]" {
		t.Errorf("levels %s", levels)
	}

	// Half of its time.
	k.clock.advance(85 * time.Hour)
	if err := k.a.RenewVSAs(k.ctx); err != nil {
		t.Fatal(err)
	}
	k.issue()
	if next := k.summaries(app, i.desc.Digest, key); len(next) != 1 || next[0]["timeVerified"] == got[0]["timeVerified"] {
		t.Errorf("not renewed: %v", next)
	}

	// Another policy.
	k.clock.advance(time.Hour)
	set := compile(t, signedPolicy(), engine.Policy{Name: "more", Repositories: store.Globs{allRepos}, Mode: contract.ModeWarn,
		Source: map[string]string{"x.rego": "package assay\n\nadmit.warn contains {\"code\": \"w.w\", \"msg\": \"Careful.\"}\n"}})
	if err := k.a.SetEngine(k.ctx, set); err != nil {
		t.Fatal(err)
	}
	if err := k.a.Catchup(k.ctx); err != nil {
		t.Fatal(err)
	}
	k.issue()
	if next := k.summaries(app, i.desc.Digest, key); len(next) != 1 || !strings.Contains(string(k.json(next[0])), `"more"`) {
		t.Errorf("after a change of policy: %v", next)
	}

	// Off: what stands is withdrawn at the next start.
	k.opts.Verdicts.All = false
	k.opts.Engine = set
	k.start()
	if err := k.a.ReviewVSAs(k.ctx); err != nil {
		t.Fatal(err)
	}
	k.issue()
	if left := k.summaries(app, i.desc.Digest, key); len(left) != 0 {
		t.Errorf("switched off: %v", left)
	}
}

// stateProvenance pushes a statement signed by the authority's key, as a referrer.
func (k *kit) stateProvenance(p access.Principal, repo store.Name, d store.Digest, predicateType string) store.Digest {
	k.t.Helper()
	body := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":%q}}],"predicateType":%q,"predicate":{"buildDefinition":{"buildType":"x"},"runDetails":{"builder":{"id":"x"}}}}`, d.Encoded(), predicateType)
	pae := fmt.Appendf(nil, "DSSEv1 28 application/vnd.in-toto+json %d %s", len(body), body)
	envelope := k.json(map[string]any{"payloadType": "application/vnd.in-toto+json", "payload": base64.StdEncoding.EncodeToString(body),
		"signatures": []any{map[string]string{"keyid": "", "sig": k.key.signature(k.t, pae)}}})
	return k.about(p, repo, d, "application/vnd.in-toto+json", "application/vnd.dsse.envelope.v1+json", envelope)
}

// about pushes one layer about a manifest.
func (k *kit) about(p access.Principal, repo store.Name, d store.Digest, artifactType, layerType string, content []byte) store.Digest {
	k.t.Helper()
	rec, err := k.as(admin).StatManifest(k.ctx, repo, store.Reference{Digest: d})
	if err != nil {
		k.t.Fatal(err)
	}
	empty := k.blob(p, repo, []byte("{}"))
	layer := k.blob(p, repo, content)
	b := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}],"subject":{"mediaType":%q,"digest":%q,"size":%d}}`,
		artifactType, empty.Digest, layerType, layer.Digest, layer.Size, rec.MediaType, d, rec.Size)
	r, err := k.put(p, repo, "", "application/vnd.oci.image.manifest.v1+json", b)
	if err != nil {
		k.t.Fatal(err)
	}
	return r.Descriptor.Digest
}

// However issuing and the end of a verdict meet, nothing is attested that is refused, and a crash between them leaves work and no second summary.
func TestASummaryNeverOutlivesItsVerdict(t *testing.T) {
	k, key := vsaKit(t)
	i := k.push(pusher, app, "v1", "one")
	for n := range 20 {
		sig := k.sign(signer, app, i.desc.Digest, k.key)
		var racing sync.WaitGroup
		racing.Go(func() { k.issue() })
		if n%2 == 0 {
			racing.Go(func() {
				if err := k.as(admin).DeleteManifest(k.ctx, app, store.Reference{Digest: sig.Digest}); err != nil {
					t.Error(err)
				}
			})
		}
		racing.Wait()
		if n%3 == 0 {
			k.start() // what was not done is in the store
		}
		k.clock.advance(2 * time.Minute)
		k.issue()
		wanted := n % 2
		if got := len(k.summaries(app, i.desc.Digest, key)); got != wanted {
			t.Fatalf("round %d: %d summaries, %d wanted; the image: %s", n, got, wanted, k.get(puller, app, "v1"))
		}
		if wanted == 1 {
			if err := k.as(admin).DeleteManifest(k.ctx, app, store.Reference{Digest: sig.Digest}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := k.a.Obligations(k.ctx, admin, 10)
	if err != nil || r.Waiting[contract.ObligationVSA] != 0 || r.Failed[contract.ObligationVSA] != 0 {
		t.Errorf("left: %+v %v", r, err)
	}
}

// The registry's own summary proves nothing to its own policies: what was admitted once would be admitted for ever.
func TestAVerdictDoesNotSupportItself(t *testing.T) {
	source := `package assay

admit.deny contains {"code": "signature.missing", "msg": "Neither signed nor attested."} if not counts

counts if some s in input.signatures
counts if some a in input.attestations
`
	k, key := vsaKit(t, func(o *policy.Options) {
		o.Engine = compile(t, engine.Policy{Name: "any", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: map[string]string{"any.rego": source}})
	})
	i := k.push(pusher, app, "v1", "one")
	sig := k.sign(signer, app, i.desc.Digest, k.key)
	k.issue()
	if n := len(k.summaries(app, i.desc.Digest, key)); n != 1 {
		t.Fatalf("%d summaries", n)
	}
	if err := k.as(admin).DeleteManifest(k.ctx, app, store.Reference{Digest: sig.Digest}); err != nil {
		t.Fatal(err)
	}
	want(t, "after its signature went", k.get(puller, app, "v1"), denied)
}

func TestAPolicyAsksForASummary(t *testing.T) {
	obliging := func(types string) contract.Engine {
		return compile(t, signedPolicy(), engine.Policy{Name: "ask", Repositories: store.Globs{"acme/app"}, Mode: contract.ModeEnforce,
			Source: map[string]string{"x.rego": "package assay\n\nadmit.obligations contains {\"type\": t} if some t in [" + types + "]\n"}})
	}
	k, key := vsaKit(t, func(o *policy.Options) { o.Verdicts.All, o.Engine = false, obliging(`"emit_vsa"`) })
	i, other := k.push(pusher, app, "v1", "one"), k.push(pusher, "acme/other", "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	k.sign(signer, "acme/other", other.desc.Digest, k.key)
	k.issue()
	if n, m := len(k.summaries(app, i.desc.Digest, key)), len(k.summaries("acme/other", other.desc.Digest, key)); n != 1 || m != 0 {
		t.Errorf("%d and %d summaries", n, m)
	}
}

// post takes what is delivered, and answers as it is told to.
type post struct {
	mu     sync.Mutex
	bodies []string
	answer func(body string) (int, error)
}

func (p *post) Post(_ context.Context, body []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bodies = append(p.bodies, string(body))
	if p.answer == nil {
		return 204, nil
	}
	return p.answer(string(body))
}

func (p *post) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bodies
	p.bodies = nil
	return b
}

func (k *kit) deliver() {
	k.t.Helper()
	if err := k.a.Deliver(k.ctx); err != nil {
		k.t.Fatal(err)
	}
}

func TestEventsAreDeliveredToEachTargetByItself(t *testing.T) {
	good, bad := &post{}, &post{answer: func(string) (int, error) { return 0, errors.New("connection refused") }}
	k := newKit(t, func(o *policy.Options) {
		o.Verdicts.Verifier = verifier
		o.Targets = []outbox.Target{
			{URL: "https://bad.example/secret", Repositories: store.Globs{"**"}, Events: outbox.Names(), Post: bad},
			{URL: "https://good.example/x", Repositories: store.Globs{"acme/**"}, Events: []string{outbox.EventAdmitted, outbox.EventRevoked}, Post: good},
		}
	})
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	k.deliver()
	got := good.take()
	if len(got) != 1 || !strings.Contains(got[0], `"type":"io.github.assay-registry.image.admitted"`) || !strings.Contains(got[0], `"subject":"acme/app@`+string(i.desc.Digest)+`"`) ||
		!strings.Contains(got[0], `"specversion":"1.0"`) || !strings.Contains(got[0], `"from":"quarantined","to":"admitted"`) {
		t.Fatalf("delivered: %v", got)
	}
	if n := len(bad.take()); n != 1 {
		t.Errorf("a target that does not answer was asked %d times in one round", n)
	}
	k.deliver()
	if again := good.take(); len(again) != 0 {
		t.Errorf("delivered twice: %v", again)
	}
	r, err := k.a.Obligations(k.ctx, admin, 10)
	if err != nil || r.Waiting[contract.ObligationNotify] == 0 {
		t.Fatalf("%+v %v", r, err)
	}
	for _, o := range r.Obligations {
		if o.Target != "https://bad.example" {
			t.Errorf("the report tells the address: %q", o.Target)
		}
	}
	if _, err := k.a.Obligations(k.ctx, pusher, 10); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("who may push sees the queue: %v", err)
	}

	// A restart resumes; ids stay.
	ids := func(bodies []string) map[string]bool {
		all := map[string]bool{}
		for _, b := range bodies {
			var e outbox.Event
			if err := json.Unmarshal([]byte(b), &e); err != nil {
				t.Fatal(err)
			}
			all[e.ID] = true
		}
		return all
	}
	before := r.Waiting[contract.ObligationNotify]
	k.start()
	bad.answer = func(string) (int, error) { return 500, nil }
	k.clock.advance(time.Hour)
	k.deliver()
	first := ids(bad.take())
	bad.answer = nil
	k.clock.advance(time.Hour)
	k.deliver()
	second := ids(bad.take())
	if len(first) != before || len(second) != before {
		t.Errorf("%d waited, %d and %d were delivered", before, len(first), len(second))
	}
	for id := range second {
		if !first[id] {
			t.Errorf("the event %s has another id than when it was first delivered", id)
		}
	}
}

// One event that a receiver cannot bear delays neither those after it nor another target, and is given up in the end.
func TestAPoisonedEventDelaysNoOther(t *testing.T) {
	p := &post{}
	k := newKit(t, func(o *policy.Options) {
		o.Targets = []outbox.Target{{URL: "https://x.example", Repositories: store.Globs{"**"}, Events: []string{outbox.EventQuarantined}, Post: p}}
	})
	poison := k.push(pusher, app, "v1", "one")
	p.answer = func(body string) (int, error) {
		if strings.Contains(body, string(poison.desc.Digest)) {
			return 500, nil
		}
		return 200, nil
	}
	k.push(pusher, app, "v2", "two")
	k.deliver()
	if n := len(p.take()); n != 2 {
		t.Fatalf("%d deliveries", n)
	}
	for range 90 {
		k.clock.advance(time.Hour)
		k.deliver()
	}
	r, err := k.a.Obligations(k.ctx, admin, 10)
	if err != nil || r.Failed[contract.ObligationNotify] != 1 || r.Waiting[contract.ObligationNotify] != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	p.take()
	k.clock.advance(8 * 24 * time.Hour)
	k.deliver()
	if r, err = k.a.Obligations(k.ctx, admin, 10); err != nil || r.Failed[contract.ObligationNotify] != 0 || len(p.take()) != 0 {
		t.Errorf("given up, and forgotten after a week: %+v %v", r, err)
	}
}

func TestAPolicyAsksToTell(t *testing.T) {
	p := &post{}
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, signedPolicy(), engine.Policy{Name: "ask", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce,
			Source: map[string]string{"x.rego": "package assay\n\nadmit.obligations contains {\"type\": \"notify\"}\n"}})
		o.Targets = []outbox.Target{{URL: "https://x.example", Repositories: store.Globs{"**"}, Events: []string{outbox.EventObligation}, Post: p}}
	})
	k.push(pusher, app, "v1", "one")
	k.deliver()
	got := p.take()
	if len(got) != 1 || !strings.Contains(got[0], `"deny":["signature.missing"]`) || !strings.Contains(got[0], `"decision_id":"`) {
		t.Errorf("told: %v", got)
	}
	k.push(pusher, app, "v1", "one")
	k.deliver()
	if again := p.take(); len(again) != 0 {
		t.Errorf("told again of the same decision: %v", again)
	}
}
