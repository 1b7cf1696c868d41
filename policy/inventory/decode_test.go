package inventory

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Records of SBOMs are read as encoding/json reads them, with every field that there is or will be, and without it.
func TestSBOMRecordsAreReadAsTheyWereWritten(t *testing.T) {
	at, digests := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), []store.Digest{"sha256:a", "sha256:b"}
	summary := sbom.Summary{Generator: "<syft> é", Created: at, Distro: "debian", DistroVer: "12", Packages: -1, ByType: store.Counts{{Name: "npm", N: 1}}, ByLicense: store.NewCounts(map[string]int{"MIT OR é": 2, "": 0}), Unlicensed: 3, DiffIDs: "match"}
	full := Generated{Failed: "no", Summary: summary, Docs: map[sbom.Format]store.Digest{sbom.SPDX: "sha256:c"}, Attached: digests, By: "assay", Renewed: true, Old: digests, At: at}
	read := Record{Work: "w", Origin: "o", Declared: "d", Format: "f", Summary: &summary, Found: "x", Failed: "no",
		Drift: &Drift{Declared: "a", Signer: "s", Absent: 1, Undeclared: 2, AbsentList: []string{"p", ""}, UndeclaredList: []string{"q"}}}
	for _, v := range []any{full, read, *read.Drift, summary} {
		for i := range reflect.TypeOf(v).NumField() {
			if f := reflect.TypeOf(v).Field(i); f.IsExported() && f.Tag.Get("json") != "-" && reflect.ValueOf(v).Field(i).IsZero() {
				t.Errorf("%T.%s is not among what is read here", v, f.Name)
			}
		}
	}
	for _, r := range []*Generated{&full, {}, {Failed: "no"}} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, want := new(Generated), new(Generated)
		if p := store.ReadPlain(b); !got.read(&p) {
			t.Errorf("not read (a new field is read in decode.go, too): %s", b)
		}
		if err := json.Unmarshal(b, want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v, %v", got, want, err)
		}
	}
	for _, r := range []*Record{&read, {}, {Work: "w", Origin: OriginGenerated}} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, want := new(Record), new(Record)
		if p := store.ReadPlain(b); !got.read(&p) {
			t.Errorf("not read (a new field is read in decode.go, too): %s", b)
		}
		if err := json.Unmarshal(b, want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v, %v", got, want, err)
		}
	}
	for _, text := range []string{`{"failed": "spaces"}`, `{"summary":{"by_license":{"a \u0026 b":1}}}`, `{"FAILED":"x"}`, `{"summary":null,"more":1}`, `{"failed":1}`, `{`, ``} {
		want := new(Generated)
		wrong := json.Unmarshal([]byte(text), want) != nil
		if got, err := DecodeGenerated([]byte(text)); (err != nil) != wrong || !wrong && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
}
