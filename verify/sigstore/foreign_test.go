package sigstore

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// trustedRoot writes a trusted root of what an older client was given as PEM: Fulcio's chain, the intermediate first, and Rekor's key.
func trustedRoot(t *testing.T, chain []*x509.Certificate, rekor []byte) string {
	t.Helper()
	block, _ := pem.Decode(rekor)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(block.Bytes)
	begun := time.Date(2021, 1, 12, 0, 0, 0, 0, time.UTC)
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: chain[len(chain)-1], Intermediates: chain[:len(chain)-1], ValidityPeriodStart: begun}}, nil, nil,
		map[string]*root.TransparencyLog{hex.EncodeToString(id[:]): {ID: id[:], PublicKey: public, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256, ValidityPeriodStart: begun}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := trusted.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func foreignLayer(t *testing.T, dir, folder, repository string) (verify.Subject, verify.Layer) {
	t.Helper()
	return subjectOf(repository, mustRead(t, dir, folder, "manifest.json")), sigstoreJSON(t, mustRead(t, dir, folder, "signature-1"))
}

// A signature of early 2023 by an address, under Fulcio's chain and Rekor's key of that time, and under no other trust.
func TestForeignFulcioWithRekor(t *testing.T) {
	dir := fixtures(t, "signed-images/containers-image")
	subject, l := foreignLayer(t, dir, "dir-img-cosign-fulcio-rekor-valid", "cosign-signed/fulcio-rekor-1")
	roots, err := readCertificates(mustRead(t, dir, "fulcio_v1.crt.pem"), 1)
	if err != nil {
		t.Fatal(err)
	}
	attached, err := readAnnotations(l.Annotations)
	if err != nil {
		t.Fatal(err)
	}
	rekor := mustRead(t, dir, "rekor.pub")
	a := verify.Authority{Name: "public-2023", Kind: verify.KindSigstore, TrustedRoot: trustedRoot(t, []*x509.Certificate{attached.chain[0], roots[0]}, rekor), Repositories: store.Globs{"**"},
		Identities: []verify.Identity{{Issuer: "https://github.com/login/oauth", Subject: "mitr@redhat.com"}}, Profile: &verify.Profile{Tlog: 1, Timestamps: 1}}
	if err := newVerifier().Check(a); err != nil {
		t.Fatal(err)
	}
	f := one(t, subject, l, a)
	want(t, f, "")
	if f.Identity != "mitr@redhat.com" || f.Issuer != "https://github.com/login/oauth" || len(f.Logs) != 1 || f.Logs[0].Index != 11605770 || !f.SignedAt.Equal(time.Unix(1674247893, 0)) {
		t.Errorf("got %+v", f)
	}
	for name, c := range map[string]struct {
		edit func(a *verify.Authority)
		code verify.Code
	}{
		"certificate timestamps wanted": {func(a *verify.Authority) { a.Profile = nil }, verify.CodeNoSCT},
		"another address":               {func(a *verify.Authority) { a.Identities[0].Subject = "mitr@example.com" }, verify.CodeIdentity},
		"another issuer":                {func(a *verify.Authority) { a.Identities[0].Issuer = actions }, verify.CodeIdentity},
		"root without its intermediate": {func(a *verify.Authority) { a.TrustedRoot = trustedRoot(t, roots, rekor) }, verify.CodeUntrustedRoot},
		"serial revoked":                {func(a *verify.Authority) { a.Revoked.Serials = []string{f.Serial} }, verify.CodeRevokedCertificate},
		"entry revoked":                 {func(a *verify.Authority) { a.Revoked.LogIndexes = []int64{11605770} }, verify.CodeRevokedEntry},
	} {
		t.Run(name, func(t *testing.T) {
			changed := a
			changed.Identities = append([]verify.Identity(nil), a.Identities...)
			c.edit(&changed)
			want(t, one(t, subject, l, changed), c.code)
		})
	}
	want(t, one(t, subject, l, publicGood(t, a.Identities...)), "") // today's root knows that chain, log and certificate log
	elsewhere := subject
	elsewhere.Repository = "other/app"
	want(t, one(t, elsewhere, l, a), verify.CodeOtherRepository)
}

// A key whose signature is in Rekor: with a profile that wants it.
func TestForeignKeyWithRekor(t *testing.T) {
	dir := fixtures(t, "signed-images/containers-image")
	subject, l := foreignLayer(t, dir, "dir-img-cosign-key-rekor-valid", "cosign-signed/key-1")
	k, err := verify.ParseKeyPEM(mustRead(t, dir, "cosign2.pub"))
	if err != nil {
		t.Fatal(err)
	}
	public := string(mustRead(t, fixtures(t, "trust"), "public-good-trusted_root.json"))
	a := verify.Authority{Name: "key", Kind: verify.KindKey, Keys: []verify.Key{k}, TrustedRoot: public, Profile: &verify.Profile{Tlog: 1, Timestamps: 1}, Repositories: store.Globs{"**"}}
	f := one(t, subject, l, a)
	want(t, f, "")
	if f.KeyID != k.ID || len(f.Logs) != 1 || f.Logs[0].Index != 11608800 || f.TimeSource != verify.TimeRekor {
		t.Errorf("got %+v", f)
	}
	delete(l.Annotations, verify.AnnotationRekor)
	want(t, one(t, subject, l, a), verify.CodeNoLog)
	_, other := foreignLayer(t, dir, "dir-img-cosign-fulcio-rekor-valid", "x")
	l.Annotations[verify.AnnotationRekor] = other.Annotations[verify.AnnotationRekor]
	want(t, one(t, subject, l, a), verify.CodeLogMismatch)
}

// A certificate of a private PKI, whose intermediate comes along or is known.
func TestForeignPrivatePKI(t *testing.T) {
	dir := fixtures(t, "signed-images/containers-image")
	subject, l := foreignLayer(t, dir, "dir-img-cosign-pki-valid", "test")
	root, intermediate := string(mustRead(t, dir, "pki_root_crts.pem")), string(mustRead(t, dir, "pki_intermediate_crts.pem"))
	a := verify.Authority{Name: "pki", Kind: verify.KindX509, Roots: root + intermediate, Repositories: store.Globs{"**"}}
	for _, c := range []struct {
		subject, roots string
		code           verify.Code
	}{
		{"qiwan@redhat.com", root + intermediate, ""},
		{"qiwan@redhat.com", root, ""},
		{"myhost.example.com", root, ""},
		{"CN=Team A Cosign Certificate,OU=Security", root, ""},
		{"CN=Team B Cosign Certificate,OU=Security", root, verify.CodeIdentity},
		{"qiwan@example.com", root, verify.CodeIdentity},
		{"qiwan@redhat.com", string(mustRead(t, dir, "fulcio_v1.crt.pem")), verify.CodeUntrustedRoot},
	} {
		a.Roots, a.Identities = c.roots, []verify.Identity{{Subject: c.subject}}
		f := one(t, subject, l, a)
		want(t, f, c.code)
		if c.code == "" && (f.Identity != "qiwan@redhat.com" || f.ValidUntil.Year() != 2052 || f.Ends != verify.CodeCertificateExpired || f.Issuer == "") {
			t.Errorf("got %+v", f)
		}
	}
}
