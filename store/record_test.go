package store

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

var moment = time.Date(2026, 11, 20, 12, 0, 0, 123456789, time.UTC)

func records() map[string]*ManifestRecord {
	full := &Detail{
		Alternate: DigestOf(digest.SHA512, nil), ArtifactType: "application/x", Subject: DigestOf(digest.SHA256, []byte("s")), About: []Digest{DigestOf(digest.SHA256, nil)},
		Stood: []string{"sha256-00.sig"}, Pushers: []string{"ci", "dévé"}, FirstSeen: moment, Clock: moment, ChangedAt: moment, EverAdmitted: true,
		Missing: []Digest{DigestOf(digest.SHA256, []byte("m"))}, Registry: true, Decision: "id", DecidedAt: moment, Code: "policy.x", Reason: "because \x00 \n", Remedy: "sign it",
		Warnings: []string{"careful"}, Attempts: 3, NextAttempt: moment,
	}
	table := map[string]*ManifestRecord{
		"smallest": {}, "never ends": {State: StateAdmitted, Kind: KindImage, MediaType: TypeImage, Size: 1 << 40, Seq: 1<<64 - 1},
		"ends":      {State: StatePending, Kind: KindArtifact, MediaType: "application/vnd.acme.thing+json", ValidUntil: moment},
		"long type": {State: StateEvidence, Kind: KindEvidence, MediaType: strings.Repeat("x", 1<<16-1)},
	}
	for i, s := range stateCodes {
		table["state "+string(s)] = &ManifestRecord{State: s, Kind: kindCodes[i%len(kindCodes)]}
	}
	for name, r := range table {
		r.Digest = DigestOf(digest.SHA256, []byte(name))
		r.SetDetail(full)
		if name == "smallest" {
			r.SetDetail(&Detail{})
		}
	}
	return table
}

func TestRecordsSurviveEncoding(t *testing.T) {
	for name, r := range records() {
		b := r.encode()
		got, err := decodeRecord(r.Digest, b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: got %+v, want %+v, %v", name, got, r, err)
			continue
		}
		if v := decodeVerdict(b); v.State != r.State || v.Seq != r.Seq || !v.ValidUntil.Equal(r.ValidUntil) {
			t.Errorf("%s: verdict %+v", name, v)
		}
		want, err := r.Detail()
		if err != nil {
			t.Fatal(err)
		}
		if d, err := got.Detail(); err != nil || !reflect.DeepEqual(d, want) {
			t.Errorf("%s: detail %+v, want %+v, %v", name, d, want, err)
		}
		if r.Warn != (len(want.Warnings) > 0) {
			t.Errorf("%s: warn is %v", name, r.Warn)
		}
		for n := range min(len(b), recordFixed+len(r.MediaType)) {
			if _, err := decodeRecord(r.Digest, b[:n]); CodeOf(err) != CodeInternal {
				t.Fatalf("%s: the first %d of %d bytes decode: %v", name, n, len(b), err)
			}
		}
	}
}

// TestRecordCodesAreForEver: the numbers are in every data directory. New ones are added at the end.
func TestRecordCodesAreForEver(t *testing.T) {
	if want := []State{"", "quarantined", "pending", "admitted", "expired", "revoked", "tombstoned", "evidence"}; !slices.Equal(stateCodes[:len(want)], want) {
		t.Errorf("states %q", stateCodes)
	}
	if want := []Kind{"", "image", "index", "artifact", "attestation", "evidence"}; !slices.Equal(kindCodes[:len(want)], want) {
		t.Errorf("kinds %q", kindCodes)
	}
	r := ManifestRecord{State: StateAdmitted, Kind: KindIndex, MediaType: "a/b", Size: 5, Seq: 6, Warn: true, ValidUntil: time.Unix(0, 7), detail: []byte("{}")}
	want := "\x01\x03\x02\x01" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x00\x00\x00\x00\x00\x00\x06" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x00\x03" + "a/b" + "{}"
	if got := string(r.encode()); got != want {
		t.Errorf("layout %q, want %q", got, want)
	}
}

// FuzzRecord: no bytes crash the decoder; what decodes means the same when written again; the quick look agrees with the whole one.
func FuzzRecord(f *testing.F) {
	for _, r := range records() {
		if b := r.encode(); len(b) < 4096 {
			f.Add(b)
		}
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{1}, recordFixed))
	d := DigestOf(digest.SHA256, nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(d, b)
		if err != nil {
			if v := decodeVerdict(b); len(b) < recordFixed && v != (Verdict{}) {
				t.Errorf("a verdict from a record that does not decode: %+v", v)
			}
			return
		}
		if v := decodeVerdict(b); v.State != r.State || v.Seq != r.Seq || !v.ValidUntil.Equal(r.ValidUntil) {
			t.Errorf("verdict %+v of %+v", v, r)
		}
		_, _ = r.Detail() // may fail, must not panic
		again, err := decodeRecord(d, r.encode())
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}

func digests() []Digest {
	var ds []Digest
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, s := range []string{"", "a", "b"} {
			ds = append(ds, DigestOf(alg, []byte(s)))
		}
	}
	for _, fill := range []string{"00", "ff", "01", "02"} {
		ds = append(ds, Digest("sha256:"+strings.Repeat(fill, 32)), Digest("sha512:"+strings.Repeat(fill, 64)))
	}
	// A sha512 that begins with the bytes of a sha256.
	return append(ds, Digest("sha512:"+DigestOf(digest.SHA256, nil).Encoded()+strings.Repeat("00", 32)))
}

func TestDigestKeysArePrefixFree(t *testing.T) {
	for _, a := range digests() {
		for _, b := range digests() {
			if ka, kb := digestKey(a), digestKey(b); a != b && bytes.HasPrefix(kb, ka) {
				t.Errorf("the key of %s begins that of %s", a, b)
			}
		}
		got, rest, ok := readDigest(append(digestKey(a), "rest"...))
		if !ok || got != a || string(rest) != "rest" {
			t.Errorf("%s reads back as %s, %q, %v", a, got, rest, ok)
		}
		for n := range digestKey(a) {
			if got, _, ok := readDigest(digestKey(a)[:n]); ok {
				t.Errorf("%d bytes of the key of %s read as %s", n, a, got)
			}
		}
	}
	for _, first := range []byte{0, 3, 's', 0xff} {
		if got, _, ok := readDigest(append([]byte{first}, make([]byte, 64)...)); ok {
			t.Errorf("the algorithm %d reads as %s", first, got)
		}
	}
}

// TestKeysOfARepositoryStayTogether: no key of one repository lies in the range of another's, also where a name begins another's.
func TestKeysOfARepositoryStayTogether(t *testing.T) {
	names := []Name{"a", "a-b", "a.b", "a/b", "a/b-c", "a/b/c", "a0", "a__b", "aa", "ab", "b"}
	for _, class := range []byte("Rmbroptehxqws") {
		for _, a := range names {
			for _, b := range names {
				for _, d := range digests() {
					from, k := repoKey(class, a), repoKey(class, b, digestKey(d))
					inside := bytes.Compare(k, from) >= 0 && bytes.Compare(k, after(from)) < 0
					if inside != (a == b) {
						t.Errorf("%c: %s of %s lies in the range of %s: %v", class, d, b, a, inside)
					}
					if repo, rest, ok := repoOf(k); !ok || repo != b || !bytes.Equal(rest, digestKey(d)) {
						t.Errorf("%c: the key of %s %s reads as %s %q", class, b, d, repo, rest)
					}
				}
			}
		}
	}
}

func TestAfterAndSuccessor(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "a\x00": "a\x01", "a\xff": "b", "a\xff\xff": "b", "\xfe\xff": "\xff"} {
		if got := after([]byte(prefix)); string(got) != want {
			t.Errorf("after %q is %q, want %q", prefix, got, want)
		}
	}
	if got := after([]byte("\xff\xff")); got != nil {
		t.Errorf("after the last prefix is %q", got)
	}
	for _, k := range []string{"", "a", "a\xff"} {
		if s := string(successor([]byte(k))); s <= k || s > k+"\x00" {
			t.Errorf("%q follows %q", s, k)
		}
	}
	p := make([]byte, 1, 8)
	_, _ = after(p), successor(p)
	if p[:2][1] != 0 {
		t.Error("the argument was changed")
	}
}
