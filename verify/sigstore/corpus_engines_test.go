package sigstore

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/estate"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	engine "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// The engines are asked as a careful user of each would: with the authority's trust, identity and profile, and nothing of this package's own.

// asked runs an engine; a panic is an answer too.
func asked(fn func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	return fn()
}

func hashOf(s sample) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: s.subject.Descriptor.Digest.Encoded()}
}

// trusted is the authority's trusted root as sigstore-go reads it; one without any where there is none.
func (s sample) trusted() (root.TrustedMaterial, error) {
	if s.authority.TrustedRoot == "" {
		return &root.BaseTrustedMaterial{}, nil
	}
	return root.NewTrustedRootFromJSON([]byte(s.authority.TrustedRoot))
}

func (s sample) verifier() (signature.Verifier, error) {
	if s.authority.Kind != verify.KindKey {
		return nil, nil
	}
	block, _ := pem.Decode([]byte(s.authority.Keys[0].PEM))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return signature.LoadVerifier(public, crypto.SHA256)
}

// pattern is a glob of the corpus as a regular expression.
func pattern(i verify.Identity) string {
	if i.SubjectRegexp != "" {
		return i.SubjectRegexp
	}
	return "^" + strings.ReplaceAll(i.Subject, "**", ".*") + "$"
}

// askCosign asks cosign/v2 by its singular functions.
func askCosign(s sample) error {
	material, err := s.trusted()
	if err != nil {
		return err
	}
	signer, err := s.verifier()
	if err != nil {
		return err
	}
	wants := s.authority.Wants()
	co := &cosign.CheckOpts{
		Offline: true, MaxWorkers: 1, TrustedMaterial: material, SigVerifier: signer, IgnoreTlog: wants.Tlog == 0, IgnoreSCT: wants.SCT == 0,
		UseSignedTimestamps: wants.Timestamps > 0 && (wants.Tlog == 0 || hasStamp(s.layer)),
	}
	for _, i := range s.authority.Identities {
		co.Identities = append(co.Identities, cosign.Identity{Issuer: i.Issuer, SubjectRegExp: pattern(i)})
	}
	if strings.HasPrefix(s.layer.MediaType, "application/vnd.dev.sigstore.bundle") {
		var b bundle.Bundle
		if err := b.UnmarshalJSON(s.layer.Bytes); err != nil {
			return err
		}
		sum, err := hex.DecodeString(s.subject.Descriptor.Digest.Encoded())
		if err != nil {
			return err
		}
		co.NewBundleFormat = true
		_, err = cosign.VerifyNewBundle(context.Background(), co, engine.WithArtifactDigest("sha256", sum), &b)
		return err
	}
	layer, err := cosignLayer(s.layer)
	if err != nil {
		return err
	}
	if s.layer.MediaType == verify.TypeDSSE {
		co.ClaimVerifier = cosign.IntotoSubjectClaimVerifier
		_, err = cosign.VerifyBlobAttestation(context.Background(), layer, hashOf(s), co)
	} else {
		co.ClaimVerifier = cosign.SimpleClaimVerifier
		_, err = cosign.VerifyImageSignature(context.Background(), layer, hashOf(s), co)
	}
	return err
}

// hasStamp reports whether a timestamp came along: cosign users choose their flags by that.
func hasStamp(l verify.Layer) bool {
	return l.Annotations[estate.AnnotationTimestamp] != "" || bytes.Contains(l.Bytes, []byte("rfc3161Timestamps"))
}

// cosignLayer reads the annotations as cosign's own client of a registry does.
func cosignLayer(l verify.Layer) (oci.Signature, error) {
	options := []static.Option{static.WithLayerMediaType(types.MediaType(l.MediaType))}
	if text := l.Annotations[estate.AnnotationBundle]; text != "" {
		var b cosignbundle.RekorBundle
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			return nil, err
		}
		options = append(options, static.WithBundle(&b))
	}
	if text := l.Annotations[estate.AnnotationTimestamp]; text != "" {
		var b cosignbundle.RFC3161Timestamp
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			return nil, err
		}
		options = append(options, static.WithRFC3161Timestamp(&b))
	}
	if text := l.Annotations[verify.AnnotationCertificate]; text != "" {
		options = append(options, static.WithCertChain([]byte(text), []byte(l.Annotations[estate.AnnotationChain])))
	}
	return static.NewSignature(l.Bytes, l.Annotations[verify.AnnotationSignature], options...)
}

// askSigstoreGo asks sigstore-go. A layer of cosign's is first written as a bundle of version 0.1, which loses nothing.
func askSigstoreGo(s sample) error {
	var b bundle.Bundle
	artifact := engine.WithArtifact(bytes.NewReader(s.layer.Bytes))
	if strings.HasPrefix(s.layer.MediaType, "application/vnd.dev.sigstore.bundle") {
		if err := b.UnmarshalJSON(s.layer.Bytes); err != nil {
			return err
		}
	} else {
		converted, err := asBundle(s.layer)
		if err != nil {
			return err
		}
		whole, err := bundle.NewBundle(converted)
		if err != nil {
			return err
		}
		b = *whole
	}
	if s.layer.MediaType != verify.TypeSimpleSigning {
		sum, err := hex.DecodeString(s.subject.Descriptor.Digest.Encoded())
		if err != nil {
			return err
		}
		artifact = engine.WithArtifactDigest("sha256", sum)
	} else if !bytes.Contains(s.layer.Bytes, []byte(`"`+s.subject.Descriptor.Digest+`"`)) {
		return errors.New("the payload names another digest")
	}
	material, err := s.trusted()
	if err != nil {
		return err
	}
	policy := []engine.PolicyOption{}
	signer, err := s.verifier()
	if err != nil {
		return err
	}
	if signer != nil {
		k := s.authority.Keys[0]
		material = &root.TrustedMaterialCollection{material, root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
			return root.NewExpiringKey(signer, k.NotBefore, k.NotAfter), nil
		})}
		policy = append(policy, engine.WithKey())
	}
	for _, i := range s.authority.Identities {
		who, err := engine.NewShortCertificateIdentity(i.Issuer, "", "", pattern(i))
		if err != nil {
			return err
		}
		policy = append(policy, engine.WithCertificateIdentity(who))
	}
	v, err := engine.NewVerifier(material, profileOptions(s)...)
	if err != nil {
		return err
	}
	_, err = v.Verify(&b, engine.NewPolicy(artifact, policy...))
	return err
}

func profileOptions(s sample) []engine.VerifierOption {
	wants := s.authority.Wants()
	var options []engine.VerifierOption
	if wants.Tlog > 0 {
		options = append(options, engine.WithTransparencyLog(wants.Tlog))
	}
	switch {
	case wants.Timestamps > 0 && wants.Tlog > 0:
		options = append(options, engine.WithObserverTimestamps(wants.Timestamps))
	case wants.Timestamps > 0:
		options = append(options, engine.WithSignedTimestamps(wants.Timestamps))
	case s.authority.Kind == verify.KindKey:
		options = append(options, engine.WithNoObserverTimestamps())
	default:
		options = append(options, engine.WithObserverTimestamps(1)) // a certificate needs a time
	}
	if wants.SCT > 0 && s.authority.Kind == verify.KindSigstore {
		options = append(options, engine.WithSignedCertificateTimestamps(wants.SCT))
	}
	return options
}

// asBundle writes a layer of cosign's as a bundle.
func asBundle(l verify.Layer) (*protobundle.Bundle, error) {
	material := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}}}
	if text := l.Annotations[verify.AnnotationCertificate]; text != "" {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, errors.New("the certificate is not PEM")
		}
		material.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: &protocommon.X509CertificateChain{
			Certificates: []*protocommon.X509Certificate{{RawBytes: block.Bytes}}}}
	}
	if text := l.Annotations[estate.AnnotationBundle]; text != "" {
		entry, err := asEntry(text)
		if err != nil {
			return nil, err
		}
		material.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	}
	if text := l.Annotations[estate.AnnotationTimestamp]; text != "" {
		var b cosignbundle.RFC3161Timestamp
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			return nil, err
		}
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: b.SignedRFC3161Timestamp}}}
	}
	b := &protobundle.Bundle{MediaType: estate.BundleType("0.1"), VerificationMaterial: material}
	if l.MediaType == verify.TypeDSSE {
		var e struct {
			PayloadType string
			Payload     []byte
			Signatures  []struct{ Sig []byte }
		}
		if err := json.Unmarshal(l.Bytes, &e); err != nil {
			return nil, err
		}
		envelope := &protodsse.Envelope{PayloadType: e.PayloadType, Payload: e.Payload}
		for _, s := range e.Signatures {
			envelope.Signatures = append(envelope.Signatures, &protodsse.Signature{Sig: s.Sig})
		}
		b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: envelope}
		return b, nil
	}
	sig, err := base64.StdEncoding.DecodeString(l.Annotations[verify.AnnotationSignature])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(l.Bytes)
	b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]}, Signature: sig}}
	return b, nil
}

func asEntry(text string) (*protorekor.TransparencyLogEntry, error) {
	var b struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body                     []byte
			IntegratedTime, LogIndex int64
			LogID                    string
		}
	}
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		return nil, err
	}
	var kind struct{ Kind, APIVersion string }
	if err := json.Unmarshal(b.Payload.Body, &kind); err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(b.Payload.LogID)
	if err != nil {
		return nil, err
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex: b.Payload.LogIndex, LogId: &protocommon.LogId{KeyId: id}, KindVersion: &protorekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion},
		IntegratedTime: b.Payload.IntegratedTime, CanonicalizedBody: b.Payload.Body, InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: b.SignedEntryTimestamp},
	}, nil
}

// difference is where an engine says something else than this package, and why that is right.
type difference struct {
	engine    string // "cosign" or "sigstore-go"
	row, name string // a row, and what the name has in it
	accepts   bool   // what the engine does
	reason    string
}

func differences() []difference {
	const (
		noRepository = "an engine knows digests and no repositories: what a reference names, and for which repositories an authority speaks, is compared here"
		noRevocation = "an engine has no lists of what counts no more"
		unanchored   = "an engine's expressions match any part of an identity"
		one          = "cosign asks for one entry, one stamp and one certificate timestamp, whatever the profile says"
		whole        = "cosign stamps the whole envelope of an attestation in a layer of its own, and sigstore-go looks for a stamp of the signature"
		beside       = "a certificate beside a key's signature is nobody's statement: the trusted key made the signature, and where a log is asked for, its entry names that key"
	)
	both := func(row, name string, accepts bool, reason string) []difference {
		return []difference{{"cosign", row, name, accepts, reason}, {"sigstore-go", row, name, accepts, reason}}
	}
	return slices.Concat(
		both("other repository", "tag signature", true, noRepository),
		both("same digest in another repository", "", true, noRepository),
		both("revoked", "", true, noRevocation),
		both("unanchored identity", "", true, unanchored),
		both("certificate and key differ", "the key is trusted", false, beside),
		both("kind of entry", "dsse/0.0.2", false, "the libraries dropped that kind; it is in the logs, and proven by second_tiles.go"),
		[]difference{
			{"cosign", "key outside its validity", "", true, "cosign's keys have no window"},
			{"cosign", "threshold", "twice", true, one},
			{"sigstore-go", "matrix", ", tag attestation, stamp", false, whole},
			{"sigstore-go", "matrix", ", tag attestation, log 1 and stamp", false, whole},
			{"sigstore-go", "kind of entry", "tag attestation, intoto/0.0.1", false, "sigstore-go does not read that kind: cosign proves it, see second.go"},
			{"sigstore-go", "expired certificate", "stamped in time, tag attestation", false, whole},
		})
}

// panics are the rows in which cosign dereferences what is not there: a body that is no string, and a stamp of which nothing verifies. It is called behind recover, for what
// was read strictly before, and never for these.
func panics() []string { return []string{"body is a number", "garbage", "expired certificate"} }

// compare asks both engines about samples. They agree with this package but for the known differences; it answers which of those it met.
func compare(t *testing.T, samples []sample) map[difference]bool {
	t.Helper()
	met := map[difference]bool{}
	engines := map[string]func(sample) error{"cosign": askCosign, "sigstore-go": askSigstoreGo}
	for _, s := range samples {
		f := one(t, s.subject, s.layer, s.authority)
		want(t, f, s.code)
		for name, ask := range engines {
			err := asked(func() error { return ask(s) })
			if err != nil && strings.HasPrefix(err.Error(), "panic") && (name != "cosign" || !slices.Contains(panics(), s.row)) {
				t.Errorf("%s: %s: %s: %v", s.row, s.name, name, err)
			}
			if (err == nil) == f.Verified {
				continue
			}
			known := false
			for _, d := range differences() {
				if d.engine == name && d.row == s.row && strings.Contains(s.name, d.name) && d.accepts == (err == nil) {
					met[d], known = true, true
				}
			}
			if !known {
				t.Errorf("%s: %s: this package says %q, %s says %v", s.row, s.name, f.Code, name, err)
			}
		}
	}
	return met
}

// Both engines are asked about the whole corpus, and each known difference occurs.
func TestEnginesAgree(t *testing.T) {
	met := compare(t, corpus())
	for _, d := range differences() {
		if !met[d] && d.row != "fixture" {
			t.Errorf("%s no longer differs in %q, %q: remove the line", d.engine, d.row, d.name)
		}
	}
}

// Both engines are asked about what others signed.
func TestEnginesAgreeOnFixtures(t *testing.T) {
	met := compare(t, fixtureSamples(t))
	for _, d := range differences() {
		if !met[d] && d.row == "fixture" {
			t.Errorf("%s no longer differs in %q: remove the line", d.engine, d.name)
		}
	}
}

// fixtureSamples are the shared fixtures under their own key or root, and under others.
func fixtureSamples(t *testing.T) []sample {
	t.Helper()
	var all []sample
	add := func(name string, subject verify.Subject, l verify.Layer, a verify.Authority, code verify.Code) {
		all = append(all, sample{row: "fixture", name: name, subject: subject, layer: l, authority: a, code: code})
	}
	const generator = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/**"
	for _, release := range []string{"slsa-1.10.0", "slsa-2.0.0"} {
		subject, l := provenance(t, release)
		add(release, subject, l, publicGood(t, verify.Identity{Issuer: actions, Subject: generator}), "")
		add(release+", another workflow", subject, l, publicGood(t, verify.Identity{Issuer: actions, Subject: "https://github.com/acme/**"}), verify.CodeIdentity)
		add(release+", another issuer", subject, l, publicGood(t, verify.Identity{Issuer: "https://gitlab.com", Subject: generator}), verify.CodeIdentity)
		add(release+", another image", app(), l, publicGood(t, verify.Identity{Issuer: actions, Subject: generator}), verify.CodeDigestMismatch)
		other := publicGood(t, verify.Identity{Issuer: actions, Subject: generator})
		other.TrustedRoot = newCorpus().e.TrustedRoot()
		add(release+", another root", subject, l, other, verify.CodeUntrustedRoot)
	}
	dir := fixtures(t, "signed-images/containers-image")
	for _, c := range []struct {
		folder, repository, key string
		code                    verify.Code
	}{
		{"dir-img-cosign-valid", "cosign-signed-single-sample", "cosign.pub", ""},
		{"dir-img-cosign-valid", "cosign-signed-single-sample", "cosign2.pub", verify.CodeUntrustedKey},
		{"dir-img-cosign-key-rekor-valid", "cosign-signed/key-1", "cosign2.pub", ""},
		{"dir-img-cosign-key-rekor-valid", "cosign-signed/key-1", "cosign.pub", verify.CodeUntrustedKey},
		{"dir-img-cosign-modified-manifest", "cosign-signed-single-sample", "cosign.pub", verify.CodeDigestMismatch},
	} {
		k, err := verify.ParseKeyPEM(mustRead(t, dir, c.key))
		if err != nil {
			t.Fatal(err)
		}
		subject, l := subjectOf(c.repository, mustRead(t, dir, c.folder, "manifest.json")), sigstoreJSON(t, mustRead(t, dir, c.folder, "signature-1"))
		a := verify.Authority{Name: "theirs", Kind: verify.KindKey, Keys: []verify.Key{k}, Repositories: store.Globs{"**"}}
		add(c.folder+" "+c.key, subject, l, a, c.code)
		if strings.Contains(c.folder, "rekor") {
			a.TrustedRoot, a.Profile = publicGood(t).TrustedRoot, &verify.Profile{Tlog: 1}
			add(c.folder+" "+c.key+", with log", subject, l, a, c.code)
		}
	}
	manifest := subjectOf("cosign-signed/fulcio-rekor-1", mustRead(t, dir, "dir-img-cosign-fulcio-rekor-valid", "manifest.json"))
	l := sigstoreJSON(t, mustRead(t, dir, "dir-img-cosign-fulcio-rekor-valid", "signature-1"))
	add("fulcio with rekor", manifest, l, publicGood(t, verify.Identity{Issuer: "https://github.com/login/oauth", Subject: "mitr@redhat.com"}), "")
	add("fulcio with rekor, another identity", manifest, l, publicGood(t, verify.Identity{Issuer: "https://github.com/login/oauth", Subject: "somebody@redhat.com"}), verify.CodeIdentity)
	return all
}
