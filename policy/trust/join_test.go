package trust_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// crowded is a house with as many revocations of each kind as one authority may have, some of them in its configuration, too.
func crowded(t testing.TB) *house {
	t.Helper()
	au := authority("release", "acme/**", "a", "b")
	au.Revoked = verify.Revoked{Serials: []string{"5", "0"}, Identities: []string{"mallory"}, LogIndexes: []int64{7}}
	h := newHouse(t, au, authority("other", "**", "c"))
	if err := h.local.Update(t.Context(), func(tx *store.Txn) error {
		for i := range verify.MaxRevoked {
			for kind, value := range map[trust.DistrustKind]string{trust.RevokedSerial: fmt.Sprintf("%x", i), trust.RevokedIdentity: fmt.Sprint("user", i), trust.RevokedLogIndex: fmt.Sprint(i)} {
				tx.PutDoc("untrusted", fmt.Sprintf("release/%s/%s", kind, value), fmt.Appendf(nil, `{"authority":"release","kind":"%s","value":"%s"}`, kind, value))
			}
		}
		tx.PutDoc("untrusted", "release/key/sha256:a", []byte(`{"authority":"release","kind":"key","value":"sha256:a"}`))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.settle()
	return h
}

// What is revoked of an authority comes together once: what the configuration lists first, and no value twice.
func TestManyRevocationsComeTogether(t *testing.T) {
	h := crowded(t)
	release, other := h.now.Authorities[0], h.now.Authorities[1]
	r := release.Revoked
	if len(r.Serials) != verify.MaxRevoked || !slices.Equal(r.Serials[:4], []string{"5", "0", "1", "10"}) || len(r.Identities) != 1+verify.MaxRevoked || r.Identities[0] != "mallory" ||
		len(r.LogIndexes) != verify.MaxRevoked || r.LogIndexes[0] != 7 || !slices.Equal(r.Keys, []string{"sha256:a"}) {
		t.Errorf("%d %d %d %d: %q…", len(r.Serials), len(r.Identities), len(r.LogIndexes), len(r.Keys), r.Serials[:min(4, len(r.Serials))])
	}
	if !release.Keys[0].Revoked || release.Keys[1].Revoked {
		t.Errorf("%+v", release.Keys)
	}
	if n := len(other.Revoked.Serials) + len(other.Revoked.Keys); n != 0 {
		t.Errorf("%d things are revoked of another authority", n)
	}
	if h.config[0].Keys[0].Revoked || len(h.config[0].Revoked.Serials) != 2 {
		t.Error("the configuration itself was changed")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h.must(func(*store.Txn, *trust.Snapshot) error { return nil })
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 16 {
		t.Errorf("to take %d revocations together took %d MiB", 3*verify.MaxRevoked+1, used)
	}
}

func BenchmarkJoinRevocations(b *testing.B) {
	h := crowded(b)
	for b.Loop() {
		h.must(func(*store.Txn, *trust.Snapshot) error { return nil })
	}
}
