package sigstore

import (
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// memo remembers which signatures were found to be good: a key made these bytes over that digest. That stays so, whoever is trusted, so that a change of trust, and one more
// authority with the same key or certificate, do not compute it again. What does not verify is not remembered: it is cheap to make, and would displace what is good.
type memo struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]struct{} // guarded by mu
}

// memoKept is how many of each generation are kept: about 4 MiB in all.
const memoKept = 1 << 15

// has reports whether a signature is known to be good. A nil memo knows none.
func (m *memo) has(name [sha256.Size]byte) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.young[name]; known {
		return true
	}
	_, known := m.old[name]
	if known {
		m.keep(name)
	}
	return known
}

func (m *memo) add(name [sha256.Size]byte) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(name)
}

// keep makes room by forgetting the older generation; mu is held.
func (m *memo) keep(name [sha256.Size]byte) {
	if len(m.young) >= memoKept {
		m.old, m.young = m.young, nil
	}
	if m.young == nil {
		m.young = map[[sha256.Size]byte]struct{}{}
	}
	m.young[name] = struct{}{}
}

// memoName names a signature by a key, under the n-th of its algorithms, over a digest; hash is that of the algorithm.
func memoName(id string, n int, hash crypto.Hash, sum, sig []byte) (name [sha256.Size]byte) {
	h := sha256.New()
	var lengths [4 * 8]byte
	for i, v := range []int{len(id), n, int(hash), len(sum)} { // so that no two of different parts read alike
		binary.BigEndian.PutUint64(lengths[i*8:], uint64(v))
	}
	for _, part := range [][]byte{lengths[:], []byte(id), sum, sig} {
		_, _ = h.Write(part)
	}
	h.Sum(name[:0])
	return name
}
