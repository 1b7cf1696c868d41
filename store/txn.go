package store

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
)

// Pair is one key with its value.
type Pair struct{ Key, Value []byte }

// reader is what records.go reads through: a snapshot or a transaction.
type reader interface {
	get(key []byte) []byte
	// scan returns at most limit pairs with from <= key < to.
	scan(from, to []byte, limit int) []Pair
	// keys gives do the keys of at most limit pairs with from <= key < to, each only until it returns.
	keys(from, to []byte, limit int, do func(key []byte))
}

// Snapshot reads one consistent state. It is valid only inside Local.View.
type Snapshot struct {
	Records
	tx ReadTx
}

type snapshotReader struct{ tx ReadTx }

func (s snapshotReader) get(key []byte) []byte { return s.tx.Get(key) }

func (s snapshotReader) scan(from, to []byte, limit int) []Pair {
	var pairs []Pair
	for k, v := range s.tx.Scan(from, to) {
		if len(pairs) == limit {
			break
		}
		both := append(append(make([]byte, 0, len(k)+len(v)), k...), v...)
		pairs = append(pairs, Pair{both[:len(k):len(k)], both[len(k):]})
	}
	return pairs
}

func (s snapshotReader) keys(from, to []byte, limit int, do func(key []byte)) {
	n := 0
	for k := range s.tx.Scan(from, to) {
		if n == limit {
			return
		}
		do(k)
		n++
	}
}

// Txn is an optimistic transaction: serializable, and never in anyone's way. It reads through short views, remembers what it read, and gathers
// its writes; the commit checks in the writer that everything it read is still so, and applies them all, durably. Between, the caller may verify
// signatures and evaluate policies as long as it likes. Nothing is written if its function fails.
type Txn struct {
	Records
	local  *Local
	ctx    context.Context
	reads  map[string][]byte
	scans  []scanned
	writes map[string][]byte // nil: deleted
	after  []func()
	err    error

	never  bool               // it is never committed: nobody asks what it scanned
	looked []byte             // the key that look reads
	seen   []byte             // and a copy of its value
	look   func(ReadTx) error // one closure for all look-ups
}

type scanned struct {
	from, to []byte
	limit    int
	sum      uint64
}

func (l *Local) begin(ctx context.Context) *Txn {
	t := &Txn{local: l, ctx: ctx, reads: map[string][]byte{}}
	t.Records, t.look = Records{t}, t.lookUp
	return t
}

// get reads a key and remembers what it saw.
func (t *Txn) get(key []byte) []byte {
	if v, ok := t.writes[string(key)]; ok {
		return v
	}
	if v, ok := t.reads[string(key)]; ok {
		return v
	}
	t.looked, t.seen = key, nil
	t.fail(t.local.kv.View(t.ctx, t.look))
	v := t.seen
	if len(key) > 0 && key[0] == 'c' {
		return v // content never changes under its key, and losing it is the collector's business: it claims the digest first
	}
	t.reads[string(key)] = v
	return v
}

func (t *Txn) lookUp(tx ReadTx) error {
	if found := tx.Get(t.looked); found != nil {
		t.seen = append(make([]byte, 0, len(found)), found...)
	}
	return nil
}

func (t *Txn) keys(from, to []byte, limit int, do func(key []byte)) {
	for _, p := range t.scan(from, to, limit) {
		do(p.Key)
	}
}

// scan reads a range and remembers its sum. What the transaction itself deleted does not count towards limit: as many pairs more are read.
func (t *Txn) scan(from, to []byte, limit int) []Pair {
	var own map[string][]byte
	wanted := limit
	for k, v := range t.writes {
		if k >= string(from) && (to == nil || k < string(to)) {
			if own == nil {
				own = map[string][]byte{}
			}
			own[k] = v
			if v == nil {
				wanted++
			}
		}
	}
	var pairs []Pair
	t.fail(t.local.kv.View(t.ctx, func(tx ReadTx) error {
		pairs = snapshotReader{tx}.scan(from, to, wanted)
		return nil
	}))
	if !t.never {
		t.scans = append(t.scans, scanned{bytes.Clone(from), bytes.Clone(to), wanted, t.local.sum(pairs)})
	}
	return overlay(pairs, own, limit)
}

// overlay merges the transaction's own writes into what it scanned.
func overlay(pairs []Pair, own map[string][]byte, limit int) []Pair {
	for k, v := range own {
		i, found := slices.BinarySearchFunc(pairs, k, func(p Pair, k string) int { return strings.Compare(string(p.Key), k) })
		switch {
		case found && v == nil:
			pairs = slices.Delete(pairs, i, i+1)
		case found:
			pairs[i].Value = v
		case v != nil:
			pairs = slices.Insert(pairs, i, Pair{[]byte(k), v})
		}
	}
	return pairs[:min(len(pairs), limit)]
}

func (t *Txn) fail(err error) {
	if t.err == nil && err != nil {
		t.err = err
	}
}

func (t *Txn) put(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	t.write(key, value)
}

func (t *Txn) delete(key []byte) { t.write(key, nil) }

func (t *Txn) write(key, value []byte) {
	if t.writes == nil {
		t.writes = map[string][]byte{}
	}
	t.writes[string(key)] = value
}

// AfterCommit runs f once the transaction is durable, in the caller's goroutine.
func (t *Txn) AfterCommit(f func()) { t.after = append(t.after, f) }

// errMoved is the check's answer when something that was read has changed.
var errMoved = errors.New("store: a record changed meanwhile")

func (t *Txn) check(tx ReadTx) error {
	for k, v := range t.reads {
		now := tx.Get([]byte(k))
		if (now == nil) != (v == nil) || !bytes.Equal(now, v) {
			return errMoved
		}
	}
	for _, s := range t.scans {
		if t.local.sumScan(tx, s) != s.sum {
			return errMoved
		}
	}
	return nil
}

func (t *Txn) apply(tx Tx) {
	for _, k := range t.order() {
		if v := t.writes[k]; v == nil {
			tx.Delete([]byte(k))
		} else {
			tx.Put([]byte(k), v)
			if k[0] == 'a' {
				chain(tx, k[1:], v)
			}
		}
	}
}

// order makes apply touch the tree front to back.
func (t *Txn) order() []string {
	keys := make([]string, 0, len(t.writes))
	for k := range t.writes {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (l *Local) sum(pairs []Pair) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, p := range pairs {
		maphash.WriteComparable(&h, len(p.Key))
		_, _ = h.Write(p.Key)
		maphash.WriteComparable(&h, len(p.Value))
		_, _ = h.Write(p.Value)
	}
	return h.Sum64()
}

func (l *Local) sumScan(tx ReadTx, s scanned) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	n := 0
	for k, v := range tx.Scan(s.from, s.to) {
		if n == s.limit {
			break
		}
		maphash.WriteComparable(&h, len(k))
		_, _ = h.Write(k)
		maphash.WriteComparable(&h, len(v))
		_, _ = h.Write(v)
		n++
	}
	return h.Sum64()
}
