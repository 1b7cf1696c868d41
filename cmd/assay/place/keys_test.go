package place

import (
	"crypto/ecdsa"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/verify"
)

func TestTheVerdictKeyIsItsOwn(t *testing.T) {
	dir := t.TempDir()
	ring, err := OpenKeys(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := verify.KeyID(ring.Verdict.Public())
	if err != nil || ring.Uses[id] != KeyVerdict || len(ring.Uses) != 4 || ring.Public[KeyToken] != nil || !strings.Contains(string(ring.Public[KeyVerdict]), "PUBLIC KEY") {
		t.Errorf("%q: %v %v", id, ring.Uses, err)
	}
	again, err := OpenKeys(dir, rand.Reader)
	if err != nil || !again.Verdict.Public().(*ecdsa.PublicKey).Equal(ring.Verdict.Public()) {
		t.Errorf("another key after a restart: %v", err)
	}
	_, text, err := sbom.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, KeyVerdict), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(dir, rand.Reader); err == nil || !strings.Contains(err.Error(), "P-256") {
		t.Errorf("a key of another kind: %v", err)
	}
}
