package index_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// Each record of the index is lost and is damaged once, and each time the check says so.
func TestCheckFindsEveryBrokenRecord(t *testing.T) {
	k := threeImages(t)
	k.put(image("acme/next", 5), inventory("pkg:npm/queued@1"))
	var all []store.Pair
	k.view(func(r store.Records) error {
		all = r.Space("sbom").Scan(nil, nil, 1000)
		return nil
	})
	classes := map[byte]bool{}
	for _, p := range all {
		classes[p.Key[0]] = true
		for what, value := range map[string][]byte{"lost": nil, "damaged": append(bytes.Clone(p.Value), 0xff, 0xff)} {
			if what == "lost" && p.Key[0] == '!' {
				continue // there is another with the next fold
			}
			if what == "damaged" && p.Key[0] == 'r' {
				continue // it has no value
			}
			k.set(p.Key, value)
			problems, err := index.Check(k.ctx, k.local, nil, 50)
			if err != nil || len(problems) == 0 {
				t.Errorf("%+q %s: %v %v", p.Key, what, problems, err)
			}
			k.set(p.Key, p.Value)
		}
	}
	if want := "!#qwfmksrnNvplLcji"; len(classes) != len(want) {
		t.Errorf("%d classes of records, want those of %q", len(classes), want)
	}
	k.check()
	for _, p := range all {
		var other []byte // as good as the one that is there, and wrong
		switch end := len(p.Key) - 1; p.Key[0] {
		case 'v':
			other = append(bytes.Clone(p.Key[:5]), "0.0.1\x0012345678"...)
		case 'r':
			other = append(bytes.Clone(p.Key[:end]), p.Key[end]%3+1) // an image that has another set
		case 'q':
			other = append(bytes.Clone(p.Key), 'x')
		default:
			continue
		}
		k.set(other, p.Value)
		if problems, err := index.Check(k.ctx, k.local, nil, 50); err != nil || len(problems) == 0 {
			t.Errorf("%+q is wrong: %v %v", other, problems, err)
		}
		k.set(other, nil)
	}
	for _, key := range []string{"i\x00\x00\x00\x00\x00\x00\x00\x63", "j\x00\x00\x00\x00\x00\x00\x00\x63", "kother/repo\x00\x00\x00\x00\x00"} {
		k.set([]byte(key), []byte{0, 1})
		if problems, err := index.Check(k.ctx, k.local, nil, 50); err != nil || len(problems) == 0 {
			t.Errorf("%+q is too many: %v %v", key, problems, err)
		}
		k.set([]byte(key), nil)
	}
}

func (k *kit) set(key, value []byte) {
	k.Helper()
	if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
		if s := tx.Space("sbom"); value == nil {
			s.Delete(key)
		} else {
			s.Put(key, value)
		}
		return nil
	}); err != nil {
		k.Fatal(err)
	}
}

func TestCheckComparesWithTheDocuments(t *testing.T) {
	k := threeImages(t)
	documents := map[store.Item]*sbom.Inventory{
		image("acme/app", 1): inventory("pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1|Apache-2.0", "pkg:npm/%40babel/core@7.1.0|MIT", "pkg:deb/debian/libc6@2.36-9?distro=debian-12|LGPL-2.1-only AND GPL-3.0-only"),
		image("acme/web", 2): inventory("pkg:maven/org.apache.logging.log4j/log4j-core@2.17.0|Apache-2.0", "pkg:npm/left-pad@1.3.0|WTFPL"),
	}
	read := func(_ context.Context, i store.Item, o index.Origin) (*sbom.Inventory, error) {
		if o.Kind != "generated" {
			t.Errorf("origin %+v", o)
		}
		return documents[i], nil
	}
	problems, err := index.Check(k.ctx, k.local, read, 50)
	if err != nil || len(problems) != 3 {
		t.Fatalf("%v %v", problems, err)
	}
	text := problems[0].String() + problems[1].String() + problems[2].String()
	for _, want := range []string{"2.17.1, which its document does not have", "2.17.0, which is not indexed", "is gone"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	failure := errors.New("unreadable")
	if _, err := index.Check(k.ctx, k.local, func(context.Context, store.Item, index.Origin) (*sbom.Inventory, error) { return nil, failure }, 5); !errors.Is(err, failure) {
		t.Error(err)
	}
}
