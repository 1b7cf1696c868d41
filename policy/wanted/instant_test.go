package wanted

import (
	"regexp"
	"testing"
	"time"
)

// TestMoments: a time is what the expression of the contract says it is.
func TestMoments(t *testing.T) {
	wanted := regexp.MustCompile(`^((19[7-9][0-9]|2[01][0-9]{2})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|(19(72|76|8[048]|9[26])|20([02468][048]|[13579][26])|21(0[48]|[2468][048]|[13579][26]))-02-29)T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`)
	parts := [][]string{{"1969", "1970", "2026", "2028", "2100", "2199", "2200", "02026"}, {"-02", "-11", "-00", "-13"}, {"-00", "-29", "-30", "-31"}, {"T", "t", " "}, {"00", "23", "24"}, {":00", ":59", ":60"},
		{":00", ":59", ":60"}, {"", ".1", ",1", ".123456789", ".1234567890", "."}, {"Z", "z", "", "+00:00", "-19:59", "+20:00", "+1:00", "+00:60"}}
	var walk func(s string, rest [][]string)
	n := 0
	walk = func(s string, rest [][]string) {
		if len(rest) == 0 {
			at, ok := Instant(s)
			if n++; ok != wanted.MatchString(s) {
				t.Fatalf("%q: %v", s, ok)
			}
			if parsed, err := time.Parse(time.RFC3339, s); ok && (err != nil || !parsed.Equal(at)) {
				t.Fatalf("%q: %v, %v", s, at, err)
			}
			return
		}
		for _, p := range rest[0] {
			walk(s+p, rest[1:])
		}
	}
	walk("", parts)
	if n < 100_000 {
		t.Errorf("%d texts", n)
	}
}
