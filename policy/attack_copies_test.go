package policy_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// crowding is more copies than places.
const crowding = 70

// copies pushes manifests that carry a genuine layer once more, as anybody can who may read and push.
func (k *kit) copies(m ocispec.Manifest, d store.Digest, suffix referrers.Suffix, n int) {
	k.t.Helper()
	for j := range n {
		m.Annotations = map[string]string{"copy": fmt.Sprint(j)}
		k.mustPut(pusher, app, referrers.TagOf(d, suffix).String(), m)
	}
}

// Copies of one signer's signature do not crowd out another's of the same authority.
func TestAttackCopiesOfASignatureCrowdNobodyOut(t *testing.T) {
	k := newKit(t)
	second := newKey(t)
	release := k.key.authority("release", "acme/**")
	release.Keys = append(release.Keys, second.public)
	k.opts.Authorities = []verify.Authority{release}
	k.opts.Engine = compile(t, signedPolicy(func(p *engine.Policy) { p.Params = map[string]any{"threshold": 2} }))
	k.start()
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, second)
	m := k.signature(signer, app, i.desc.Digest, k.key, app)
	k.mustPut(signer, app, sigTag(i.desc.Digest), m)
	want(t, "signed by two", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.copies(m, i.desc.Digest, referrers.SuffixSig, crowding)
	want(t, "and copied by a third", k.get(puller, app, "v1"), string(i.desc.Digest))
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
	if err != nil || e.EvidenceKept > 64+2 {
		t.Errorf("%d pieces of evidence are kept as facts, want 64 copies at most and two originals (%v)", e.EvidenceKept, err)
	}
}

// scanned refuses what any verified scan calls bad.
const scanned = `package assay

admit.deny contains {"code": "scan.failed", "msg": "a scan failed"} if {
	some a in input.attestations
	a.verified
	assay.predicate(a.evidence, a.layer).value.result == "bad"
}
`

// scan makes a signed statement about a digest; indent makes other bytes around the same statement.
func (k *kit) scan(d store.Digest, result, indent string) ocispec.Manifest {
	k.t.Helper()
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":%q}}],"predicateType":"https://example.com/scan","predicate":{"result":%q}}`,
		d.Encoded(), result)
	envelope := fmt.Appendf(nil, `{%s"payloadType":%q,"payload":%q,"signatures":[{"sig":%q}]}`, indent, verify.TypeInToto, base64.StdEncoding.EncodeToString(statement),
		k.key.signature(k.t, verify.PAE(verify.TypeInToto, statement)))
	layer := k.blob(signer, app, envelope)
	layer.MediaType = verify.TypeDSSE
	layer.Annotations = map[string]string{"predicateType": "https://example.com/scan"}
	config := k.blob(signer, app, fmt.Appendf(nil, `{"architecture":"","config":{},"os":"","rootfs":{"type":"layers","diff_ids":["%s"]}}`, layer.Digest))
	config.MediaType = ocispec.MediaTypeImageConfig
	return ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer}}
}

// An old statement, attached again and again in whatever wrapping, does not make the registry forget a newer one that denies.
func TestAttackReplayedStatementsHideNoDenial(t *testing.T) {
	for _, how := range []string{"copied", "wrapped anew"} {
		t.Run(how, func(t *testing.T) {
			k := newKit(t, func(o *policy.Options) {
				o.Engine = compile(t, builtin("open"), engine.Policy{Name: "scanned", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: map[string]string{"p.rego": scanned}})
			})
			i := k.push(pusher, app, "v1", "one")
			good := k.scan(i.desc.Digest, "good", "")
			tag := referrers.TagOf(i.desc.Digest, referrers.SuffixAtt).String()
			k.mustPut(signer, app, tag, good)
			want(t, "a good scan", k.get(puller, app, "v1"), string(i.desc.Digest))
			k.mustPut(signer, app, tag, k.scan(i.desc.Digest, "bad", ""))
			want(t, "then a bad one", k.get(puller, app, "v1"), denied)
			if how == "copied" {
				k.copies(good, i.desc.Digest, referrers.SuffixAtt, crowding)
			} else {
				for j := range crowding {
					k.mustPut(pusher, app, tag, k.scan(i.desc.Digest, "good", fmt.Sprintf("%*s", j+1, "")))
				}
			}
			want(t, "then the good one again", k.get(puller, app, "v1"), denied)
		})
	}
}

// A copy takes the place of an original that is gone, and outlives nothing that ends both.
func TestACopyCountsWhereItsOriginalIsGone(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	m := k.signature(signer, app, i.desc.Digest, k.key, app)
	m.Config = k.blob(signer, app, []byte("{}"))
	m.Config.MediaType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	first := k.mustPut(signer, app, "", withSubject(m, i.desc, "first"))
	k.mustPut(signer, app, "", withSubject(m, i.desc, "second"))
	want(t, "signed", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.delete(admin, app, string(first.Digest))
	want(t, "the original deleted", k.get(puller, app, "v1"), string(i.desc.Digest))
	if _, err := k.a.RevokeTrust(k.ctx, admin, trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: k.key.public.ID}); err != nil {
		t.Fatal(err)
	}
	want(t, "the key revoked", k.get(puller, app, "v1"), denied)
}

func withSubject(m ocispec.Manifest, d ocispec.Descriptor, note string) ocispec.Manifest {
	m.Subject, m.ArtifactType = &d, "application/vnd.dev.cosign.artifact.sig.v1+json"
	m.Annotations = map[string]string{"note": note}
	return m
}

// stamping has a trusted clock see each piece of evidence when its layer says.
type stamping struct{ verify.Verifier }

func (s *stamping) Verify(ctx context.Context, subject verify.Subject, es []verify.Evidence, as []verify.Authority) (*verify.Report, error) {
	r, err := s.Verifier.Verify(ctx, subject, es, as)
	for i := range es {
		for _, l := range es[i].Layers {
			at, wrong := time.Parse(time.RFC3339, l.Annotations["seen"])
			for j := range r.Facts {
				if f := &r.Facts[j]; wrong == nil && f.Evidence == es[i].Manifest.Digest {
					f.SignedAt, f.TimeSource = at, verify.TimeTSA
				}
			}
		}
	}
	return r, err
}

// Timestamping authorities stamp whatever they are given: an old statement with a new timestamp is no newer statement.
func TestAttackAnOldStatementStampedAnewIsNoNewer(t *testing.T) {
	const newest = "package assay\n\nadmit.deny contains {\"code\": \"scan.new\", \"msg\": \"stamped anew\"} if {\n\tsome a in input.attestations\n\ta.verified\n\ta.signed_at != \"2026-11-19T00:00:00Z\"\n}\n"
	for _, order := range [][]string{{"2026-11-19", "2026-11-20"}, {"2026-11-20", "2026-11-19"}} {
		k := newKit(t, func(o *policy.Options) {
			o.Verifier = &stamping{o.Verifier}
			o.Engine = compile(t, builtin("open"), engine.Policy{Name: "newest", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: map[string]string{"p.rego": newest}})
		})
		i := k.push(pusher, app, "v1", "one")
		scan := k.scan(i.desc.Digest, "good", "")
		for n, day := range order {
			scan.Layers[0].Annotations = map[string]string{"seen": day + "T00:00:00Z"}
			scan.Annotations = map[string]string{"copy": fmt.Sprint(n)}
			k.mustPut(pusher, app, referrers.TagOf(i.desc.Digest, referrers.SuffixAtt).String(), scan)
		}
		want(t, strings.Join(order, ", then "), k.get(puller, app, "v1"), string(i.desc.Digest))
	}
}
