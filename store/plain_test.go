package store

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// summarised is a record with everything that Plain reads.
type summarised struct {
	Text    string            `json:"text"`
	Number  int64             `json:"number"`
	Is      bool              `json:"is"`
	List    []string          `json:"list,omitempty"`
	Map     map[string]string `json:"map,omitempty"`
	Any     map[string]any    `json:"any,omitempty"`
	Inner   []TagRecord       `json:"inner,omitempty"`
	Nothing []string          `json:"nothing"`
}

func (s *summarised) read(p *Plain) bool {
	for p.Enter('{'); p.More('}'); {
		switch p.Key() {
		case "text":
			s.Text = p.Text()
		case "number":
			s.Number = p.Int()
		case "is":
			s.Is = p.Bool()
		case "list":
			s.List = p.Texts()
		case "map":
			s.Map = p.TextMap()
		case "any":
			p.Decode(&s.Any)
		case "inner":
			s.Inner = []TagRecord{}
			for p.Enter('['); p.More(']'); {
				var t TagRecord
				for p.Enter('{'); p.More('}'); {
					switch p.Key() {
					case "current":
						t.Current = Digest(p.Text())
					case "current_at":
						t.CurrentAt = p.Time()
					default:
						p.Fail()
					}
				}
				s.Inner = append(s.Inner, t)
			}
		case "nothing":
			if !p.Null() {
				s.Nothing = p.Texts()
			}
		default:
			p.Fail()
		}
	}
	return p.End()
}

// agrees holds that what a reader takes is what encoding/json makes of it.
func agrees[T any, P written[T]](t *testing.T, b []byte) (taken bool) {
	t.Helper()
	got, want, p := new(T), new(T), ReadPlain(b)
	if !P(got).read(&p) {
		return false
	}
	if err := json.Unmarshal(b, want); err != nil {
		t.Fatalf("encoding/json refuses what was taken: %v in %s", err, b)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\ngot  %+v\nwant %+v", b, got, want)
	}
	return true
}

func marshalled(t testing.TB, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPlainReadsWhatEncodingJSONWrote(t *testing.T) {
	d := DigestOf(digest.SHA256, nil)
	for _, s := range []summarised{
		{}, {Text: "<é\" \x00 \\ \u2028", Number: -1 << 63, Is: true, List: []string{"", "x"}, Map: map[string]string{"a\"": "b", "": ""}, Nothing: []string{}},
		{Any: map[string]any{"x": []any{"]}\"\\", map[string]any{}}, "n": 1.5}, Inner: []TagRecord{{Current: d, CurrentAt: moment}, {}}, Number: 10, Nothing: []string{"null"}},
	} {
		b := marshalled(t, s)
		if taken := agrees[summarised](t, b); !taken && !bytes.Contains(b, []byte(`a\"`)) { // keys with escapes are left to encoding/json
			t.Errorf("not read: %s", b)
		}
	}
	for _, r := range records() {
		if r.detail != nil && !agrees[Detail](t, r.detail) && !bytes.Contains(r.detail, []byte("missing")) {
			t.Errorf("not read: %s", r.detail)
		}
	}
	if !agrees[TagRecord](t, marshalled(t, TagRecord{d, d, moment, moment, "r", "c", true})) || !agrees[BlobRecord](t, marshalled(t, BlobRecord{1, moment, true})) {
		t.Error("a record is not read")
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"text":"x","number":-12,"is":true}`, `{"number":01}`, `{"number":1.5}`, `{"number":-0}`, `{,"number":1}`, `{"number":1,}`, `{"list":[,"x"]}`, `{"list":["x",]}`, `{"list":["x"}`,
		`{"text":"\u0000\ud800"}`, `{"text":"` + "\xff" + `"}`, `{"text":"` + "\x01" + `"}`, `{"TEXT":"x"}`, `{"text":null}`, `{"nothing":null}`, `{"is":truefalse}`, `{"any":{"x":[1,{"y":"\"}"}]}}`,
		`{"any":{]}`, `{"any":{`, `{"any":1}`, `{"map":{"x":"y","x":"z"}}`, ` {}`, `{} `, `{"inner":[{"current":"x","current_at":"2026-01-01T00:00:00Z"},{}]}`, `{"text":"x"`, `{"text`, `{"text":`, ``, `[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := StrictJSON(b); err != nil && strings.Contains(err.Error(), "twice") { // encoding/json merges the two
			return
		}
		agrees[summarised](t, b)
	})
}
