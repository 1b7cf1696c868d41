package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

// TestKV checks that a driver keeps the contract of [store.KV]. newKV answers an empty store; the suite closes it.
func TestKV(t *testing.T, newKV func(t *testing.T) store.KV) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, store.KV)
	}{
		{"absent key is nil", kvAbsent},
		{"empty value is not nil", kvEmptyValue},
		{"put, overwrite, delete", kvPutDelete},
		{"keys and values are copied", kvCopies},
		{"large keys and values", kvLarge},
		{"scan is ordered and half open", kvScan},
		{"scan sees what its writer changes ahead", kvScanWhileWriting},
		{"apply sees its own writes", kvOwnWrites},
		{"check cannot write", kvCheckReadOnly},
		{"an error of check costs its caller alone", kvCheckError},
		{"a panic of check costs its caller alone", kvCheckPanic},
		{"nil check and nil apply", kvNil},
		{"an error of View comes back", kvViewError},
		{"a view is one snapshot", kvSnapshot},
		{"a cancelled context runs nothing", kvCancelled},
		{"once submitted the context no longer cancels", kvSubmitted},
		{"one of many claims wins", kvClaims},
		{"no increment is lost", kvIncrements},
		{"concurrent readers see whole commits", kvWholeCommits},
		{"close drains and then refuses", kvClose},
		{"random operations agree with a model", kvModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			kv := newKV(t)
			t.Cleanup(func() {
				if err := kv.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			c.run(t, kv)
		})
	}
}

// put commits pairs "key=value".
func put(t testing.TB, kv store.KV, pairs ...string) {
	t.Helper()
	err := kv.Update(context.Background(), nil, func(tx store.Tx) {
		for _, p := range pairs {
			k, v, _ := strings.Cut(p, "=")
			tx.Put([]byte(k), []byte(v))
		}
	})
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// dump reads from <= key < to as "key=value"; nil is no bound.
func dump(tx store.ReadTx, from, to []byte) []string {
	var got []string
	for k, v := range tx.Scan(from, to) {
		got = append(got, string(k)+"="+string(v))
	}
	return got
}

// want compares the whole store with pairs.
func want(t testing.TB, kv store.KV, pairs ...string) {
	t.Helper()
	var got []string
	if err := kv.View(context.Background(), func(tx store.ReadTx) error { got = dump(tx, nil, nil); return nil }); err != nil {
		t.Fatalf("View: %v", err)
	}
	if !slices.Equal(got, pairs) {
		t.Errorf("store holds %q, want %q", got, pairs)
	}
}

func kvAbsent(t *testing.T, kv store.KV) {
	put(t, kv, "b=1")
	err := kv.View(context.Background(), func(tx store.ReadTx) error {
		for _, k := range []string{"a", "b\x00", "c", "bb"} {
			if v := tx.Get([]byte(k)); v != nil {
				t.Errorf("Get(%q) = %q, want nil", k, v)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func kvEmptyValue(t *testing.T, kv store.KV) {
	look := func(tx store.ReadTx) {
		for _, k := range []string{"empty", "nil"} {
			if v := tx.Get([]byte(k)); v == nil || len(v) != 0 {
				t.Errorf("Get(%q) = %#v, want empty and not nil", k, v)
			}
		}
		for k, v := range tx.Scan(nil, nil) {
			if v == nil {
				t.Errorf("Scan yields nil for %q", k)
			}
		}
	}
	err := kv.Update(context.Background(), nil, func(tx store.Tx) {
		tx.Put([]byte("empty"), []byte{})
		tx.Put([]byte("nil"), nil)
		look(tx)
	})
	if err == nil {
		err = kv.View(context.Background(), func(tx store.ReadTx) error { look(tx); return nil })
	}
	if err != nil {
		t.Error(err)
	}
}

func kvPutDelete(t *testing.T, kv store.KV) {
	put(t, kv, "a=1", "b=2", "c=3")
	put(t, kv, "b=two")
	want(t, kv, "a=1", "b=two", "c=3")
	err := kv.Update(context.Background(), nil, func(tx store.Tx) {
		tx.Delete([]byte("a"))
		tx.Delete([]byte("absent"))
	})
	if err != nil {
		t.Error(err)
	}
	want(t, kv, "b=two", "c=3")
}

func kvCopies(t *testing.T, kv store.KV) {
	err := kv.Update(context.Background(), nil, func(tx store.Tx) {
		k, v := []byte("key"), []byte("value")
		tx.Put(k, v)
		copy(k, "???")
		copy(v, "?????")
		d := []byte("key")
		tx.Delete([]byte("other"))
		copy(d, "???")
	})
	if err != nil {
		t.Error(err)
	}
	want(t, kv, "key=value")
}

func kvLarge(t *testing.T, kv store.KV) {
	key := bytes.Repeat([]byte("k"), 1<<10)
	for _, size := range []int{64 << 10, 64<<10 + 300, 4 << 20} {
		value := bytes.Repeat([]byte{byte(size)}, size)
		value[size/2] = 'x'
		if err := kv.Update(context.Background(), nil, func(tx store.Tx) { tx.Put(key, value) }); err != nil {
			t.Fatal(err)
		}
		err := kv.View(context.Background(), func(tx store.ReadTx) error {
			if !bytes.Equal(tx.Get(key), value) {
				t.Errorf("a value of %d bytes came back changed", size)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func kvScan(t *testing.T, kv store.KV) {
	put(t, kv, "b=2", "a=1", "\xff\xff=6", "c=4", "a\x00=0", "b\xff=3", "\xff=5")
	all := []string{"a=1", "a\x00=0", "b=2", "b\xff=3", "c=4", "\xff=5", "\xff\xff=6"}
	err := kv.View(context.Background(), func(tx store.ReadTx) error {
		for _, c := range []struct {
			from, to []byte
			want     []string
		}{
			{nil, nil, all},
			{[]byte("a"), []byte("b"), all[:2]},
			{[]byte("a\x00"), []byte("b\xff"), all[1:3]},
			{[]byte("aa"), []byte("d"), all[2:5]},
			{[]byte("c"), nil, all[4:]},
			{nil, []byte("b"), all[:2]},
			{[]byte("c"), []byte("c"), nil},
			{[]byte("d"), []byte("a"), nil},
			{nil, []byte{}, nil},
			{[]byte("\xff\xff\xff"), nil, nil},
		} {
			if got := dump(tx, c.from, c.to); !slices.Equal(got, c.want) {
				t.Errorf("Scan(%q, %q) = %q, want %q", c.from, c.to, got, c.want)
			}
		}
		n := 0
		for range tx.Scan(nil, nil) {
			if n++; n == 2 {
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// kvScanWhileWriting deletes and adds during a scan, over enough keys for several pages of a B+ tree.
func kvScanWhileWriting(t *testing.T, kv store.KV) {
	const n = 2000
	key := func(i int) []byte { return fmt.Appendf(nil, "key-%06d", i) }
	put(t, kv, "before=1", "zz=1")
	err := kv.Update(context.Background(), nil, func(tx store.Tx) {
		for i := range n {
			tx.Put(key(i), bytes.Repeat([]byte("v"), 50))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	err = kv.Update(context.Background(), nil, func(tx store.Tx) {
		next := 0
		for k := range tx.Scan([]byte("key-"), []byte("key.")) {
			if !bytes.Equal(k, key(next)) {
				t.Errorf("scan yields %q, want %q", k, key(next))
				return
			}
			tx.Delete(key(next))
			next++
			if next%3 == 0 { // removed ahead of the scan: skipped
				tx.Delete(key(next))
				next++
			}
			if next%2 == 0 && next < 2*n { // written ahead of the scan: seen
				tx.Put(key(next), []byte("new"))
			}
			tx.Put([]byte("before"), k) // written behind the scan: not seen again
			if next >= n {
				break
			}
		}
		if next < n {
			t.Errorf("scan ended at %d of %d", next, n)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func kvOwnWrites(t *testing.T, kv store.KV) {
	put(t, kv, "a=1", "b=2")
	err := kv.Update(context.Background(), func(tx store.ReadTx) error {
		if got := dump(tx, nil, nil); !slices.Equal(got, []string{"a=1", "b=2"}) {
			t.Errorf("check sees %q", got)
		}
		return nil
	}, func(tx store.Tx) {
		tx.Put([]byte("c"), []byte("3"))
		tx.Delete([]byte("a"))
		tx.Put([]byte("b"), []byte("two"))
		if got := dump(tx, nil, nil); !slices.Equal(got, []string{"b=two", "c=3"}) {
			t.Errorf("apply sees %q", got)
		}
		if v := tx.Get([]byte("a")); v != nil {
			t.Errorf("apply still gets %q", v)
		}
		if v := tx.Get([]byte("c")); string(v) != "3" {
			t.Errorf("apply gets %q", v)
		}
	})
	if err != nil {
		t.Error(err)
	}
	want(t, kv, "b=two", "c=3")
}

func kvCheckReadOnly(t *testing.T, kv store.KV) {
	refuse := func(tx store.ReadTx) error {
		if _, ok := tx.(store.Tx); ok {
			t.Errorf("%T can write", tx)
		}
		return nil
	}
	if err := kv.Update(context.Background(), refuse, func(store.Tx) {}); err != nil {
		t.Error(err)
	}
}

func kvCheckError(t *testing.T, kv store.KV) {
	put(t, kv, "a=1")
	mine := store.Errorf(store.CodeConflict, "not now")
	err := kv.Update(context.Background(), func(store.ReadTx) error { return mine }, func(store.Tx) { t.Error("apply ran") })
	if e, ok := errors.AsType[*store.Error](err); !ok || e != mine {
		t.Errorf("Update answers %v, want the error of check itself", err)
	}
	done := make(chan error)
	for i := range 32 {
		go func() {
			var check func(store.ReadTx) error
			if i%2 == 0 {
				check = func(store.ReadTx) error { return mine }
			}
			err := kv.Update(context.Background(), check, func(tx store.Tx) { tx.Put(fmt.Appendf(nil, "n%02d", i), nil) })
			if (i%2 == 0) != errors.Is(err, mine) || i%2 == 1 && err != nil {
				t.Errorf("caller %d got %v", i, err)
			}
			done <- err
		}()
	}
	for range 32 {
		<-done
	}
	pairs := []string{"a=1"}
	for i := 1; i < 32; i += 2 {
		pairs = append(pairs, fmt.Sprintf("n%02d=", i))
	}
	want(t, kv, pairs...)
}

func kvCheckPanic(t *testing.T, kv store.KV) {
	func() {
		defer func() {
			if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "check went wrong") {
				t.Errorf("recovered %v, want the panic of check", p)
			}
		}()
		err := kv.Update(context.Background(), func(store.ReadTx) error { panic("check went wrong") }, func(store.Tx) { t.Error("apply ran") })
		t.Errorf("Update returned %v", err)
	}()
	put(t, kv, "after=1")
	want(t, kv, "after=1")
}

func kvNil(t *testing.T, kv store.KV) {
	if err := kv.Update(context.Background(), nil, nil); err != nil {
		t.Error(err)
	}
	if err := kv.Update(context.Background(), func(store.ReadTx) error { return nil }, nil); err != nil {
		t.Error(err)
	}
	want(t, kv)
}

func kvViewError(t *testing.T, kv store.KV) {
	mine := errors.New("mine")
	if err := kv.View(context.Background(), func(store.ReadTx) error { return mine }); err != mine {
		t.Errorf("View answers %v, want the error of fn itself", err)
	}
}
