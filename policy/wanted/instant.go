package wanted

import (
	"strings"
	"time"
)

// Day is a day of 24 hours, in nanoseconds.
const Day = int64(24 * time.Hour)

// Instant reads a time in RFC 3339, from 1970 to 2199; false if it is none. It is stricter than time.Parse: no comma, no lower case, at most nine digits of a second, and an offset of less than 20 hours.
func Instant(s string) (time.Time, bool) {
	if at, ok := usualInstant(s); ok {
		return at, true
	}
	if len(s) < len("1970-01-01T00:00:00Z") || len(s) > len("1970-01-01T00:00:00.000000000+00:00") || s[10] != 'T' || s[:4] < "1970" || s[:4] > "2199" || strings.ContainsAny(s, ",tz") {
		return time.Time{}, false
	}
	if i := len(s) - len("+00:00"); s[len(s)-1] != 'Z' && (s[i] != '+' && s[i] != '-' || s[i+1] > '1' || s[i+4] > '5') {
		return time.Time{}, false
	}
	if len(strings.TrimLeft(s[len("1970-01-01T00:00:00"):], ".0123456789"))+len("1970-01-01T00:00:00.000000000") < len(s) {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	return at, err == nil
}

// usualInstant reads the usual way to write a time, 2026-11-30T12:00:00Z, between 1970 and 2199.
func usualInstant(s string) (at time.Time, ok bool) {
	const form = "0000-00-00T00:00:00Z"
	if len(s) != len(form) || s[:4] < "1970" || s[:4] > "2199" {
		return at, false
	}
	var n [6]int // year, month, day, hour, minute, second
	part := 0
	for i := range len(form) {
		switch digit := s[i] - '0'; {
		case form[i] != '0':
			if s[i] != form[i] {
				return at, false
			}
			part++
		case digit > 9:
			return at, false
		default:
			n[part] = 10*n[part] + int(digit)
		}
	}
	if n[1] < 1 || n[1] > 12 || n[2] < 1 || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return at, false
	}
	at = time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	return at, at.Day() == n[2]
}
