package settings

import (
	"strings"
	"testing"
	"time"
)

func TestScalars(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "17": 17, "512MiB": 512 << 20, "2 GiB": 2 << 30, "10MB": 1e7, "1kB": 1000, "5B": 5, "": -1, "MiB": -1, "-1": -1, "+1": -1, "1.5GiB": -1, "9223372036854775807KiB": -1, "0x10": -1, "1e3": -1} {
		if got, err := ParseSize(in); err != nil && want >= 0 || err == nil && int64(got) != want {
			t.Errorf("size %q: %d, %v", in, got, err)
		}
	}
	for _, d := range []string{"168h", "5m", "1h30m", "90s", "1m30s", "0s", "250ms", "10h0m1s"} {
		got, err := ParseDuration(d)
		back, _ := ParseDuration(got.String())
		if err != nil || back != got {
			t.Errorf("duration %q: %v, %v", d, got, err)
		}
	}
	for _, d := range []string{"-1s", "7d", "5", "", "five"} {
		if got, err := ParseDuration(d); err == nil {
			t.Errorf("duration %q: %v", d, got)
		}
	}
	if s := Duration(168 * time.Hour).String(); s != "168h" {
		t.Errorf("168h shown as %s", s)
	}
	if d, err := ParseDate("2027-01-31T12:00:00+02:00"); err != nil || d.text() != "2027-01-31T10:00:00Z" {
		t.Errorf("%v %v", d, err)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"listen", "data", "grants", "policies", "quarantine"}
	for in, want := range map[string]string{"lisen": "listen", "Listen": "listen", "polices": "policies", "grant": "grants", "quarntine": "quarantine", "xyzzy": "", "dtaa": "data", strings.Repeat("a", 500): ""} {
		if got := Nearest(in, names); got != want {
			t.Errorf("%q: %q, want %q", Clip(in), got, want)
		}
	}
}

func FuzzScalars(f *testing.F) {
	f.Add("512MiB")
	f.Add("168h")
	f.Add("2027-01-31")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseSize(s); err == nil {
			if back, err := ParseSize(v.String()); err != nil || back != v {
				t.Errorf("%q: %v, back %v %v", s, v, back, err)
			}
		}
		if v, err := ParseDuration(s); err == nil {
			if back, err := ParseDuration(v.String()); err != nil || back != v {
				t.Errorf("%q: %v, back %v %v", s, v, back, err)
			}
		}
		if v, err := ParseDate(s); err == nil && v.IsZero() {
			return
		} else if err == nil {
			if back, err := ParseDate(v.text()); err != nil || back.Unix() != v.Unix() {
				t.Errorf("%q: %v, back %v %v", s, v.text(), back, err)
			}
		}
	})
}
