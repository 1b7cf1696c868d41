package storetest

import (
	"context"
	"io"
	"sync"

	"github.com/assay-registry/assay/store"
)

// Outcome is what becomes of one write.
type Outcome int

// The outcomes. A caller cannot tell Lost from Kept: it has to be right after both.
const (
	Pass Outcome = iota // the write happens
	Lost                // the write fails and has no effect
	Kept                // the write fails for its caller and has its effect all the same
)

// Faults wraps drivers and fails chosen writes. Reads always pass. The zero value fails nothing.
type Faults struct {
	// Decide is asked before each write. n counts the writes of everything this value wraps, from 1; op is "update", "ingest", "append", "seal",
	// "cancel", "delete" or "sweep". nil passes everything.
	Decide func(n int, op string) Outcome
	// Err is what a failed write answers; nil is a CodeUnavailable.
	Err error

	mu sync.Mutex // guards n, and serialises Decide
	n  int
}

// Nth is a Decide that fails the nth write alone.
func Nth(n int, o Outcome) func(int, string) Outcome {
	return func(i int, _ string) Outcome {
		if i == n {
			return o
		}
		return Pass
	}
}

// Writes is the number of writes so far: run once without faults to learn how many there are to fail.
func (f *Faults) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *Faults) next(op string) Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.Decide == nil {
		return Pass
	}
	return f.Decide(f.n, op)
}

func (f *Faults) err() error {
	if f.Err != nil {
		return f.Err
	}
	return store.Errorf(store.CodeUnavailable, "this write was made to fail")
}

// do runs a write as decided. An error of the write itself comes first, as it would without the fault.
func (f *Faults) do(op string, write func() error) error {
	o := f.next(op)
	if o == Lost {
		return f.err()
	}
	if err := write(); err != nil || o == Pass {
		return err
	}
	return f.err()
}

// KV wraps kv. A lost Update still runs its check, on a snapshot.
func (f *Faults) KV(kv store.KV) store.KV { return faultyKV{f, kv} }

type faultyKV struct {
	f *Faults
	store.KV
}

func (kv faultyKV) Update(ctx context.Context, check func(store.ReadTx) error, apply func(store.Tx)) error {
	switch kv.f.next("update") {
	case Pass:
		return kv.KV.Update(ctx, check, apply)
	case Kept:
		if err := kv.KV.Update(ctx, check, apply); err != nil {
			return err
		}
	case Lost:
		if check != nil {
			if err := kv.View(ctx, check); err != nil {
				return err
			}
		}
	}
	return kv.f.err()
}

// Blobs wraps b. The result is a store.Sweeper if b is one; else its Sweep answers CodeUnsupported.
func (f *Faults) Blobs(b store.Blobs) store.Blobs { return faultyBlobs{f, b} }

type faultyBlobs struct {
	f *Faults
	store.Blobs
}

func (b faultyBlobs) Delete(ctx context.Context, d store.Digest) error {
	return b.f.do("delete", func() error { return b.Blobs.Delete(ctx, d) })
}

func (b faultyBlobs) Sweep(ctx context.Context, before int64) (n int, err error) {
	s, ok := b.Blobs.(store.Sweeper)
	if !ok {
		return 0, store.Errorf(store.CodeUnsupported, "%T sweeps no sessions", b.Blobs)
	}
	err = b.f.do("sweep", func() error { n, err = s.Sweep(ctx, before); return err })
	return n, err
}

func (b faultyBlobs) Ingest(ctx context.Context, o store.IngestOptions) (i store.Ingest, err error) {
	err = b.f.do("ingest", func() error { i, err = b.Blobs.Ingest(ctx, o); return err })
	if err == nil {
		return faultyIngest{b.f, i}, nil
	}
	if i != nil {
		_ = i.Close() // the session began, and its caller does not know
	}
	return nil, err
}

type faultyIngest struct {
	f *Faults
	store.Ingest
}

func (i faultyIngest) Append(ctx context.Context, offset int64, r io.Reader) (n int64, err error) {
	err = i.f.do("append", func() error { n, err = i.Ingest.Append(ctx, offset, r); return err })
	return n, err
}

func (i faultyIngest) Seal(ctx context.Context, d store.Digest) (s store.Staged, err error) {
	err = i.f.do("seal", func() error { s, err = i.Ingest.Seal(ctx, d); return err })
	if err != nil {
		return store.Staged{}, err
	}
	return s, nil
}

func (i faultyIngest) Cancel(ctx context.Context) error {
	return i.f.do("cancel", func() error { return i.Ingest.Cancel(ctx) })
}
