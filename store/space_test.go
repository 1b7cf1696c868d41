package store_test

import (
	"errors"
	"testing"

	"github.com/assay-registry/assay/store"
)

func TestSpacesAreOrderedAndApart(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		if err := k.l.Update(k.ctx, func(tx *store.Txn) error {
			for _, name := range []string{"a", "ab", "b"} {
				s := tx.Space(name)
				for _, key := range []string{"3", "1", "2", "\xff\xff"} {
					s.Put([]byte(key), []byte(name+key))
				}
			}
			s := tx.Space("ab")
			s.Delete([]byte("2"))
			if got := pairs(s.Scan(nil, nil, 10)); got != "1=ab1 3=ab3 \xff\xff=ab\xff\xff " {
				t.Errorf("within the transaction: %q", got)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := k.l.View(k.ctx, func(s store.Snapshot) error {
			r := s.Space("ab")
			if got := pairs(r.Scan([]byte("1"), nil, 2)); got != "1=ab1 3=ab3 " {
				t.Errorf("two from 1: %q", got)
			}
			if got := pairs(r.Scan([]byte("2"), []byte("3\x00"), 9)); got != "3=ab3 " {
				t.Errorf("from 2 to 3: %q", got)
			}
			if r.Get([]byte("2")) != nil || string(r.Get([]byte("3"))) != "ab3" || s.Space("c").Get([]byte("3")) != nil {
				t.Error("a key is in the wrong place")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if problems, err := k.l.Check(k.ctx, true, 10); err != nil || len(problems) > 0 {
			t.Errorf("check: %v %v", problems, err)
		}
	})
}

func pairs(list []store.Pair) (s string) {
	for _, p := range list {
		s += string(p.Key) + "=" + string(p.Value) + " "
	}
	return s
}

// What a transaction read in a space is checked at its commit, keys and ranges; what it only wrote conflicts with nobody.
func TestSpacesAreSerializable(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		for name, c := range map[string]struct {
			read func(s store.Space)
			runs int
		}{
			"a key":                {func(s store.Space) { s.Get([]byte("x")) }, 2},
			"a range":              {func(s store.Space) { s.Scan(nil, nil, 5) }, 2},
			"another key":          {func(s store.Space) { s.Get([]byte("y")) }, 1},
			"a range that ends":    {func(s store.Space) { s.Scan(nil, []byte("x"), 5) }, 1},
			"nothing, but written": {func(s store.Space) { s.Put([]byte("x"), []byte("mine")) }, 1},
		} {
			runs := 0
			if err := k.l.Update(k.ctx, func(tx *store.Txn) error {
				s := tx.Space("test")
				c.read(s)
				s.Put([]byte("z"+name), []byte("1"))
				if runs++; runs == 1 {
					return k.l.Update(k.ctx, func(other *store.Txn) error {
						other.Space("test").Put([]byte("x"), []byte(name))
						return nil
					})
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if runs != c.runs {
				t.Errorf("%s: %d runs, want %d", name, runs, c.runs)
			}
		}
		failure := errors.New("no")
		if err := k.l.Update(k.ctx, func(tx *store.Txn) error {
			tx.Space("test").Put([]byte("never"), nil)
			return failure
		}); !errors.Is(err, failure) {
			t.Fatal(err)
		}
		if err := k.l.View(k.ctx, func(s store.Snapshot) error {
			if s.Space("test").Get([]byte("never")) != nil {
				t.Error("a transaction that failed has written")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSpacesHaveProperNames(t *testing.T) {
	for _, name := range []string{"", "A", "a\x00", "seventeenletterss"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is taken", name)
				}
			}()
			store.Records{}.Space(name)
		}()
	}
}
