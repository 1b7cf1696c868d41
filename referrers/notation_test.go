package referrers

import (
	"bytes"
	"strings"
	"testing"
)

func TestParseNotation(t *testing.T) {
	stamped := replaced(goodJWS, `"header":{`, `"header":{"io.cncf.notary.timestampSignature":"`+b64("token")+`",`)
	cose := func(pairs int, unprotected string) string {
		return coseMessage(coseProtected, cborHead(cborMap, pairs)+unprotected, goodTarget)
	}
	chain := "\x18\x21" + cborHead(cborArray, 2) + cborString(cborBytes, "first") + cborString(cborBytes, "second")
	stamp := "\x78\x21" + notationTimestamp + cborString(cborBytes, "token")
	for name, c := range map[string]struct {
		mediaType, text string
		certificates    string
		timestamp       string
	}{
		"JWS":                     {"application/jose+json", goodJWS, "\x00\x00\x00", ""},
		"JWS with timestamp":      {"application/jose+json", stamped, "\x00\x00\x00", "token"},
		"JWS without chain":       {"application/jose+json", replaced(goodJWS, `{"x5c":["AAAA"]}`, "{}"), "", ""},
		"COSE":                    {"application/cose", cose(2, chain+stamp), "first second", "token"},
		"COSE, the other order":   {"application/cose", cose(2, stamp+chain), "first second", "token"},
		"COSE, untagged":          {"application/cose", cose(1, chain)[1:], "first second", ""},
		"COSE, chain of numbers":  {"application/cose", cose(1, "\x18\x21\x82\x01\x02"), "", ""},
		"COSE, chain as bytes":    {"application/cose", cose(1, "\x18\x21"+cborString(cborBytes, "first")), "", ""},
		"COSE, chain of both":     {"application/cose", cose(1, "\x18\x21\x82\x41a\x02"), "", ""},
		"COSE, timestamp as text": {"application/cose", cose(1, "\x78\x21"+notationTimestamp+cborString(cborText, "token")), "", ""},
	} {
		n, err := ParseNotation(c.mediaType, []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if string(bytes.Join(n.Certificates, []byte(" "))) != c.certificates || string(n.Timestamp) != c.timestamp || string(n.Payload) != goodTarget {
			t.Errorf("%s: %q %q %q", name, n.Certificates, n.Timestamp, n.Payload)
		}
	}
	protected := func(old, new string) string {
		return replaced(goodJWS, raw64(goodProtected), raw64(strings.Replace(goodProtected, old, new, 1)))
	}
	for name, c := range map[string]struct{ mediaType, text string }{
		"another type":           {"application/json", goodJWS},
		"JWS as COSE":            {"application/cose", goodJWS},
		"COSE as JWS":            {"application/jose+json", goodCOSE},
		"chain in capitals":      {"application/jose+json", replaced(goodJWS, `"x5c"`, `"X5C"`)},
		"chain twice":            {"application/jose+json", replaced(goodJWS, `"x5c":`, `"x5c":[],"x5c":`)},
		"chain no array":         {"application/jose+json", replaced(goodJWS, `["AAAA"]`, `"AAAA"`)},
		"certificate no base64":  {"application/jose+json", replaced(goodJWS, `["AAAA"]`, `["a"]`)},
		"certificate null":       {"application/jose+json", replaced(goodJWS, `["AAAA"]`, `[null]`)},
		"timestamp null":         {"application/jose+json", replaced(stamped, `"`+b64("token")+`"`, "null")},
		"timestamp in capitals":  {"application/jose+json", replaced(stamped, "timestampSignature", "TimestampSignature")},
		"scheme in capitals":     {"application/jose+json", protected(`"crit"`, `"io.cncf.notary.signingscheme":"x","crit"`)},
		"expiry in capitals":     {"application/jose+json", protected(`"crit"`, `"IO.CNCF.NOTARY.EXPIRY":"x","crit"`)},
		"critical in capitals":   {"application/jose+json", protected(`"crit"`, `"Crit":[],"crit"`)},
		"content type otherwise": {"application/jose+json", protected("payload.v1", "payload.v2")},
	} {
		if n, err := ParseNotation(c.mediaType, []byte(c.text)); err == nil {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// FuzzParseNotation: what is read is part of the envelope, whatever that holds.
func FuzzParseNotation(f *testing.F) {
	f.Add(true, []byte(goodCOSE))
	f.Add(false, []byte(goodJWS))
	f.Add(true, []byte(coseMessage(coseProtected, "\xa1\x18\x21\x81\x40", goodTarget)))
	f.Fuzz(func(t *testing.T, cose bool, b []byte) {
		mediaType := "application/jose+json"
		if cose {
			mediaType = "application/cose"
		}
		n, err := ParseNotation(mediaType, b)
		if err != nil {
			return
		}
		size := len(n.Payload) + len(n.Timestamp)
		for _, c := range n.Certificates {
			size += len(c)
			if cose && !bytes.Contains(b, c) {
				t.Fatal("a certificate from nowhere")
			}
		}
		if size > len(b) {
			t.Fatalf("%d bytes out of %d", size, len(b))
		}
	})
}
