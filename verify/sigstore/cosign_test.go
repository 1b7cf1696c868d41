package sigstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/google/go-containerregistry/pkg/registry"
)

var record = flag.Bool("record", false, "write what cosign makes to testdata/cosign")

// recording is what one run of cosign left in a registry.
type recording struct {
	Command  string             `json:"command"` // for the reader
	Key      string             `json:"key"`     // PEM
	Subject  store.Descriptor   `json:"subject"`
	Evidence []recordedEvidence `json:"evidence"`
}

type recordedEvidence struct {
	Found    verify.Found    `json:"found"`
	Manifest json.RawMessage `json:"manifest"`
	Layers   [][]byte        `json:"layers"`
}

// cosignCase is one way to sign.
type cosignCase struct {
	name, tool, key string
	args            []string
	env             string
	kind            verify.FactKind
	scheme          verify.Scheme
	predicate       string
	annotation      string // value of the signed annotation "build"
}

func cosignCases() []cosignCase {
	bundle3 := []string{"--use-signing-config=false", "--tlog-upload=false"}
	plain := []string{"--tlog-upload=false"}
	and := func(args []string, more ...string) []string { return append(append([]string(nil), args...), more...) }
	const spdx = "https://spdx.dev/Document"
	return []cosignCase{
		{name: "sign2-tag", tool: "cosign2", key: "p256", args: and([]string{"sign"}, plain...), kind: verify.KindSignature, scheme: verify.SchemeCosign},
		{name: "sign2-tag-rsa", tool: "cosign2", key: "rsa", args: and([]string{"sign"}, plain...), kind: verify.KindSignature, scheme: verify.SchemeCosign},
		{name: "sign2-tag-p384", tool: "cosign2", key: "p384", args: and([]string{"sign"}, plain...), kind: verify.KindSignature, scheme: verify.SchemeCosign},
		{name: "sign2-tag-ed25519", tool: "cosign2", key: "ed25519", args: and([]string{"sign"}, plain...), kind: verify.KindSignature, scheme: verify.SchemeCosign},
		{name: "sign2-referrer", tool: "cosign2", key: "p256", args: and([]string{"sign", "--registry-referrers-mode=oci-1-1", "-a", "build=7"}, plain...), env: "COSIGN_EXPERIMENTAL=1", kind: verify.KindSignature, scheme: verify.SchemeCosign, annotation: "7"},
		{name: "sign2-bundle", tool: "cosign2", key: "p256", args: and([]string{"sign", "--new-bundle-format"}, plain...), kind: verify.KindSignature, scheme: verify.SchemeBundle, predicate: verify.PredicateCosignSign},
		{name: "attest2-tag", tool: "cosign2", key: "p256", args: and([]string{"attest", "--type", "spdxjson", "--predicate", "PREDICATE"}, plain...), kind: verify.KindAttestation, scheme: verify.SchemeDSSE, predicate: spdx},
		{name: "attest2-bundle", tool: "cosign2", key: "p256", args: and([]string{"attest", "--new-bundle-format", "--type", "spdxjson", "--predicate", "PREDICATE"}, plain...), kind: verify.KindAttestation, scheme: verify.SchemeBundle, predicate: spdx},
		{name: "sign3", tool: "cosign3", key: "p256", args: and([]string{"sign", "-a", "build=8"}, bundle3...), kind: verify.KindSignature, scheme: verify.SchemeBundle, predicate: verify.PredicateCosignSign, annotation: "8"},
		{name: "sign3-rsa", tool: "cosign3", key: "rsa", args: and([]string{"sign"}, bundle3...), kind: verify.KindSignature, scheme: verify.SchemeBundle, predicate: verify.PredicateCosignSign},
		{name: "sign3-p384", tool: "cosign3", key: "p384", args: and([]string{"sign"}, bundle3...), kind: verify.KindSignature, scheme: verify.SchemeBundle, predicate: verify.PredicateCosignSign},
		{name: "sign3-ed25519", tool: "cosign3", key: "ed25519", args: and([]string{"sign"}, bundle3...), kind: verify.KindSignature, scheme: verify.SchemeBundle, predicate: verify.PredicateCosignSign},
		{name: "sign3-tag", tool: "cosign3", key: "p256", args: and([]string{"sign", "--new-bundle-format=false"}, bundle3...), kind: verify.KindSignature, scheme: verify.SchemeCosign},
		{name: "attest3", tool: "cosign3", key: "p256", args: and([]string{"attest", "--type", "spdxjson", "--predicate", "PREDICATE"}, bundle3...), kind: verify.KindAttestation, scheme: verify.SchemeBundle, predicate: spdx},
	}
}

// TestRecordedCosign verifies what cosign 2.6.5 and 3.1.3 wrote (made by TestCosign with -record).
func TestRecordedCosign(t *testing.T) {
	for _, c := range cosignCases() {
		t.Run(c.name, func(t *testing.T) {
			var r recording
			decodeFile(t, mustRead(t, "testdata", "cosign", c.name+".json"), &r)
			c.check(t, &r)
		})
	}
}

// TestCosign runs the real tools where the build left them; in CI that is everywhere.
func TestCosign(t *testing.T) {
	tools, err := filepath.Abs(filepath.Join("..", "..", ".cache", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cosignCases() {
		t.Run(c.name, func(t *testing.T) {
			tool := filepath.Join(tools, c.tool)
			if _, err := os.Stat(tool); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("the tool is missing: %v", err)
				}
				t.Skipf("%s is not installed; its recording is tested all the same", c.tool)
			}
			r := c.run(t, tool)
			c.check(t, r)
			if *record {
				b, err := json.MarshalIndent(r, "", " ")
				if err == nil {
					err = os.WriteFile(filepath.Join("testdata", "cosign", c.name+".json"), append(b, '\n'), 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// check: proven under the key that made it and no other, for this image and no other.
func (c cosignCase) check(t *testing.T, r *recording) {
	t.Helper()
	k, err := verify.ParseKeyPEM([]byte(r.Key))
	if err != nil {
		t.Fatal(err)
	}
	subject := verify.Subject{Repository: "acme/app", Descriptor: r.Subject}
	all := r.evidence(t)
	proven := 0
	for _, f := range check(t, subject, all, release(k)) {
		want(t, f, "")
		proven++
		if f.Kind != c.kind || f.Scheme != c.scheme || f.PredicateType != c.predicate || f.Annotations["build"] != c.annotation {
			t.Errorf("got %+v", f)
		}
	}
	if proven == 0 {
		t.Fatal("nothing was found")
	}
	for _, f := range check(t, subject, all, release(p256(t, "other").key)) {
		want(t, f, verify.CodeUntrustedKey)
	}
	for _, f := range check(t, app(), all, release(k)) {
		want(t, f, verify.CodeDigestMismatch)
	}
}

func (r *recording) evidence(t *testing.T) []verify.Evidence {
	t.Helper()
	var all []verify.Evidence
	for _, recorded := range r.Evidence {
		var manifest struct {
			Layers []store.Descriptor `json:"layers"`
		}
		decodeFile(t, recorded.Manifest, &manifest)
		e := verify.Evidence{Found: recorded.Found}
		for i, l := range manifest.Layers {
			e.Layers = append(e.Layers, verify.Layer{Descriptor: l, Bytes: recorded.Layers[i]})
		}
		all = append(all, e)
	}
	return all
}

// run pushes an image to a registry in this process, signs it and collects what is there then.
func (c cosignCase) run(t *testing.T, tool string) *recording {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	base := server.URL + "/v2/acme/app"
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	cd := layer("application/vnd.oci.image.config.v1+json", config, nil).Descriptor
	send(t, http.MethodPost, base+"/blobs/uploads/?digest="+string(cd.Digest), "application/octet-stream", config)
	manifest := marshal(map[string]any{"schemaVersion": 2, "mediaType": store.TypeImage, "config": cd, "layers": []store.Descriptor{}})
	subject := layer(store.TypeImage, manifest, nil).Descriptor
	send(t, http.MethodPut, base+"/manifests/v1", store.TypeImage, manifest)

	dir := t.TempDir()
	public := c.writeKey(t, tool, dir)
	if err := os.WriteFile(filepath.Join(dir, "predicate.json"), []byte(`{"spdxVersion":"SPDX-2.3"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string(nil), c.args...)
	for i, a := range args {
		if a == "PREDICATE" {
			args[i] = "predicate.json"
		}
	}
	args = append(args, "--yes", "--key", "import-cosign.key", strings.TrimPrefix(server.URL, "http://")+"/acme/app@"+string(subject.Digest))
	c.exec(t, tool, dir, args...)

	r := &recording{Command: c.tool + " " + strings.Join(c.args, " "), Key: string(public), Subject: subject}
	encoded := "sha256-" + subject.Digest.Encoded()
	r.collect(t, base, encoded+".sig", verify.FoundTag)
	r.collect(t, base, encoded+".att", verify.FoundTag)
	var index struct {
		Manifests []store.Descriptor `json:"manifests"`
	}
	decodeFile(t, send(t, http.MethodGet, base+"/referrers/"+string(subject.Digest), "", nil), &index)
	for _, d := range index.Manifests {
		r.collect(t, base, string(d.Digest), verify.FoundReferrers)
	}
	return r
}

// collect reads a manifest and its layers, if it is there.
func (r *recording) collect(t *testing.T, base, reference string, found verify.Found) {
	t.Helper()
	body := send(t, http.MethodGet, base+"/manifests/"+reference, "", nil)
	if body == nil {
		return
	}
	var manifest struct {
		Layers []store.Descriptor `json:"layers"`
	}
	decodeFile(t, body, &manifest)
	e := recordedEvidence{Found: found, Manifest: body}
	for _, l := range manifest.Layers {
		e.Layers = append(e.Layers, send(t, http.MethodGet, base+"/blobs/"+string(l.Digest), "", nil))
	}
	r.Evidence = append(r.Evidence, e)
}

// send returns the body, nil for 404.
func send(t *testing.T, method, url, mediaType string, body []byte) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", mediaType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusNotFound {
		return nil
	}
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s", method, url, response.Status, answer)
	}
	return answer
}

// writeKey makes a key of the case's type and has cosign import it, as import-cosign.key.
func (c cosignCase) writeKey(t *testing.T, tool, dir string) []byte {
	t.Helper()
	private, err := map[string]func() (crypto.Signer, error){
		"p256":    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"p384":    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"rsa":     func() (crypto.Signer, error) { return rsaKey() },
		"ed25519": func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err },
	}[c.key]()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	c.exec(t, tool, dir, "import-key-pair", "--key", "key.pem", "--yes")
	return pemOf(private.Public())
}

func (c cosignCase) exec(t *testing.T, tool, dir string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), tool, args...)
	command.Dir = dir
	command.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH"), "COSIGN_PASSWORD="}
	if c.env != "" {
		command.Env = append(command.Env, c.env)
	}
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", c.tool, args, err, out)
	}
}
