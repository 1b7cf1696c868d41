package fs

import (
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"testing"
)

// FuzzSidecar: no bytes on disk may crash a start, and a state that is taken continues at the recorded size.
func FuzzSidecar(f *testing.F) {
	h := sha256.New()
	h.Write([]byte("hello"))
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range []sidecar{
		{Version: 1, Scope: "acme/app ci", Algorithm: "sha256", Size: 5, Boot: "boot", State: state},
		{Version: 1, Algorithm: "sha512", Size: 5, Boot: "boot", State: state},
		{Version: 1, Algorithm: "sha256", Size: 6, Boot: "boot", State: state},
		{Version: 1, Algorithm: "sha256", Size: -1},
		{Version: 2, Algorithm: "md5"},
	} {
		seed, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
		f.Add(append(seed, " {}"...))
	}
	f.Add([]byte(`{"version":1,"algorithm":"sha256","other":1}`))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parseSidecar(content, "boot")
		if err != nil {
			return
		}
		if s.size < 0 || !s.filed || s.used {
			t.Errorf("%+v", s)
		}
		if s.hash != nil {
			if s.hash.Write([]byte("more")); len(s.hash.Sum(nil)) != s.hash.Size() {
				t.Error("a hash that does not hash")
			}
		}
		if other, err := parseSidecar(content, "another boot"); err != nil || other.hash != nil {
			t.Errorf("the state of another boot was taken: %v", err)
		}
	})
}

func TestSidecarKeepsTheHash(t *testing.T) {
	h := sha256.New()
	h.Write([]byte("hello"))
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(sidecar{Version: 1, Scope: "s", Algorithm: "sha256", Size: 5, Touched: 7, Boot: "boot", State: state})
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseSidecar(content, "boot")
	if err != nil || s.hash == nil || s.scope != "s" || s.touched != 7 {
		t.Fatalf("%+v, %v", s, err)
	}
	s.hash.Write([]byte(" world"))
	if got := sha256.Sum256([]byte("hello world")); string(s.hash.Sum(nil)) != string(got[:]) {
		t.Error("the resumed hash is another")
	}
	if s, err := parseSidecar(content, ""); err != nil || s.hash != nil {
		t.Error("without a boot id nothing may be trusted")
	}
}

func FuzzID(f *testing.F) {
	f.Add("0123456789abcdef0123456789abcdef")
	f.Add("../../../etc/passwd")
	f.Add("0123456789ABCDEF0123456789ABCDEF")
	f.Fuzz(func(t *testing.T, id string) {
		if !validID(id) {
			return
		}
		if len(id) != 32 {
			t.Errorf("%q", id)
		}
		for _, c := range id {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				t.Errorf("%q", id)
			}
		}
	})
}
