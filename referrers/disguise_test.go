package referrers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// tarball is an archive of one file.
func tarball(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "bin/sh", Size: 4, Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("evil")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t testing.TB, s string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(s), nil))
}

// checksum says how a polyglot's header is summed.
type checksum int

const (
	wrong checksum = iota
	unsigned
	signed
)

// polyglot continues prefix, which ends inside a string of the outer format, so that the first 512 bytes are a tar header (the old V7 form:
// octal fields, then whatever follows), and then appends suffix, which closes the string. With the checksum wrong it is the outer format alone.
func polyglot(t testing.TB, prefix, suffix string, sum checksum) string {
	t.Helper()
	if len(prefix) >= 100 {
		t.Fatalf("the prefix has %d bytes: it must fit the name field", len(prefix))
	}
	block := bytes.Repeat([]byte("x"), 512)
	copy(block, prefix)
	copy(block[100:], "0000644"+"0"+"0000000"+"0"+"0000000"+"0"+"00000000000"+"0"+"00000000000"+"0") // mode, uid, gid, size 0, mtime
	block[156] = '0'
	total := int64(0)
	for i, c := range block {
		switch {
		case i >= 148 && i < 156:
			total += ' '
		case sum == signed:
			total += int64(int8(c))
		default:
			total += int64(c)
		}
	}
	if sum == wrong {
		total++
	}
	if total < 0 {
		t.Fatal("the signed sum is negative")
	}
	copy(block[148:156], fmt.Sprintf("%08o", total))
	b := string(block) + suffix
	_, err := tar.NewReader(strings.NewReader(b + strings.Repeat("\x00", 1024))).Next()
	if (err == nil) != (sum != wrong) {
		t.Fatalf("archive/tar says %v of %.60q", err, b)
	}
	return b
}

// host is a format with a place where bytes of one's choice fit near its beginning.
type host struct{ mediaType, prefix, suffix string }

func hosts() []host {
	rest := func(document string) string { return `",` + document[1:] }
	open := func(pad string, document string) host { return host{prefix: pad, suffix: rest(document)} }
	label := func(mediaType string, h host) host { h.mediaType = mediaType; return h }
	return []host{
		{TypeSimpleSigning, `{"optional":{"pad":"`, `"},` + replaced(goodPayload, `,"optional":null`, "")[1:]},
		{TypeDSSE, `{"signatures":[{"sig":"AAAA","keyid":"`, `"}],` + replaced(goodEnvelope, `,"signatures":[{"keyid":"","sig":"AAAA"}]`, "")[1:]},
		label(TypeInToto, open(`{"pad":"`, goodStatement)),
		{TypeBundle, `{"verificationMaterial":{"pad":"`, `"},` + replaced(goodBundle, `"verificationMaterial":{"publicKey":{"hint":"x"},"tlogEntries":[]},`, "")[1:]},
		{"application/vnd.dev.sigstore.bundle+json;version=0.1", `{"verificationMaterial":{"pad":"`, `"},` + replaced(oldBundle, `"verificationMaterial":{},`, "")[1:]},
		label(TypeSPDX, open(`{"pad":"`, goodSPDX)),
		label("text/spdx+json", open(`{"pad":"`, goodSPDX3)),
		{"text/spdx", `#`, "\n" + goodTagValue},
		label(TypeCycloneDX, open(`{"pad":"`, goodCycloneDX)),
		{"application/vnd.cyclonedx+xml", `<!--`, "-->" + goodXML[strings.Index(goodXML, "<bom"):]},
		{"application/vnd.cyclonedx", `<!--`, "-->" + goodXML[strings.Index(goodXML, "<bom"):]},
		label("application/vnd.syft+json", open(`{"pad":"`, goodSyft)),
		label("application/vnd.openvex+json", open(`{"pad":"`, goodVEX)),
		label("application/sarif+json", open(`{"pad":"`, goodSARIF)),
		{"application/jose+json", `{"header":{"pad":"`, `"},` + replaced(goodJWS, `"header":{"x5c":["AAAA"]},`, "")[1:]},
		coseHost(),
		{"application/vnd.tuf.metadata+json", `{"signed":{"pad":"`, `",` + goodTUF[strings.Index(goodTUF, `"_type"`):len(goodTUF)-1] + `,"signatures":[]}`},
	}
}

// coseHost pads the unprotected header: 600 bytes under a text key, of which the header's rest is a part.
func coseHost() host {
	protected := cborHead(cborMap, 2) + "\x01\x38\x24" + "\x03" + cborString(cborText, notationPayloadType)
	prefix := "\xd2\x84" + cborString(cborBytes, protected) + cborHead(cborMap, 1) + cborString(cborText, "pad") + cborHead(cborBytes, 600)
	return host{"application/cose", prefix, strings.Repeat("x", 600-(512-len(prefix))) + cborString(cborBytes, goodTarget) + cborString(cborBytes, "signature")}
}

// TestB32_Polyglots is about files that are two things at once: under every label of evidence, content that is valid as what it claims and
// whose first block is a tar header. A runtime would unpack it, so it is no evidence; with the checksum wrong it is.
func TestB32_Polyglots(t *testing.T) {
	seen := map[Format]bool{}
	for _, h := range hosts() {
		seen[formatOf(h.mediaType)] = true
		for _, sum := range []checksum{wrong, unsigned, signed} {
			b := polyglot(t, h.prefix, h.suffix, sum)
			if _, err := parsePart(h.mediaType, []byte(b)); err != nil {
				t.Errorf("%s: the polyglot is not what it claims: %v", h.mediaType, err)
				continue
			}
			c := newContent()
			class := classify(t, c, c.artifact(c.add(h.mediaType, b)), nil)
			if class.Evidence != (sum == wrong) || sum != wrong && !strings.Contains(class.Why, "tar") {
				t.Errorf("%s, checksum %d: %v %s", h.mediaType, sum, class.Evidence, class.Why)
			}
			if tag := TagOf(subject.Digest, SuffixAtt); sum != wrong {
				if class := classify(t, c, c.artifact(c.add(h.mediaType, b)), &tag); class.Evidence {
					t.Errorf("%s under %s", h.mediaType, tag)
				}
			}
		}
	}
	for _, s := range samples() {
		if !seen[s.format] {
			t.Errorf("no polyglot of %s", s.format)
		}
	}
}

// TestB32_PolyglotConfig hides the archive in the config.
func TestB32_PolyglotConfig(t *testing.T) {
	for _, sum := range []checksum{wrong, unsigned} {
		c := newContent()
		p := c.artifact(c.add(TypeSimpleSigning, goodPayload))
		config := c.add(TypeNotation, polyglot(t, `{"pad":"`, `"}`, sum))
		p.Config = &config
		if class := classify(t, c, p, nil); class.Evidence != (sum == wrong) {
			t.Errorf("%+v", class)
		}
	}
}

// TestB32_Archives puts real archives under every label.
func TestB32_Archives(t *testing.T) {
	archive := tarball(t)
	for name, b := range map[string]string{
		"tar": archive, "gzip": gzipped(t, archive), "zstd": zstded(t, archive), "gzip of evidence": gzipped(t, goodStatement),
		"skippable frame": "\x5a\x2a\x4d\x18\x04\x00\x00\x00abcd" + zstded(t, archive), "bzip2": "BZh91AY&SY", "xz": "\xfd7zXZ\x00\x00", "lz4": "\x04\x22\x4d\x18@", "zip": "PK\x03\x04", "empty zip": "PK\x05\x06",
		"erofs": strings.Repeat("\x00", 1024) + "\xe2\xe1\xf5\xe0",
	} {
		if Disguise([]byte(b)) == "" {
			t.Errorf("%s is not seen", name)
		}
		for _, s := range samples() {
			c := newContent()
			if class := classify(t, c, c.artifact(c.add(s.mediaType, b)), nil); class.Evidence {
				t.Errorf("%s as %s is evidence", name, s.mediaType)
			}
		}
	}
}

func TestB32_PolyglotInsideEnvelope(t *testing.T) {
	inner := polyglot(t, `{"pad":"`, `",`+goodStatement[1:], unsigned)
	if _, err := envelope([]byte(replaced(goodEnvelope, b64(goodStatement), b64(inner)))); err == nil || !strings.Contains(err.Error(), "tar") {
		t.Error(err)
	}
}

// TestDisguiseTarDialects takes headers as writers make them, with the checksum in each notation that some reader knows.
func TestDisguiseTarDialects(t *testing.T) {
	archive := []byte(tarball(t))
	sum := func(b []byte) (n int64) {
		for i, c := range b[:512] {
			if i >= 148 && i < 156 {
				c = ' '
			}
			n += int64(c)
		}
		return n
	}
	with := func(field string) []byte {
		b := append([]byte(nil), archive...)
		copy(b[148:156], field+"        ")
		return b
	}
	n := sum(archive)
	var base256 [8]byte
	binary.BigEndian.PutUint64(base256[:], uint64(n)|1<<63)
	for name, b := range map[string][]byte{
		"archive/tar": archive, "octal, NUL, space": with(fmt.Sprintf("%06o\x00 ", n)), "space first": with(fmt.Sprintf("  %o\x00", n)), "NUL first": with(fmt.Sprintf("\x00%06o", n)), "no end": with(fmt.Sprintf("%08o", n)),
		"rubbish after": with(fmt.Sprintf("%o,xyz", n)), "base 256": with(string(base256[:])), "python": with(fmt.Sprintf("0o%06o", n)), "python, apart": with(fmt.Sprintf("%o_%03o", n>>9, n&0o777)), "rubbish before": with(fmt.Sprintf("x%06o", n)), "cut short": archive[:300],
	} {
		if name == "cut short" {
			b = append([]byte(nil), b...)
			for i := 257; i < 300; i++ {
				b[i] = 0
			}
			copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum(append(b[:300:300], make([]byte, 212)...))))
		}
		if Disguise(b) != "tar" {
			t.Errorf("%s is not seen", name)
		}
	}
	for name, b := range map[string][]byte{
		"wrong sum": with(fmt.Sprintf("%06o\x00 ", n+1)), "empty": nil, "zeros": make([]byte, 1024), "text": []byte(strings.Repeat("hello ", 300)), "short": archive[:150],
	} {
		if got := Disguise(b); got != "" {
			t.Errorf("%s is taken for %s", name, got)
		}
	}
}

// FuzzDisguise writes the right checksum into any block: whatever else is in it, it is a header then. And what archive/tar reads is never missed.
func FuzzDisguise(f *testing.F) {
	f.Add([]byte(tarball(f)), uint8(0))
	f.Add([]byte(polyglot(f, `{"pad":"`, `"}`, signed)), uint8(1))
	f.Add([]byte(goodCOSE+strings.Repeat("\xff", 600)), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, style uint8) {
		if _, err := tar.NewReader(bytes.NewReader(b)).Next(); err == nil && Disguise(b) == "" {
			t.Fatalf("archive/tar reads it: %q", b)
		}
		if len(b) < 512 {
			return
		}
		var us, s int64
		for i, c := range b[:512] {
			if i >= 148 && i < 156 {
				c = ' '
			}
			us += int64(c)
			s += int64(int8(c))
		}
		sum := us
		if style&1 != 0 && s >= 0 {
			sum = s
		}
		formats := [...]string{"%06o\x00 ", "%07o\x00", "%08o", "%7o ", " %06o\x00"}
		b = bytes.Clone(b)
		copy(b[148:156], fmt.Sprintf(formats[int(style>>1)%len(formats)], sum))
		if Disguise(b) == "" {
			t.Fatalf("a header is missed: %q", b[:512])
		}
	})
}

// An honest config holds digests, whose digits must not pass for a checksum by chance.
func TestHonestConfigsAreNoTar(t *testing.T) {
	for n := range 50_000 {
		sum := sha256.Sum256([]byte(strconv.Itoa(n)))
		config := fmt.Sprintf(`{"architecture":"","config":{},"created":"0001-01-01T00:00:00Z","history":[{"created":"0001-01-01T00:00:00Z"}],"os":"","rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`, sum)
		for shift := range 3 {
			if kind := Disguise([]byte(strings.Repeat(" ", shift*7) + config)); kind != "" {
				t.Errorf("config %d (shifted by %d) passes for %s", n, shift*7, kind)
			}
		}
	}
}
