package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

func loaded(t *testing.T, file string, check func(verify.Authority) error) (*Config, error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := surroundings(t)
	files["etc/assay/assay.yaml"] = &fstest.MapFile{Data: text}
	o := files.options("assay.yaml")
	o.Check = check
	return Load(o)
}

// Every kind of the file as the registry uses it.
func TestAuthoritiesOfEveryKind(t *testing.T) {
	var checked []string
	c, err := loaded(t, "testdata/config/authorities.yaml", func(a verify.Authority) error {
		checked = append(checked, a.Name)
		return a.Validate()
	})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]verify.Authority{}
	for _, a := range c.Trust() {
		byName[a.Name] = a
	}
	if len(checked) != len(byName) {
		t.Errorf("asked about %v", checked)
	}
	if a := byName["github"]; a.Profile != nil || a.TrustedRoot == "" || a.Wants() != (verify.Profile{Tlog: 1, Timestamps: 1, SCT: 1}) {
		t.Errorf("github: %+v", a)
	}
	if a := byName["private"]; a.Material != "acme-tuf" || a.Profile == nil || *a.Profile != (verify.Profile{Tlog: 1, Timestamps: 1}) || len(a.Revoked.LogIndexes) != 2 || a.Revoked.Serials[0] != "ab01" {
		t.Errorf("private: %+v", a)
	}
	if a := byName["corporate"]; a.Roots == "" || a.TimestampRoots == "" || a.CRLs == "" || a.Profile != nil {
		t.Errorf("corporate: %+v", a)
	}
	if a := byName["notary"]; a.Roots == "" || a.Identities[0].Subject != "CN=wabbit,O=Acme" {
		t.Errorf("notary: %+v", a)
	}
	if a := byName["gap-tuf"]; a.TUF == nil || a.TUF.Source != "dir:/etc/assay/mirror" || a.TUF.Refresh != time.Hour || a.TUF.Expired != "warn" || a.TUF.Root == "" {
		t.Errorf("gap-tuf: %+v", a.TUF)
	}
	if a := byName["acme-tuf"]; a.TUF == nil || a.TUF.Refresh != 10*time.Minute || a.TUF.Expired != "refuse" {
		t.Errorf("acme-tuf: %+v", a.TUF)
	}
	if a := byName["logged"]; a.Profile == nil || a.Profile.Tlog != 2 || a.TrustedRoot == "" {
		t.Errorf("logged: %+v", a)
	}
}

// What the engine cannot use is an error at load, at the line of the authority.
func TestUnusableMaterialNamesTheLine(t *testing.T) {
	_, err := loaded(t, "testdata/config/authorities.yaml", func(a verify.Authority) error {
		if a.Name == "github" {
			return store.Errorf(store.CodeInvalid, "authority github has a trusted_root that is none")
		}
		return nil
	})
	if want := "assay.yaml:3: authorities[1]: authority github has a trusted_root that is none"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestSerial(t *testing.T) {
	for in, want := range map[string]string{"0A:bC:01": "abc01", "7F": "7f", "00": "0", "01": "1", " 1 2": "12", "": "", "0x12": "", "xyz": "", string(bytes.Repeat([]byte{'a'}, 65)): ""} {
		if got, ok := Serial(in); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v", in, got, ok)
		}
	}
}

// The registry's own keys never speak for images, wherever in an authority they stand.
func TestOwnKeysAreRefusedInEveryKind(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := verify.KeyID(public)
	if err != nil {
		t.Fatal(err)
	}
	spki := encode(t, public)
	key, err := verify.ParseKeyPEM(spki)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	block, _ := pem.Decode(spki)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]string{id: "sbom"}
	for name, a := range map[string]verify.Authority{
		"key":          {Keys: []verify.Key{key}},
		"roots":        {Roots: "text before\n" + cert},
		"tsa":          {TimestampRoots: cert},
		"trusted root": {TrustedRoot: fmt.Sprintf(`{"tlogs":[{"publicKey":{"rawBytes":%q}}]}`, base64.StdEncoding.EncodeToString(block.Bytes))},
		"raw base64":   {TrustedRoot: fmt.Sprintf(`{"tlogs":[{"publicKey":{"rawBytes":%q}}]}`, base64.RawStdEncoding.EncodeToString(block.Bytes))},
		"web base64":   {TrustedRoot: fmt.Sprintf(`{"certificateAuthorities":[{"certChain":{"certificates":[{"rawBytes":%q}]}}]}`, base64.URLEncoding.EncodeToString(der))},
		"chain":        {TrustedRoot: fmt.Sprintf(`{"certificateAuthorities":[{"certChain":{"certificates":[{"rawBytes":%q}]}}]}`, base64.StdEncoding.EncodeToString(der))},
		"tuf":          {TUF: &verify.TUF{Root: fmt.Sprintf(`{"signed":{"keys":{"x":{"keyval":{"public":%q}}}}}`, hex.EncodeToString(public))}},
		"tuf pem":      {TUF: &verify.TUF{Root: fmt.Sprintf(`{"signed":{"keys":{"x":{"keyval":{"public":%q}}}}}`, spki)}},
	} {
		if use := OwnKey(a, own); use != "sbom" {
			t.Errorf("%s: %q", name, use)
		}
	}
	if use := OwnKey(verify.Authority{Roots: string(encode(t, other.Public())), TrustedRoot: "{"}, own); use != "" {
		t.Errorf("another key is taken for the registry's own %s key", use)
	}
}
