package policy

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/assay-registry/assay/store"
)

// Records of SBOMs are read as encoding/json reads them, with every field that there is or will be, and without it.
func TestSBOMRecordsAreReadAsTheyWereWritten(t *testing.T) {
	var full sbomRecord
	var read ingested
	n := 0
	for _, v := range []any{&full.Failed, &full.Summary, &full.Docs, &full.Attached, &full.By, &full.Renewed, &full.Old, &full.At} {
		fill(reflect.ValueOf(v).Elem(), &n)
	}
	fill(reflect.ValueOf(&read).Elem(), &n)
	for _, r := range []*sbomRecord{&full, {}, {Failed: "no"}} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, want := new(sbomRecord), new(sbomRecord)
		if p := store.ReadPlain(b); !got.read(&p) {
			t.Errorf("not read (a new field is read in sbomread.go, too): %s", b)
		}
		if err := json.Unmarshal(b, want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v, %v", got, want, err)
		}
	}
	for _, r := range []*ingested{&read, {}, {Work: "w", Origin: originGenerated}} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, want := new(ingested), new(ingested)
		if p := store.ReadPlain(b); !got.read(&p) {
			t.Errorf("not read (a new field is read in sbomread.go, too): %s", b)
		}
		if err := json.Unmarshal(b, want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v, %v", got, want, err)
		}
	}
	for _, text := range []string{`{"failed": "spaces"}`, `{"FAILED":"x"}`, `{"summary":null,"more":1}`, `{"failed":1}`, `{`, ``} {
		want := new(sbomRecord)
		wrong := json.Unmarshal([]byte(text), want) != nil
		if got, err := decodeSBOM([]byte(text)); (err != nil) != wrong || !wrong && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
}
