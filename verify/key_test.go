package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

func block(blockType string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
}

func spki(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func curveKey(t testing.TB, curve elliptic.Curve) *ecdsa.PublicKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &k.PublicKey
}

// rsaOf is a public key of a size that nobody needs to generate.
func rsaOf(bits uint, e int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(0x1235)), E: e}
}

func edKey(seed string) ed25519.PublicKey {
	sum := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(sum[:]).Public().(ed25519.PublicKey)
}

func goodPEM(t testing.TB) []byte { return block("PUBLIC KEY", spki(t, edKey("a"))) }

func TestParseKeyPEM(t *testing.T) {
	good := goodPEM(t)
	cases := []struct {
		name string
		pem  []byte
		says string // a part of the error; "" means accepted
	}{
		{"P-256", block("PUBLIC KEY", spki(t, curveKey(t, elliptic.P256()))), ""},
		{"P-384", block("PUBLIC KEY", spki(t, curveKey(t, elliptic.P384()))), ""},
		{"P-521", block("PUBLIC KEY", spki(t, curveKey(t, elliptic.P521()))), ""},
		{"Ed25519", good, ""},
		{"RSA 2048", block("PUBLIC KEY", spki(t, rsaOf(2048, 65537))), ""},
		{"RSA 8192", block("PUBLIC KEY", spki(t, rsaOf(8192, 65537))), ""},
		{"white space around it", slicesOf("\r\n ", string(good), "\n\n"), ""},
		{"CRLF", bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), ""},
		{"RSA 2047", block("PUBLIC KEY", spki(t, rsaOf(2047, 65537))), "too weak"},
		{"RSA 1024", block("PUBLIC KEY", spki(t, rsaOf(1024, 65537))), "1024 bits, which is too weak"},
		{"RSA 8193", block("PUBLIC KEY", spki(t, rsaOf(8193, 65537))), "at most 8192"},
		{"RSA exponent 1", block("PUBLIC KEY", spki(t, rsaOf(2048, 1))), "not well-formed"},
		{"RSA exponent 2", block("PUBLIC KEY", spki(t, rsaOf(2048, 2))), "not well-formed"},
		{"P-224", block("PUBLIC KEY", spki(t, curveKey(t, elliptic.P224()))), "P-256, P-384 or P-521"},
		{"empty", nil, "empty"},
		{"white space", []byte(" \n"), "empty"},
		{"no PEM", []byte("hello"), "not PEM"},
		{"text before it", slicesOf("comment\n", string(good)), "not PEM"},
		{"cut", good[:len(good)-10], "not well-formed PEM"},
		{"two keys", slicesOf(string(good), string(good)), "after the first key"},
		{"text after it", slicesOf(string(good), "x"), "after the first key"},
		{"empty block", block("PUBLIC KEY", nil), "no public key that the registry knows"},
		{"garbage inside", block("PUBLIC KEY", []byte("garbage")), "no public key that the registry knows"},
		{"trailing data inside", block("PUBLIC KEY", append(spki(t, edKey("a")), 0)), "no public key that the registry knows"},
		{"private key", block("EC PRIVATE KEY", []byte("SECRET")), "private key"},
		{"encrypted cosign key", block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("SECRET")), "private key"},
		{"certificate", block("CERTIFICATE", []byte("x")), "certificate"},
		{"PKCS #1", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsaOf(2048, 65537))), "PKCS #1"},
		{"another type", block("SOMETHING", []byte("x")), "no public key"},
		{"headers", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Headers: map[string]string{"A": "b"}, Bytes: spki(t, edKey("a"))}), "headers"},
		{"65 KiB", slicesOf(string(good), strings.Repeat("\n", MaxKeyPEM)), "64 KiB"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k, err := ParseKeyPEM(c.pem)
			if c.says != "" {
				if err == nil || store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "SECRET") {
					t.Fatalf("got %+v, %v; want an error with %q", k, err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParseKeyPEM([]byte(k.PEM))
			if err != nil || again != k {
				t.Errorf("the normal form comes back as %+v, %v", again, err)
			}
		})
	}
}

func slicesOf(parts ...string) []byte { return []byte(strings.Join(parts, "")) }

func TestKeyID(t *testing.T) {
	public := curveKey(t, elliptic.P256())
	sum := sha256.Sum256(spki(t, public))
	want := "sha256:" + hex.EncodeToString(sum[:])
	if got, err := KeyID(public); err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	k, err := ParseKeyPEM(block("PUBLIC KEY", spki(t, public)))
	if err != nil || k.ID != want {
		t.Errorf("got %s, %v, want %s", k.ID, err, want)
	}
	if got, err := k.Public(); err != nil || !public.Equal(got) {
		t.Errorf("the key comes back as %v, %v", got, err)
	}
	k.ID = "sha256:" + strings.Repeat("0", 64)
	if _, err := k.Public(); err == nil {
		t.Error("a key under another's ID is taken")
	}
	for _, wrong := range []crypto.PublicKey{nil, "x", rsaOf(1024, 65537), curveKey(t, elliptic.P224())} {
		if id, err := KeyID(wrong); err == nil {
			t.Errorf("%T has the ID %s", wrong, id)
		}
	}
}

func FuzzParseKeyPEM(f *testing.F) {
	f.Add(goodPEM(f))
	f.Add(block("PUBLIC KEY", spki(f, rsaOf(2048, 65537))))
	f.Add(block("PUBLIC KEY", spki(f, curveKey(f, elliptic.P521()))))
	f.Add(block("CERTIFICATE", []byte("x")))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKeyPEM(b)
		if err != nil {
			if store.CodeOf(err) != store.CodeInvalid || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Fatalf("got %q", err)
			}
			return
		}
		if _, err := k.Public(); err != nil {
			t.Fatalf("an accepted key cannot be used: %v", err)
		}
	})
}
