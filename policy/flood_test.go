package policy_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// junk pushes a signature by nobody in particular. Its layers are uploaded once: what differs is the manifest.
func (k *kit) junk(m ocispec.Manifest, d store.Digest, n int) {
	k.t.Helper()
	m.Annotations = map[string]string{"n": fmt.Sprint(n)}
	if _, err := k.put(signer, app, referrers.TagOf(d, referrers.SuffixSig).String(), ocispec.MediaTypeImageManifest, k.json(m)); err != nil {
		k.t.Fatal(err)
	}
}

// Ten thousand junk signatures on one subject neither hide the good one, whenever it comes, nor cost a pull anything, nor cost the later ones more than the
// first. (2,000 but in the long run.)
func TestJunkSignaturesHideNothing(t *testing.T) {
	flood := 2000
	if os.Getenv("ASSAY_TEST_LONG") != "" {
		flood = 10_000
	}
	for _, when := range []string{"first", "between", "last"} {
		t.Run("the good one "+when, func(t *testing.T) {
			k := newKit(t)
			i := k.push(pusher, app, "v1", "one")
			junk := k.signature(signer, app, i.desc.Digest, newKey(t), app)
			good := map[string]int{"first": 0, "between": flood / 2, "last": flood}[when]
			var early, late uint64 // bytes that a hundred arrivals allocate, whatever else the machine does
			for n := range flood + 1 {
				if n == good {
					k.sign(signer, app, i.desc.Digest, k.key)
				}
				before := allocated()
				k.junk(junk, i.desc.Digest, n)
				switch took := allocated() - before; {
				case n >= 100 && n < 200:
					early += took
				case n >= flood-100 && n < flood:
					late += took
				}
			}
			if good < flood {
				want(t, "under the flood", k.get(puller, app, "v1"), string(i.desc.Digest))
			}
			if late > 2*early {
				t.Errorf("a hundred arrivals cost %d bytes in the beginning and %d in the end", early, late)
			}
			want(t, "after the flood", k.get(puller, app, "v1"), string(i.desc.Digest))
			e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
			if err != nil || e.EvidenceKept != 65 {
				t.Errorf("%d manifests are kept, want 64 of junk and the good one; %v", e.EvidenceKept, err)
			}
			allocs := testing.AllocsPerRun(100, func() {
				if got := k.get(puller, app, "v1"); got != string(i.desc.Digest) {
					t.Fatal(got)
				}
			})
			other := k.push(pusher, app, "v2", "two")
			k.sign(signer, app, other.desc.Digest, k.key)
			if calm := testing.AllocsPerRun(100, func() { k.get(puller, app, "v2") }); allocs > calm+5 {
				t.Errorf("a pull costs %v allocations, and %v without the flood", allocs, calm)
			}
		})
	}
}

// allocated is how many bytes were allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// What counts the junk is kept in step with it, whatever comes, goes and changes sides.
func TestTheCountOfJunkIsKept(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	rng := rand.New(rand.NewPCG(1, 2))
	keys := []*key{k.key, newKey(t)}
	for n := range 300 {
		switch rng.IntN(6) {
		case 0:
			k.sign(signer, app, i.desc.Digest, keys[rng.IntN(2)])
		case 1:
			if tag := sigTag(i.desc.Digest); k.head(admin, app, tag) != unknown {
				k.delete(admin, app, tag)
			}
		case 2:
			if err := k.a.SetAuthorities(k.ctx, k.opts.Authorities[:rng.IntN(2)]); err != nil {
				t.Fatal(err)
			}
			k.get(puller, app, "v1")
		default:
			k.junk(k.signature(signer, app, i.desc.Digest, newKey(t), app), i.desc.Digest, n)
		}
		counted, kept := k.unproven(app, i.desc.Digest)
		if counted != kept {
			t.Fatalf("%d are counted and %d kept after %d steps", counted, kept, n+1)
		}
	}
}

// unproven is how many evidence manifests without a proven fact are counted, and how many there are.
func (k *kit) unproven(repo store.Name, d store.Digest) (counted, kept int) {
	k.t.Helper()
	if err := k.local.View(k.ctx, func(s store.Snapshot) error {
		counted, kept = 0, 0
		if b := s.Doc("unproven", string(repo)+"@"+string(d)); b != nil {
			if _, err := fmt.Sscan(string(b), &counted); err != nil {
				return err
			}
		}
		for _, b := range s.Facts(repo, d) {
			if !containsVerified(b) || bytes.Contains(b, []byte(`"again":true`)) {
				kept++
			}
		}
		return nil
	}); err != nil {
		k.t.Fatal(err)
	}
	return counted, kept
}

func containsVerified(facts []byte) bool {
	const proven = `"verified":true`
	for i := 0; i+len(proven) <= len(facts); i++ {
		if string(facts[i:i+len(proven)]) == proven {
			return true
		}
	}
	return false
}
