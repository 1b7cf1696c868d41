package proof

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// fill gives every field of a struct a value that differs from zero.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, *n, 0, 0, 0, *n, time.UTC)))
		return
	case map[string]any:
		v.Set(reflect.ValueOf(map[string]any{"packages": float64(*n), "list": []any{"a}\"", nil}}))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("<text> é\x00 " + string(rune('a'+*n)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(int64(-*n))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, n)
		v.SetMapIndex(reflect.ValueOf("key é").Convert(v.Type().Key()), value)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

// A fact is read as encoding/json reads it, with every field that there is or will be.
func TestFactsAreReadAsTheyWereWritten(t *testing.T) {
	full, n := Known{}, 0
	fill(reflect.ValueOf(&full).Elem(), &n)
	stored := full
	stored.Elsewhere = nil
	for _, facts := range append([][]verify.Fact{stored.Facts}, stored.Under["key é"].Facts) {
		for i := range facts {
			facts[i].InheritedFrom, facts[i].Target, facts[i].Role = "", "", ""
		}
	}
	for _, c := range []struct {
		k    Known
		read bool
	}{{stored, true}, {Known{}, true}, {Known{Under: map[string]Judged{"": {}}}, true}, {Known{Under: map[string]Judged{"release": {Revision: "x", Facts: []verify.Fact{{}, {Verified: true}}}}}, true}, {full, false}} {
		b, err := json.Marshal(c.k)
		if err != nil {
			t.Fatal(err)
		}
		var got, want Known
		if p := store.ReadPlain(b); got.read(&p) != c.read {
			t.Errorf("read: %v (a new field of verify.Fact is read in read.go, too) for %s", !c.read, b)
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		if c.read && !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if decoded, err := Decode("sha256:x", b); err != nil || !reflect.DeepEqual(*decoded, want) {
			t.Errorf("got  %+v\nwant %+v, %v", decoded, want, err)
		}
	}
	if _, err := Decode("sha256:x", []byte(`{"under":`)); store.CodeOf(err) != store.CodeInternal {
		t.Error(err)
	}
}
