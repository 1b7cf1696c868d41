package serve

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
)

// signedBundle is a bundle with one policy, signed as Open Policy Agent documents it: a token (ES256) over the digests of its files.
func signedBundle(t *testing.T, key *ecdsa.PrivateKey, revision int, rego string) []byte {
	t.Helper()
	manifest := fmt.Sprintf(`{"revision":"%d","roots":["assay"]}`, revision)
	sum := func(text string) string {
		h := sha256.Sum256([]byte(text))
		return hex.EncodeToString(h[:])
	}
	var canonical bytes.Buffer // of the manifest: its value, with the keys in order
	var value any
	if json.Unmarshal([]byte(manifest), &value) != nil || json.NewEncoder(&canonical).Encode(value) != nil {
		t.Fatal(manifest)
	}
	files := []map[string]string{{"name": "a.rego", "hash": sum(rego), "algorithm": "SHA-256"}, {"name": ".manifest", "hash": sum(strings.TrimSpace(canonical.String())), "algorithm": "SHA-256"}}
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	token := part(map[string]string{"alg": "ES256"}) + "." + part(map[string]any{"files": files})
	h := sha256.Sum256([]byte(token))
	r, s, err := ecdsa.Sign(rand.Reader, key, h[:])
	if err != nil {
		t.Fatal(err)
	}
	token += "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	signatures, err := json.Marshal(map[string]any{"signatures": []string{token}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, f := range []struct{ name, text string }{{"/a.rego", rego}, {"/.manifest", manifest}, {"/.signatures.json", string(signatures)}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Size: int64(len(f.text)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if w.Close() != nil || z.Close() != nil {
		t.Fatal("not closed")
	}
	return out.Bytes()
}

const deniesAll = "package assay\n\nadmit.deny contains {\"code\": \"team.no\", \"msg\": \"No.\"}\n"

// bundled is a registry whose policies are a bundle, signed by key.
type bundled struct {
	*console
	a   *cli.App
	p   place.Flags
	key *ecdsa.PrivateKey
	log *slog.Logger
}

func newBundled(t *testing.T) *bundled {
	t.Helper()
	b := &bundled{console: newConsole(t), p: place.Flags{File: "assay.yaml", Data: "data"}, log: slog.New(slog.DiscardHandler)}
	b.a = &cli.App{World: b.world()}
	var err error
	if b.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(b.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	b.write("bundle.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	b.write("assay.yaml", []byte("sbom: {formats: []}\npolicies:\n  - {name: team, repositories: ['**'], rego: team.tar.gz, bundle_key: bundle.pub}\n"))
	return b
}

func (b *bundled) write(name string, content []byte) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), content, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundled) open() (*registry, error) {
	cfg, err := place.Load(b.a, b.p)
	if err != nil {
		return nil, err
	}
	return open(b.a, b.t.Context(), cfg, b.log)
}

// source is the revision of the bundle in force.
func (b *bundled) source(r *registry) string {
	for _, s := range r.book.Status().Sources {
		if s.Ref == rules.BundlePrefix+filepath.Join(b.dir, "team.tar.gz") {
			return fmt.Sprintf("%d", s.Revision)
		}
	}
	return ""
}

// A bundle of the configuration: signed, never older than what was in force, over reloads and restarts.
func TestD18_BundleOfTheConfiguration(t *testing.T) {
	c := newBundled(t)
	ctx, a, p, log, key, write, open, source := t.Context(), c.a, c.p, c.log, c.key, c.write, c.open, c.source
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	write("team.tar.gz", signedBundle(t, other, 1, deniesAll))
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "does not verify") { // what was open is closed again
		t.Fatalf("a stranger's bundle: %v", err)
	}
	if code := c.run(c.world(), "config", "check", "--config", "assay.yaml"); code == 0 || !strings.Contains(c.stderr.String(), "does not verify") {
		t.Errorf("config check: %d %s", code, c.stderr.String())
	}
	write("team.tar.gz", signedBundle(t, key, 5, deniesAll))
	r, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if got := source(r); got != "5" {
		t.Errorf("at first: %s", got)
	}
	before := r.book.Set().Revision()
	for _, step := range []struct {
		what    string
		content []byte
		want    string // revision
	}{
		{"older", signedBundle(t, key, 4, deniesAll+"# old\n"), "5"}, {"a stranger's", signedBundle(t, other, 9, deniesAll), "5"}, {"as new", signedBundle(t, key, 5, deniesAll+"# other\n"), "5"},
		{"no bundle", []byte("x"), "5"}, {"does not compile", signedBundle(t, key, 8, "package assay\n\nadmit.deny contains x if input.subjekt\n"), "5"}, {"newer", signedBundle(t, key, 6, deniesAll+"# new\n"), "6"},
	} {
		write("team.tar.gz", step.content)
		err := reload(a, ctx, p, r, log)
		if step.what == "does not compile" {
			if err == nil {
				t.Errorf("%s: reloaded", step.what)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", step.what, err)
		}
		if got := source(r); got != step.want || (r.book.Set().Revision() != before) != (step.want != "5") {
			t.Errorf("%s: revision %s, want %s", step.what, got, step.want)
		}
	}
	old := signedBundle(t, key, 4, deniesAll)
	write("team.tar.gz", old)
	restart := func() {
		t.Helper()
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
		if r, err = open(); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	if got := source(r); got != "6" {
		t.Errorf("a restart goes back to %s", got)
	}
	sum := sha256.Sum256(old)
	ref := rules.BundlePrefix + filepath.Join(c.dir, "team.tar.gz")
	if _, err := r.book.RollBackPolicies(ctx, access.System(), ref, store.Digest("sha256:"+hex.EncodeToString(sum[:]))); err != nil {
		t.Fatal(err)
	}
	if err := reload(a, ctx, p, r, log); err != nil {
		t.Fatal(err)
	}
	if got := source(r); got != "4" {
		t.Errorf("an administrator's word: %s", got)
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
}

// What was never accepted refuses, whatever it would say.
func TestPoliciesThatWereNeverAccepted(t *testing.T) {
	a := &cli.App{World: newConsole(t).world()}
	set, err := rules.Compile(t.Context(), []policy.Binding{{Name: "team", Repositories: store.Globs{"**"}, Mode: contract.ModeEnforce, Rego: "oci:acme/policies:v1"}}, rules.Supplies{}, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range []contract.Entry{contract.EntryPush, contract.EntryAdmit, contract.EntryTag, contract.EntryK8s} {
		d, err := set.Decide(t.Context(), &contract.Input{Schema: contract.InputSchema, Request: contract.RequestInput{ID: "1", Entry: entry, Time: a.Clock()},
			Subject: contract.SubjectInput{Repository: "acme/app", Digest: store.DigestOf(digest.SHA256, nil), Kind: store.KindImage}})
		if err != nil || d.Allow || d.Deny[0].Code != "policies.absent" || d.Deny[0].Remedy == "" {
			t.Errorf("%s: %+v, %v", entry, d, err)
		}
	}
}
