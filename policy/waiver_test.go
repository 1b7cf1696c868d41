package policy_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/explain"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// waiving is a gate with an authority "security" for waivers, and "release", which signs images and no waivers.
type waiving struct {
	*kit
	security, second *key
}

func newWaiving(t testing.TB, edit ...func(*policy.Options)) *waiving {
	t.Helper()
	w := &waiving{security: newKey(t), second: newKey(t)}
	w.kit = newKit(t, append([]func(*policy.Options){func(o *policy.Options) {
		o.Authorities = append(o.Authorities, w.security.authority("security", "acme/**"), w.second.authority("second", "acme/**"))
		o.Waivers = waiverkeep.Rules{Authorities: []string{"security", "second"}}
	}}, edit...)...)
	return w
}

// waiver is about acme/app, for signature.missing, for a day from now, unless edit says otherwise.
func (w *waiving) waiver(id string, edit ...func(*waiver.Waiver)) *waiver.Waiver {
	now := w.clock.now().Truncate(time.Second)
	doc := &waiver.Waiver{ID: id, Codes: []string{"signature.missing"}, Match: waiver.Match{Repositories: store.Globs{"acme/app"}}, Reason: "the signer is down", Ticket: "SEC-1",
		Approver: "alice", NotBefore: now.Add(-time.Minute), Expires: now.Add(24 * time.Hour).Add(-time.Minute)}
	for _, e := range edit {
		e(doc)
	}
	return doc
}

// carry signs a waiver and pushes it as a referrer in a repository; the statement is about the document itself unless subject is given.
func (w *waiving) carry(repo store.Name, doc *waiver.Waiver, s *key, subject store.Digest) *store.Receipt {
	w.t.Helper()
	carrier, _, _ := doc.Carrier()
	if subject == "" {
		subject = carrier.Digest
	}
	return w.carryRaw(repo, doc.Document(), s, subject)
}

func (w *waiving) carryRaw(repo store.Name, predicate []byte, s *key, subject store.Digest) *store.Receipt {
	w.t.Helper()
	r, err := w.put(signer, repo, "", ocispec.MediaTypeImageManifest, w.attest(repo, verify.PredicateWaiver, predicate, s, subject))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// attest makes evidence: a DSSE envelope around a statement, in a referrer of the subject.
func (k *kit) attest(repo store.Name, predicateType string, predicate []byte, s *key, subject store.Digest) []byte {
	k.t.Helper()
	statement := k.json(map[string]any{"_type": "https://in-toto.io/Statement/v1", "predicateType": predicateType, "predicate": json.RawMessage(predicate),
		"subject": []any{map[string]any{"digest": map[string]string{string(subject.Algorithm()): subject.Encoded()}}}})
	envelope := k.json(map[string]any{"payloadType": verify.TypeInToto, "payload": base64.StdEncoding.EncodeToString(statement),
		"signatures": []any{map[string]string{"sig": s.signature(k.t, verify.PAE(verify.TypeInToto, statement))}}})
	layer := k.blob(signer, repo, envelope)
	layer.MediaType = verify.TypeDSSE
	config := k.blob(signer, repo, []byte("{}"))
	config.MediaType = ocispec.MediaTypeEmptyJSON
	return k.json(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: verify.TypeInToto, Config: config,
		Layers: []ocispec.Descriptor{layer}, Subject: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 500}})
}

// state is what explain says of a waiver.
func (w *waiving) state(id string) waiverkeep.State {
	w.t.Helper()
	all, err := w.a.Waiver(w.ctx, admin, id)
	if err != nil {
		return waiverkeep.State(store.CodeOf(err))
	}
	return all[0].State
}

func (w *waiving) explain(repo store.Name, ref string) *explain.Explanation {
	w.t.Helper()
	r, err := store.ParseReference(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := w.a.Explain(w.ctx, admin, repo, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func TestWaiverAdmitsUntilItsEnd(t *testing.T) {
	for _, c := range []struct {
		name  string
		about func(image) (digests []store.Digest, subject store.Digest)
	}{
		{"repository", func(image) ([]store.Digest, store.Digest) { return nil, "" }},
		{"digest", func(i image) ([]store.Digest, store.Digest) { return []store.Digest{i.desc.Digest}, "" }},
		{"about the image", func(i image) ([]store.Digest, store.Digest) { return nil, i.desc.Digest }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWaiving(t)
			i, other := w.push(pusher, "acme/app", "v1", "one"), w.push(pusher, "acme/app", "v2", "two")
			want(t, "before", w.get(puller, "acme/app", "v1"), denied)
			digests, subject := c.about(i)
			doc := w.waiver("W-1", func(d *waiver.Waiver) { d.Match.Digests = digests })
			r := w.carry("acme/app", doc, w.security, subject)
			if len(r.Warnings) != 0 {
				t.Errorf("warnings %q", r.Warnings)
			}
			want(t, "waived", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
			if narrow := c.name != "repository"; narrow {
				want(t, "another image", w.get(puller, "acme/app", "v2"), denied)
			} else {
				want(t, "another image", w.get(puller, "acme/app", "v2"), string(other.desc.Digest))
			}
			e := w.explain("acme/app", "v1")
			if !strings.Contains(e.Reason, "the waiver W-1 excepts it") {
				t.Errorf("why: %q", e.Reason)
			}
			if e.Decision == nil || len(e.Decision.Waived) != 1 || e.Decision.Waived[0].Waiver != "W-1" || e.Decision.Waived[0].Code != "signature.missing" || !e.Decision.Waived[0].Expires.Equal(doc.Expires) {
				t.Errorf("decision %+v", e.Decision)
			}
			if len(e.Waivers) != 1 || e.Waivers[0].State != waiverkeep.Active || e.Waivers[0].Signed[0].Authority != "security" {
				t.Errorf("waivers %+v", e.Waivers)
			}
			m, err := w.as(puller).Manifest(w.ctx, "acme/app", store.Reference{Tag: "v1"})
			if err != nil || len(m.Warnings) != 0 {
				t.Errorf("warnings %v, %v", m, err)
			}
			w.start()
			want(t, "after a restart", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
			w.clock.advance(24 * time.Hour)
			want(t, "expired", w.get(puller, "acme/app", "v1"), denied)
			e = w.explain("acme/app", "v1")
			if len(e.Waivers) != 1 || e.Waivers[0].State != waiverkeep.Expired || !strings.Contains(e.Waivers[0].Why, "expired") || len(e.Decision.Waived) != 0 {
				t.Errorf("expired: %+v, decision %+v", e.Waivers, e.Decision)
			}
		})
	}
}

func TestWaiverOfAnIndexHoldsForWhatItLists(t *testing.T) {
	w := newWaiving(t)
	one, two := w.push(pusher, "acme/app", "", "one"), w.push(pusher, "acme/app", "", "two")
	index := w.index(pusher, "acme/app", "v1", one.desc)
	w.carry("acme/app", w.waiver("W-1", func(d *waiver.Waiver) { d.Match.Digests = []store.Digest{index.Digest} }), w.security, "")
	want(t, "the index", w.get(puller, "acme/app", "v1"), string(index.Digest))
	want(t, "its child", w.get(puller, "acme/app", string(one.desc.Digest)), string(one.desc.Digest))
	want(t, "another", w.get(puller, "acme/app", string(two.desc.Digest)), denied)
}

func TestWaiverCountsWhereverItWasCarriedFrom(t *testing.T) {
	w := newWaiving(t)
	i := w.push(pusher, "acme/app", "v1", "one")
	w.carry("elsewhere/app", w.waiver("W-1"), w.security, "")
	want(t, "carried from another repository", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
	w.clock.advance(0)
	if all, err := w.a.Waivers(w.ctx, admin); err != nil || len(all) != 1 || all[0].Repository != "elsewhere/app" {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestWaiverAttacks: each of these waives nothing.
func TestWaiverAttacks(t *testing.T) {
	other := store.DigestOf("sha256", []byte("another image"))
	for _, c := range []struct {
		name string
		edit func(*waiver.Waiver)
		key  func(*waiving) *key
		note string
	}{
		{"another repository", func(d *waiver.Waiver) { d.Match.Repositories = store.Globs{"acme/other"} }, nil, ""},
		{"another digest", func(d *waiver.Waiver) { d.Match.Digests = []store.Digest{other} }, nil, ""},
		{"another code", func(d *waiver.Waiver) { d.Codes = []string{"sbom.missing"} }, nil, ""},
		{"another policy", func(d *waiver.Waiver) { d.Match.Policies = []string{"other"} }, nil, ""},
		{"expired", func(d *waiver.Waiver) {
			d.NotBefore, d.Expires = d.NotBefore.Add(-48*time.Hour), d.Expires.Add(-48*time.Hour)
		}, nil, "it expired at"},
		{"not yet valid", func(d *waiver.Waiver) { d.NotBefore = d.NotBefore.Add(time.Hour) }, nil, "does not count before"},
		{"too long", func(d *waiver.Waiver) { d.Expires = d.Expires.Add(31 * 24 * time.Hour) }, nil, "longer than"},
		{"an authority that signs no waivers", nil, func(w *waiving) *key { return w.key }, "none of the authorities"},
		{"a key that nobody trusts", nil, func(w *waiving) *key { return newKey(w.t) }, "none of the authorities"},
		{"codes of the engine", func(d *waiver.Waiver) { d.Codes = []string{"policy.error"} }, nil, "cannot be waived"},
		{"a revoked digest", func(d *waiver.Waiver) { d.Codes = []string{"policy.revoked"} }, nil, "cannot be waived"},
		{"policies that are not there", func(d *waiver.Waiver) { d.Codes = []string{"policies.absent"} }, nil, "only break glass"},
		{"policies of a TUF repository", func(d *waiver.Waiver) { d.Codes = []string{"tuf.policies"} }, nil, "only break glass"},
		{"all codes for more than a day", func(d *waiver.Waiver) {
			d.Codes = []string{"*"}
			d.Expires = d.NotBefore.Add(24*time.Hour + time.Second)
		}, nil, "more than 24 hours"},
		{"all codes without a beginning", func(d *waiver.Waiver) { d.Codes = []string{"*"}; d.NotBefore = time.Time{} }, nil, "not_before"},
		{"all codes beside others", func(d *waiver.Waiver) { d.Codes = []string{"*", "signature.missing"} }, nil, "stands alone"},
		{"no end", func(d *waiver.Waiver) { d.Expires = time.Time{} }, nil, "no waiver lasts for ever"},
		{"no reason", func(d *waiver.Waiver) { d.Reason = " " }, nil, "no reason"},
		{"no repositories", func(d *waiver.Waiver) { d.Match.Repositories = nil }, nil, "matches no repository"},
		{"all repositories by one signer", func(d *waiver.Waiver) { d.Match.Repositories = store.Globs{"**"} }, nil, "needs 2 signers"},
		{"all repositories in pieces by one signer", func(d *waiver.Waiver) { d.Match.Repositories = store.Globs{"a*/**", "b*/**"} }, nil, "needs 2 signers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWaiving(t)
			w.push(pusher, "acme/app", "v1", "one")
			doc := w.waiver("W-1")
			if c.edit != nil {
				c.edit(doc)
			}
			k := w.security
			if c.key != nil {
				k = c.key(w)
			}
			r := w.carry("acme/app", doc, k, "")
			want(t, "the image", w.get(puller, "acme/app", "v1"), denied)
			if text := strings.Join(r.Warnings, "\n"); c.note != "" && !strings.Contains(text, c.note) || c.note == "" && text != "" {
				t.Errorf("told %q, want %q", text, c.note)
			}
			w.start()
			want(t, "after a restart", w.get(puller, "acme/app", "v1"), denied)
		})
	}
}

func TestWaiverOfAnAuthorityCountsWhereItSpeaks(t *testing.T) {
	w := newWaiving(t)
	narrow := newKey(t)
	if err := w.a.SetAuthorities(w.ctx, append(w.opts.Authorities, narrow.authority("team", "acme/team/**"))); err != nil {
		t.Fatal(err)
	}
	if err := w.a.SetWaivers(w.ctx, waiverkeep.Rules{Authorities: []string{"team"}}); err != nil {
		t.Fatal(err)
	}
	w.push(pusher, "acme/app", "v1", "one")
	i := w.push(pusher, "acme/team/app", "v1", "two")
	w.carry("acme/app", w.waiver("W-1", func(d *waiver.Waiver) { d.Match.Repositories = store.Globs{"acme/**"} }), narrow, "")
	want(t, "outside", w.get(puller, "acme/app", "v1"), denied)
	want(t, "inside", w.get(puller, "acme/team/app", "v1"), string(i.desc.Digest))
}

func TestWaiverForAllRepositoriesNeedsTwoSigners(t *testing.T) {
	w := newWaiving(t)
	i := w.push(pusher, "acme/app", "v1", "one")
	doc := w.waiver("W-1", func(d *waiver.Waiver) { d.Match.Repositories = store.Globs{"**"} })
	w.carry("acme/app", doc, w.security, "")
	w.carry("acme/other", doc, w.security, "") // the same signer again
	want(t, "one signer", w.get(puller, "acme/app", "v1"), denied)
	twin := w.waiver("W-1", func(d *waiver.Waiver) {
		d.Match.Repositories = store.Globs{"**"}
		d.Reason = "another document of the same id"
	})
	w.carry("acme/app", twin, w.second, "")
	want(t, "two documents of one signer each", w.get(puller, "acme/app", "v1"), denied)
	w.carry("acme/app", doc, w.second, "")
	want(t, "two signers", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
	if _, err := w.a.RevokeTrust(w.ctx, admin, trust.Distrust{Authority: "second", Kind: trust.RevokedKey, Value: w.second.public.ID}); err != nil {
		t.Fatal(err)
	}
	want(t, "one of them revoked", w.get(puller, "acme/app", "v1"), denied)
}

// Whoever has a copy of a signed waiver can wrap it anew as often as they like: that keeps no second signer out.
func TestWaiverCopiesKeepNoSignerOut(t *testing.T) {
	w := newWaiving(t)
	i := w.push(pusher, "acme/app", "v1", "one")
	doc := w.waiver("W-1", func(d *waiver.Waiver) { d.Match.Repositories = store.Globs{"**"} })
	carrier, _, _ := doc.Carrier()
	statement := w.json(map[string]any{"_type": "https://in-toto.io/Statement/v1", "predicateType": verify.PredicateWaiver, "predicate": json.RawMessage(doc.Document()),
		"subject": []any{map[string]any{"digest": map[string]string{string(carrier.Digest.Algorithm()): carrier.Digest.Encoded()}}}})
	envelope := w.json(map[string]any{"payloadType": verify.TypeInToto, "payload": base64.StdEncoding.EncodeToString(statement),
		"signatures": []any{map[string]string{"sig": w.security.signature(t, verify.PAE(verify.TypeInToto, statement))}}})
	for range 12 {
		envelope = append(envelope, ' ')
		layer := w.blob(signer, "acme/app", envelope)
		layer.MediaType = verify.TypeDSSE
		config := w.blob(signer, "acme/app", []byte("{}"))
		config.MediaType = ocispec.MediaTypeEmptyJSON
		copied := w.json(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: verify.TypeInToto, Config: config,
			Layers: []ocispec.Descriptor{layer}, Subject: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: carrier.Digest, Size: 500}})
		if _, err := w.put(signer, "acme/app", "", ocispec.MediaTypeImageManifest, copied); err != nil {
			t.Fatal(err)
		}
	}
	w.carry("acme/app", doc, w.second, "")
	want(t, "two signers", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
}

func TestWaiverSignedTwiceByOneKeyUnderTwoNames(t *testing.T) {
	w := newWaiving(t, func(o *policy.Options) {
		for i := range o.Authorities {
			if o.Authorities[i].Name == "second" {
				o.Authorities[i].Keys = o.Authorities[i-1].Keys // the key of security
			}
		}
	})
	w.push(pusher, "acme/app", "v1", "one")
	w.carry("acme/app", w.waiver("W-1", func(d *waiver.Waiver) { d.Match.Repositories = store.Globs{"**"} }), w.security, "")
	want(t, "one key under two names", w.get(puller, "acme/app", "v1"), denied)
}

// TestB38_OverlappingWaiversDoNotWiden: two waivers that overlap reach what each reaches by itself.
func TestB38_OverlappingWaiversDoNotWiden(t *testing.T) {
	w := newWaiving(t)
	set := compile(t, signedPolicy(), func() engine.Policy {
		p := builtin("sbom")
		return p
	}())
	if err := w.a.SetEngine(w.ctx, set); err != nil {
		t.Fatal(err)
	}
	one, two := w.push(pusher, "acme/app", "v1", "one"), w.push(pusher, "acme/other", "v1", "two")
	codes := map[string]bool{}
	for _, r := range w.explain("acme/app", "v1").Decision.Deny {
		codes[r.Code] = true
	}
	if !codes["signature.missing"] || !codes["sbom.missing"] {
		t.Fatalf("denied for %v", codes)
	}
	// The one: this code in this repository. The other: that code, for that digest, in both.
	w.carry("acme/app", w.waiver("W-1"), w.security, "")
	w.carry("acme/app", w.waiver("W-2", func(d *waiver.Waiver) {
		d.Codes = []string{"sbom.missing"}
		d.Match = waiver.Match{Repositories: store.Globs{"acme/app", "acme/other"}, Digests: []store.Digest{two.desc.Digest}}
	}), w.security, "")
	want(t, "neither waives the SBOM of this image", w.get(puller, "acme/app", "v1"), denied)
	want(t, "neither waives the signature there", w.get(puller, "acme/other", "v1"), denied)
	copied := w.push(pusher, "acme/app", "copy", "two")
	want(t, "both together, each for what it names", w.get(puller, "acme/app", "copy"), string(copied.desc.Digest))
	// An expiry is not lent either: the image is admitted until the first of two that it needs ends.
	w.carry("acme/app", w.waiver("W-3", func(d *waiver.Waiver) {
		d.Codes, d.Match.Digests, d.Expires = []string{"sbom.missing"}, []store.Digest{one.desc.Digest}, d.NotBefore.Add(2*time.Hour)
	}), w.security, "")
	want(t, "until the first ends", w.get(puller, "acme/app", "v1"), string(one.desc.Digest))
	w.clock.advance(2 * time.Hour)
	want(t, "the first ended", w.get(puller, "acme/app", "v1"), denied)
}

func TestWaiverBeginsByItself(t *testing.T) {
	w := newWaiving(t)
	i := w.push(pusher, "acme/app", "v1", "one")
	w.carry("acme/app", w.waiver("W-1", func(d *waiver.Waiver) { d.NotBefore = d.NotBefore.Add(time.Hour) }), w.security, "")
	want(t, "early", w.get(puller, "acme/app", "v1"), denied)
	w.clock.advance(time.Hour)
	want(t, "begun", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
}

func TestWaiverRevokedForGood(t *testing.T) {
	w := newWaiving(t)
	i := w.push(pusher, "acme/app", "v1", "one")
	doc := w.waiver("W-1")
	w.carry("acme/app", doc, w.security, "")
	want(t, "waived", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
	if _, err := w.a.RevokeWaiver(w.ctx, pusher, "W-1", ""); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("a pusher: %v", err)
	}
	if _, err := w.a.RevokeWaiver(w.ctx, admin, "W-1", "a mistake"); err != nil {
		t.Fatal(err)
	}
	want(t, "revoked", w.get(puller, "acme/app", "v1"), denied)
	if again, err := w.a.RevokeWaiver(w.ctx, admin, "W-1", "another reason"); err != nil || again.Reason != "a mistake" {
		t.Errorf("again: %+v, %v", again, err)
	}
	if r := w.carry("acme/other", doc, w.security, i.desc.Digest); len(r.Warnings) == 0 || !strings.Contains(r.Warnings[0], "revoked") {
		t.Errorf("pushed again: %q", r.Warnings)
	}
	want(t, "pushed again", w.get(puller, "acme/app", "v1"), denied)
	w.start()
	want(t, "after a restart", w.get(puller, "acme/app", "v1"), denied)
	want(t, "its state", string(w.state("W-1")), string(waiverkeep.Revoked))
	// An id that nobody knows yet.
	if _, err := w.a.RevokeWaiver(w.ctx, admin, "W-2", ""); err != nil {
		t.Fatal(err)
	}
	w.carry("acme/app", w.waiver("W-2"), w.security, "")
	want(t, "revoked beforehand", w.get(puller, "acme/app", "v1"), denied)
	records, err := w.a.Audit(w.ctx, admin, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, r := range records.Items {
		if r.Action == "waiver" || r.Action == "refuse" {
			said = append(said, r.Actor+": "+r.Reason)
		}
	}
	for _, text := range []string{"signer: W-1 waives signature.missing until", "root: waiver W-1 revoked: a mistake", "root: waiver W-2 revoked", "ci: "} {
		if !strings.Contains(strings.Join(said, "\n"), text) {
			t.Errorf("the audit has %q and not %q", said, text)
		}
	}
}

func TestWaiverEndsWithTheAuthorityThatSignedIt(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*waiving) error
	}{
		{"the key is revoked", func(w *waiving) error {
			_, err := w.a.RevokeTrust(w.ctx, admin, trust.Distrust{Authority: "security", Kind: trust.RevokedKey, Value: w.security.public.ID})
			return err
		}},
		{"it signs no waivers any more", func(w *waiving) error {
			return w.a.SetWaivers(w.ctx, waiverkeep.Rules{Authorities: []string{"second"}})
		}},
		{"waivers last shorter", func(w *waiving) error {
			return w.a.SetWaivers(w.ctx, waiverkeep.Rules{Authorities: []string{"security"}, Max: time.Hour})
		}},
		{"a restart with another configuration", func(w *waiving) error {
			w.opts.Waivers = waiverkeep.Rules{}
			w.start()
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWaiving(t)
			i := w.push(pusher, "acme/app", "v1", "one")
			w.carry("acme/app", w.waiver("W-1"), w.security, "")
			want(t, "waived", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
			if err := c.end(w); err != nil {
				t.Fatal(err)
			}
			want(t, "no longer", w.get(puller, "acme/app", "v1"), denied)
		})
	}
}

func TestWaiverIsNotForWhatIsRevoked(t *testing.T) {
	w := newWaiving(t)
	i := w.push(pusher, "acme/app", "v1", "one")
	w.carry("acme/app", w.waiver("W-1", func(d *waiver.Waiver) { d.Codes = []string{"*"} }), w.security, "")
	want(t, "break glass", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
	if _, err := w.a.Revoke(w.ctx, admin, trust.Revocation{Digest: i.desc.Digest, Repository: "**", Reason: "malware"}); err != nil {
		t.Fatal(err)
	}
	want(t, "revoked", w.get(puller, "acme/app", "v1"), denied)
}

func TestBreakGlassIsLoud(t *testing.T) {
	w := newWaiving(t)
	i := w.push(pusher, "acme/app", "v1", "one")
	doc := w.waiver("GLASS", func(d *waiver.Waiver) { d.Codes, d.Reason = []string{"*"}, "production is down" })
	w.carry("acme/app", doc, w.security, "")
	m, err := w.as(puller).Manifest(w.ctx, "acme/app", store.Reference{Tag: "v1"})
	if err != nil || m.Digest != i.desc.Digest {
		t.Fatal(m, err)
	}
	if len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0], "break glass GLASS by alice until") || !strings.Contains(m.Warnings[0], "production is down") {
		t.Errorf("warned %q", m.Warnings)
	}
	if _, glass, verdicts := w.a.WaiverCounts(); glass != 1 || verdicts != 1 {
		t.Errorf("%d break glass, %d verdicts", glass, verdicts)
	}
	records, err := w.a.Audit(w.ctx, admin, "", 1000)
	if err != nil || !slices.ContainsFunc(records.Items, func(r policy.AuditRecord) bool {
		return r.Digest == i.desc.Digest && r.To == store.StateAdmitted && r.Reason == "break glass GLASS"
	}) {
		t.Errorf("the audit has %+v, %v", records.Items, err)
	}
	w.clock.advance(24 * time.Hour)
	want(t, "a day later", w.get(puller, "acme/app", "v1"), denied)
}

// TestWaiverPendingSurvivesACrash: evidence was committed, and the waiver in it was not taken.
func TestWaiverPendingSurvivesACrash(t *testing.T) {
	w := newWaiving(t)
	i := w.push(pusher, "acme/app", "v1", "one")
	doc := w.waiver("W-1")
	w.opts.Waivers = waiverkeep.Rules{} // so that the push takes nothing
	w.start()
	r := w.carry("acme/app", doc, w.security, "")
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "waivers.authorities") {
		t.Errorf("told %q", r.Warnings)
	}
	if err := w.local.PutDoc(w.ctx, "waiver-pending", "acme/app@"+string(r.Descriptor.Digest), []byte("signer")); err != nil {
		t.Fatal(err)
	}
	w.opts.Waivers = waiverkeep.Rules{Authorities: []string{"security"}}
	w.start()
	if err := w.a.Catchup(w.ctx); err != nil {
		t.Fatal(err)
	}
	want(t, "taken at the next start", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
}

func TestWaiveByHandIsWaiveLive(t *testing.T) {
	w := newWaiving(t)
	w.push(pusher, "acme/app", "v1", "one")
	w.carry("acme/app", w.waiver("W-1"), w.security, "")
	e := w.explain("acme/app", "v1")
	record, err := w.a.Decision(w.ctx, admin, e.Decision.ID)
	if err != nil {
		t.Fatal(err)
	}
	document, err := record.Input.JSON()
	if err != nil {
		t.Fatal(err)
	}
	d, err := engine.Eval(w.ctx, compile(t, signedPolicy()), document)
	if err != nil || !d.Allow || len(d.Waived) != 1 || d.Waived[0].Waiver != "W-1" {
		t.Errorf("%+v, %v", d, err)
	}
	record.Input.Waivers[0].Verified = false
	if document, err = record.Input.JSON(); err != nil {
		t.Fatal(err)
	}
	if d, err = engine.Eval(w.ctx, compile(t, signedPolicy()), document); err != nil || d.Allow {
		t.Errorf("an unverified one: %+v, %v", d, err)
	}
}

func TestScannersPushNoWaivers(t *testing.T) {
	w := newWaiving(t)
	i := w.push(pusher, "acme/app", "v1", "one")
	m := w.attest("acme/app", verify.PredicateWaiver, w.waiver("W-1").Document(), w.security, i.desc.Digest)
	if _, err := w.put(scanner, "acme/app", "", ocispec.MediaTypeImageManifest, m); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("a scanner: %v", err)
	}
	want(t, "the image", w.get(puller, "acme/app", "v1"), denied)
}

// TestWaiverOutlivesItsEvidence: it counts by its signature, not by where it lies; only its end and its revocation end it.
func TestWaiverOutlivesItsEvidence(t *testing.T) {
	w := newWaiving(t)
	i := w.push(pusher, "acme/app", "v1", "one")
	r := w.carry("acme/app", w.waiver("W-1"), w.security, "")
	w.delete(admin, "acme/app", string(r.Descriptor.Digest))
	w.start()
	want(t, "the image", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
}

func TestWaiversAreForgottenLongAfterTheirEnd(t *testing.T) {
	w := newWaiving(t)
	w.push(pusher, "acme/app", "v1", "one")
	w.carry("acme/app", w.waiver("W-1"), w.security, "")
	w.clock.advance(89 * 24 * time.Hour)
	if err := w.a.Housekeep(w.ctx); err != nil {
		t.Fatal(err)
	}
	want(t, "remembered", string(w.state("W-1")), string(waiverkeep.Expired))
	w.clock.advance(4 * 24 * time.Hour)
	if err := w.a.Housekeep(w.ctx); err != nil {
		t.Fatal(err)
	}
	want(t, "forgotten", string(w.state("W-1")), string(store.CodeNotFound))
}

// TestWaiverOfATagRule: the tag entry point is waived like any other.
func TestWaiverOfATagRule(t *testing.T) {
	w := newWaiving(t, func(o *policy.Options) {
		o.Engine = compile(t, builtin("open"), engine.Policy{Name: "frozen", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: map[string]string{"frozen.rego": `package assay

tag.deny contains {"code": "tag.frozen", "msg": "no tag moves today"} if input.subject.tag != ""
`}})
	})
	i := w.push(pusher, "acme/app", "v1", "one")
	want(t, "frozen", w.get(puller, "acme/app", "v1"), denied)
	w.carry("acme/app", w.waiver("W-1", func(d *waiver.Waiver) {
		d.Codes, d.Match.Digests = []string{"tag.frozen"}, []store.Digest{i.desc.Digest}
	}), w.security, "")
	want(t, "waived", w.get(puller, "acme/app", "v1"), string(i.desc.Digest))
	w.clock.advance(24 * time.Hour)
	want(t, "expired", w.get(puller, "acme/app", "v1"), denied)
}

func FuzzParseWaiver(f *testing.F) {
	f.Add([]byte(`{"id":"W-1","codes":["signature.missing"],"match":{"repositories":["acme/**"]},"reason":"r","approver":"a","expires":"2027-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"id":"G","codes":["*"],"match":{"repositories":["a"]},"reason":"r","approver":"a","not_before":"2027-01-01T00:00:00Z","expires":"2027-01-02T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := waiver.Parse(b)
		if err != nil {
			return
		}
		again, err := waiver.Parse(w.Document())
		if err != nil || string(again.Document()) != string(w.Document()) {
			t.Errorf("%s is read again as %v, %v", w.Document(), again, err)
		}
		if w.BreakGlass() && w.Expires.Sub(w.NotBefore) > waiver.MaxBreakGlass {
			t.Errorf("%s lasts too long", w.Document())
		}
	})
}
