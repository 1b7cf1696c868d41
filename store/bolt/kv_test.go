package bolt_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/storetest"
)

func open(t testing.TB, path string, o bolt.Options) *bolt.KV {
	t.Helper()
	if o.Fatal == nil {
		o.Fatal = func(err error) { t.Errorf("Fatal: %v", err) }
	}
	kv, err := bolt.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func shut(t testing.TB, kv *bolt.KV) {
	t.Helper()
	if err := kv.Close(); err != nil {
		t.Error(err)
	}
}

// set commits one pair.
func set(kv store.KV, key, value string) error {
	return kv.Update(context.Background(), nil, func(tx store.Tx) { tx.Put([]byte(key), []byte(value)) })
}

// get reads one value; "" is none.
func get(t testing.TB, kv store.KV, key string) (value string) {
	t.Helper()
	err := kv.View(context.Background(), func(tx store.ReadTx) error { value = string(tx.Get([]byte(key))); return nil })
	if err != nil {
		t.Error(err)
	}
	return value
}

func TestKV(t *testing.T) {
	storetest.TestKV(t, func(t *testing.T) store.KV { return open(t, filepath.Join(t.TempDir(), "meta.db"), bolt.Options{}) })
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meta.db")
	for n := range 4 {
		kv := open(t, path, bolt.Options{})
		for k := range n {
			if got := get(t, kv, fmt.Sprint(k)); got != "kept" {
				t.Errorf("opening %d: key %d holds %q", n, k, got)
			}
		}
		if err := set(kv, fmt.Sprint(n), "kept"); err != nil {
			t.Error(err)
		}
		if err := kv.Check(context.Background()); err != nil {
			t.Error(err)
		}
		shut(t, kv)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meta.db")
	if _, err := bolt.Open(path, bolt.Options{ReadOnly: true}); store.CodeOf(err) != store.CodeUnavailable || !strings.Contains(err.Error(), "there is no metadata file") {
		t.Errorf("a missing file: %v", err)
	}
	kv := open(t, path, bolt.Options{})
	if err := set(kv, "a", "1"); err != nil {
		t.Fatal(err)
	}
	shut(t, kv)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	one, two := open(t, path, bolt.Options{ReadOnly: true}), open(t, path, bolt.Options{ReadOnly: true})
	if got := get(t, one, "a"); got != "1" {
		t.Errorf("a holds %q", got)
	}
	if err := set(two, "a", "2"); store.CodeOf(err) != store.CodeUnsupported {
		t.Errorf("Update: %v", err)
	}
	if err := two.Check(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := bolt.Open(path, bolt.Options{}); store.CodeOf(err) != store.CodeConflict {
		t.Errorf("opening for writing beside readers: %v", err)
	}
	shut(t, one)
	shut(t, two)
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file changed, %v", err)
	}
}

func TestE11_SecondServerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meta.db")
	kv := open(t, path, bolt.Options{})
	for _, o := range []bolt.Options{{}, {ReadOnly: true}} {
		_, err := bolt.Open(path, o)
		if store.CodeOf(err) != store.CodeConflict || !strings.Contains(err.Error(), path+" is in use by another process; stop") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := set(kv, "a", "1"); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
	shut(t, kv)
	shut(t, open(t, path, bolt.Options{}))
}

// TestDamagedFile opens files that were cut, overwritten or never were a database: an error with a sentence, no panic and no lock left behind.
func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	kv := open(t, whole, bolt.Options{})
	for n := range 200 {
		if err := set(kv, fmt.Sprintf("key-%04d", n), strings.Repeat("v", 3000)); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, kv)
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	zero := func(from, to int) []byte {
		c := append([]byte{}, content...)
		clear(c[from:to])
		return c
	}
	for name, c := range map[string][]byte{
		"text":            []byte(strings.Repeat("this is no database\n", 1000)),
		"one page":        content[:page],
		"two pages":       content[:2*page],
		"three pages":     content[:3*page],
		"half":            content[:len(content)/2],
		"a quarter":       content[:len(content)/4/page*page],
		"odd":             content[:len(content)/3+17],
		"both metas gone": zero(0, 2*page),
		"data gone":       zero(2*page, len(content)),
	} {
		for _, readOnly := range []bool{true, false} {
			path := filepath.Join(dir, fmt.Sprintf("%s %v.db", name, readOnly))
			if err := os.WriteFile(path, c, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time shows that no lock was left behind
				kv, err := bolt.Open(path, bolt.Options{ReadOnly: readOnly})
				if err == nil {
					if name == "half" || name == "odd" || name == "a quarter" { // the file is larger than what is used: allowed if nothing is missing
						err = kv.Check(context.Background())
						shut(t, kv)
						if err == nil {
							break
						}
					}
					t.Errorf("%s, read only %v: opened, check says %v", name, readOnly, err)
					break
				}
				if store.CodeOf(err) != store.CodeUnavailable || !strings.Contains(err.Error(), path) {
					t.Errorf("%s, read only %v: %v", name, readOnly, err)
				}
			}
		}
	}
	shut(t, open(t, whole, bolt.Options{}))
}

// TestApplyPanicStops runs itself as a child, for a panic and for a goroutine that ends (as t.Fatal does).
func TestApplyPanicStops(t *testing.T) {
	const child = "ASSAY_TEST_APPLY_PANIC"
	if path := os.Getenv(child); path != "" {
		defer func() { fmt.Println("recovered", recover()) }()
		kv, err := bolt.Open(path, bolt.Options{})
		if err == nil {
			err = kv.Update(context.Background(), nil, func(tx store.Tx) { tx.Put([]byte("half"), nil); tx.Put(nil, nil) })
		}
		fmt.Println("returned", err)
		return
	}
	path := filepath.Join(t.TempDir(), "meta.db")
	cmd := exec.Command(os.Args[0], "-test.run=^TestApplyPanicStops$")
	cmd.Env = append(os.Environ(), child+"="+path)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "key required") || strings.Contains(string(out), "recovered") || strings.Contains(string(out), "returned") {
		t.Errorf("the process lived on: %v\n%s", err, out)
	}
	kv := open(t, path, bolt.Options{})
	defer shut(t, kv)
	err = kv.View(context.Background(), func(tx store.ReadTx) error {
		if tx.Get([]byte("half")) != nil {
			t.Error("half a change was committed")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
