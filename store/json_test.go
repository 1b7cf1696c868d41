package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestStrictJSON(t *testing.T) {
	many := func(last string) string {
		var b strings.Builder
		b.WriteString("{")
		for i := range 100 {
			fmt.Fprintf(&b, "%q:{\"x\":1},", fmt.Sprint("k", i))
		}
		return b.String() + last + ":1}"
	}
	good := []string{
		`{}`, `[]`, ` {"a": [1, -0, 0.5, 1e5, 1E+5, 2e-7, true, false, null, ""]} ` + "\n", `"é 😀"`, `"\ud83d\ude00"`, `"\u0000\u0001\/\b\f\n\r\t\\\""`,
		`{"a":{"a":{"a":1}},"b":{"a":1}}`, `{"a":1,"A":1}`, `0`, `null`, many(`"K0"`),
		strings.Repeat("[", 100) + strings.Repeat("]", 100),
	}
	for _, s := range good {
		if err := StrictJSON([]byte(s)); err != nil {
			t.Errorf("%.60s: %v", s, err)
		}
	}
	bad := map[string]string{
		"":                                       "ends too early",
		" ":                                      "ends too early",
		"\ufeff{}":                               "byte order mark",
		"{}{}":                                   "after the end",
		"{} x":                                   "after the end",
		"{}\x00":                                 "after the end",
		"{\x00}":                                 "key was expected",
		`{"a":1,"a":2}`:                          "twice",
		`{"a":1,"\u0061":2}`:                     "twice",
		`{"\n":1,"\u000a":2}`:                    "twice",
		`{"x":{"q":[]},"x":1}`:                   "twice",
		many(`"k0"`):                             "twice",
		many(`"k99"`):                            "twice",
		"\"\xff\"":                               "not UTF-8",
		"\"\xed\xa0\x80\"":                       "not UTF-8",
		`{"\u0000":1}`:                           "NUL",
		`"\ud800"`:                               "no partner",
		`"\ud800\u0041"`:                         "no partner",
		`"\ude00\ud83d"`:                         "no partner",
		`"\u12"`:                                 "four hexadecimal",
		`"\x"`:                                   "no such escape",
		`"\`:                                     "ends within a string",
		`"abc`:                                   "ends within a string",
		"\"a\nb\"":                               "control character",
		`[1,]`:                                   "begins no value",
		`[1 2]`:                                  "comma",
		`{"a":1,}`:                               "key was expected",
		`{"a" 1}`:                                "colon",
		`{"a":1 "b":2}`:                          "comma",
		`{a:1}`:                                  "key was expected",
		`NaN`:                                    "begins no value",
		`Infinity`:                               "begins no value",
		`01`:                                     "after the end",
		`-`:                                      "no digits",
		`1.`:                                     "after its point",
		`1e`:                                     "exponent",
		`1e400`:                                  "out of range",
		strings.Repeat("9", 101):                 "too long",
		`tru`:                                    "begins no value",
		"{\x00\"\x00a\x00":                       "key was expected",
		strings.Repeat("[", 101):                 "nested too deeply",
		strings.Repeat("[", 10000):               "nested too deeply",
		"[" + strings.Repeat(`{"a":`, 1e5) + "1": "nested too deeply",
	}
	for s, want := range bad {
		if err := StrictJSON([]byte(s)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", s, err, want)
		}
	}
}

func TestMembersAndElements(t *testing.T) {
	var got []string
	err := Members([]byte(` { "\u0061" : [1, {"x":2}] , "b":null } `), func(k string, v []byte) error {
		got = append(got, k+"="+string(v))
		return nil
	})
	if want := []string{`a=[1, {"x":2}]`, `b=null`}; err != nil || !reflect.DeepEqual(got, want) {
		t.Fatal(got, err)
	}
	got = nil
	err = Elements([]byte(`[1, {"x":2} ,"s"]`), func(v []byte) error {
		got = append(got, string(v))
		return nil
	})
	if want := []string{`1`, `{"x":2}`, `"s"`}; err != nil || !reflect.DeepEqual(got, want) {
		t.Fatal(got, err)
	}
	for _, s := range []string{`[]`, `1`, ``, `{} {}`, `{"a":1,"a":1}`} {
		if Members([]byte(s), func(string, []byte) error { return nil }) == nil {
			t.Errorf("Members(%s) passed", s)
		}
	}
	for _, s := range []string{`{}`, `1`, ``, `[] []`, `[1,]`} {
		if Elements([]byte(s), func([]byte) error { return nil }) == nil {
			t.Errorf("Elements(%s) passed", s)
		}
	}
}

func TestDecodeJSONExactNames(t *testing.T) {
	type inner struct {
		Value int `json:"value"`
	}
	type outer struct {
		inner
		Kind string            `json:"kind"`
		List []*inner          `json:"list"`
		Map  map[string]string `json:"map"`
		Deep map[string]inner  `json:"deep"`
		Raw  json.RawMessage   `json:"raw"`
		None int               `json:"-"`
	}
	good := `{"value":1,"kind":"k","other":{"Kind":1},"list":[{"value":2}],"map":{"a":"1","A":"2"},"deep":{"Value":{"value":3}},"raw":{"Kind":1},"none":1}`
	var v outer
	if err := DecodeJSON([]byte(good), &v); err != nil || v.Kind != "k" || v.List[0].Value != 2 || v.Deep["Value"].Value != 3 || v.Value != 1 {
		t.Fatal(v, err)
	}
	for _, s := range []string{
		`{"Kind":"k"}`, `{"kind":"k","KIND":"l"}`, `{"list":[{"Value":1}]}`, `{"deep":{"x":{"VALUE":1}}}`, `{"\u212aind":"kelvin"}`, `{"li\u017ft":[]}`, `{"Value":1}`,
		`{"kind":1}`, `{"kind":"k"} x`,
	} {
		if err := DecodeJSON([]byte(s), &outer{}); err == nil {
			t.Errorf("%s passed", s)
		}
	}
}

func FuzzStrictJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"\ud83d\ude00",null]}`, `{"a":1,"\u0061":2}`, "\ufeff{}", `[[[[]]]]`, `-0.0E-9`, `{"a":{"b":{}}}{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if StrictJSON(b) != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is no JSON", b)
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		if m, ok := v.(map[string]any); ok {
			n := 0
			err := Members(b, func(key string, value []byte) error {
				var got any
				if err := json.Unmarshal(value, &got); err != nil || !reflect.DeepEqual(got, m[key]) {
					t.Fatalf("%q: %v %v", key, got, err)
				}
				n++
				return nil
			})
			if err != nil || n != len(m) {
				t.Fatal(n, len(m), err)
			}
		}
	})
}

func BenchmarkStrictJSON(b *testing.B) {
	entry := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + strings.Repeat("a", 64) + `","size":1234,"platform":{"os":"linux","architecture":"amd64"}}`
	doc := []byte(`{"schemaVersion":2,"manifests":[` + strings.TrimSuffix(strings.Repeat(entry+",", 1000), ",") + `]}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if err := StrictJSON(doc); err != nil {
			b.Fatal(err)
		}
	}
}
