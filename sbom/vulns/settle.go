package vulns

import (
	"context"
	"errors"

	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// errMoved says that somebody else wrote meanwhile.
var errMoved = errors.New("vulns: changed meanwhile")

// A commit writes at most so much: other writers wait for it.
const (
	commitKeys  = 2000
	commitBytes = 2 << 20
)

// commit writes records, and what chunks say of them, if what was read before still holds. A nil value deletes.
func (x *Matcher) commit(ctx context.Context, g guarded, writes map[string][]byte) error {
	return x.local.Update(ctx, func(tx *store.Txn) error {
		s := tx.Space(space)
		if err := g.check(s.SpaceReader); err != nil {
			return err
		}
		for key, value := range writes {
			if value == nil {
				s.Delete([]byte(key))
			} else {
				s.Put([]byte(key), value)
			}
		}
		return keepChunks(s, writes)
	})
}

// settle ends an import that was cut off, and tidies up behind one that was not: cells keep what readers see alone. It is harmless at any time when no import
// runs, and goes on where it was cut off. The caller holds x.importing.
func (x *Matcher) settle(ctx context.Context) error {
	var raw []byte
	var st state
	if err := x.local.View(ctx, func(s store.Snapshot) (err error) {
		raw = s.Space(space).Get(keyState)
		raw = append([]byte(nil), raw...)
		st, err = decodeState(nilIfEmpty(raw))
		return err
	}); err != nil {
		return err
	}
	if st.stage != 0 || st.evaluating {
		st.stage, st.evaluating = 0, false
		if err := x.commit(ctx, guarded{string(keyState): raw}, map[string][]byte{string(keyState): st.encode()}); err != nil {
			return err
		}
	}
	for {
		more, err := x.settlePage(ctx, st)
		if err != nil || !more {
			return err
		}
	}
}

func nilIfEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// settlePage settles what one record of the journal names.
func (x *Matcher) settlePage(ctx context.Context, st state) (more bool, err error) {
	x.writing.Lock() // who matches or sweeps meanwhile may write what is read here
	defer x.writing.Unlock()
	writes := map[string][]byte{}
	if err := x.local.View(ctx, func(s store.Snapshot) error {
		r := reading{s.Space(space), st.head}
		page := r.s.Scan([]byte("j"), []byte("k"), 1)
		if more = len(page) == 1; !more {
			return nil
		}
		writes[string(page[0].Key)] = nil
		list := pack.Open(page[0].Value)
		for range list.Count() {
			if err := r.settle(list.Bytes(), writes); err != nil {
				return err
			}
		}
		if !list.Done() {
			return pack.Damaged("journal")
		}
		return nil
	}); err != nil || !more {
		return false, err
	}
	return true, x.commit(ctx, guarded{string(keyState): st.encode()}, writes)
}

// settle brings one key into its final form.
func (r reading) settle(key []byte, writes map[string][]byte) error {
	if len(key) == 0 {
		return pack.Damaged("journal")
	}
	b := r.s.Get(key)
	if b == nil {
		return nil
	}
	if key[0] == 'l' {
		name, id, ok := linkIn(key)
		if !ok {
			return pack.Damaged("journal")
		}
		a, err := r.advisory(id)
		if err == nil && (a == nil || !a.GoesBy(name)) {
			writes[string(key)] = nil
		}
		return err
	}
	list, n, err := decodeCell(b)
	if err != nil {
		return err
	}
	if n == 1 && list[0].generation <= r.generation && list[0].bytes != nil {
		return nil
	}
	writes[string(key)], err = settled(b, r.generation)
	return err
}
