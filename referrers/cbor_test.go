package referrers

import (
	"strings"
	"testing"
)

func TestParseSign1(t *testing.T) {
	for name, s := range map[string]string{
		"notation":   goodCOSE,
		"untagged":   goodCOSE[1:],
		"every type": coseMessage(coseProtected, cborHead(cborMap, 4)+"\x01\x20"+"\x20\xf9\x3c\x00"+"\x61a\xf6"+"\x61b\xa1\x01\x82\x01\x02", goodTarget),
	} {
		m, err := parseSign1([]byte(s))
		if err != nil || m.contentType != notationPayloadType || string(m.payload) != goodTarget {
			t.Errorf("%s: %+v %v", name, m, err)
		}
	}
	const empty = "\xa0"
	for name, s := range map[string]string{
		"nothing": "", "tag alone": "\xd2", "other tag": "\xd1" + goodCOSE[1:], "array of 3": "\x83\x40\xa0\x40", "trailing": goodCOSE + "\x00", "cut": goodCOSE[:len(goodCOSE)-1],
		"indefinite array": "\x9f" + goodCOSE[2:] + "\xff", "payload nil": "\xd2\x84" + cborString(cborBytes, coseProtected) + empty + "\xf6" + cborString(cborBytes, "s"),
		"no signature":        "\xd2\x84" + cborString(cborBytes, coseProtected) + empty + cborString(cborBytes, goodTarget) + "\x40",
		"protected not a map": coseMessage("\x80", empty, goodTarget), "protected with a tail": coseMessage(coseProtected+"\x00", empty, goodTarget), "unprotected an array": coseMessage(coseProtected, "\x80", goodTarget),
		"key twice": coseMessage(coseProtected, "\xa2\x01\x01\x01\x02", goodTarget), "byte key": coseMessage(coseProtected, "\xa1\x41a\x01", goodTarget), "not the shortest": coseMessage(coseProtected, "\xa1\x18\x01\x01", goodTarget),
		"not the shortest length": "\xd2\x98\x04" + goodCOSE[2:], "text not UTF-8": coseMessage(coseProtected, "\xa1\x61\xff\x01", goodTarget), "huge map": coseMessage(coseProtected, "\xbb\xff\xff\xff\xff\xff\xff\xff\xff", goodTarget),
		"huge array": coseMessage(coseProtected, "\xa1\x01\x9b\xff\xff\xff\xff\xff\xff\xff\xff", goodTarget), "huge bytes": coseMessage(coseProtected, "\xa1\x01\x5b\xff\xff\xff\xff\xff\xff\xff\xff", goodTarget),
		"deep": coseMessage(coseProtected, "\xa1\x01"+strings.Repeat("\x81", 100)+"\x01", goodTarget), "deep tags": coseMessage(coseProtected, "\xa1\x01"+strings.Repeat("\xc1", 100)+"\x01", goodTarget), "reserved": coseMessage(coseProtected, "\xa1\x01\x1c", goodTarget),
	} {
		if m, err := parseSign1([]byte(s)); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	other := coseMessage(replaced(coseProtected, "payload.v1", "payload.v2"), empty, goodTarget)
	for name, s := range map[string]string{"content type": other, "payload": coseMessage(coseProtected, empty, "{}"), "payload no JSON": coseMessage(coseProtected, empty, "x"), "payload archive": coseMessage(coseProtected, empty, "\x1f\x8b")} {
		if err := notation(parseNotationCOSE([]byte(s))); err == nil {
			t.Error(name)
		}
	}
}

func FuzzParseSign1(f *testing.F) {
	f.Add([]byte(goodCOSE))
	f.Add([]byte(goodCOSE[1:]))
	f.Add([]byte(coseMessage(coseProtected, "\xa2\x01\x82\x01\xc1\x1a\x65\x00\x00\x00\x61b\xa1\x01\xfb\x00\x00\x00\x00\x00\x00\x00\x00", goodTarget)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseSign1(b)
		if err != nil {
			return
		}
		if len(m.payload) > len(b) || m.contentType != "" && !strings.Contains(string(b), m.contentType) {
			t.Fatalf("%+v", m)
		}
		if _, err := parseSign1(append(b[:len(b):len(b)], 0)); err == nil {
			t.Fatal("a tail passes")
		}
	})
}
