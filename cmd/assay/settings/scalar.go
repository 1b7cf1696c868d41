package settings

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written as Go writes it: 5m, 168h, 1h30m.
type Duration time.Duration

// ParseDuration reads a duration that is not negative.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		if strings.HasSuffix(s, "d") {
			return 0, fmt.Errorf("%q is not a duration; write days in hours, such as 168h", Clip(s))
		}
		return 0, fmt.Errorf("%q is not a duration; write one such as 60s, 5m or 168h", Clip(s))
	}
	return Duration(d), nil
}

// String is the shortest form: 168h, not 168h0m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalYAML writes the String form.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

// MarshalText writes the String form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Size is a number of bytes, written with a unit: 512MiB, 2GiB, 10MB, or as a plain number.
type Size int64

type unit struct {
	name  string
	bytes int64
}

// units in the order in which String tries them.
func units() []unit {
	return []unit{
		{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
	}
}

// ParseSize reads a whole number with an optional unit.
func ParseSize(s string) (Size, error) {
	number, factor := s, int64(1)
	for _, u := range units() {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, factor = strings.TrimRight(n, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || number[0] == '+' || number[0] == '-' {
		return 0, fmt.Errorf("%q is not a size; write one such as 512MiB or 2GiB", Clip(s))
	}
	if n > math.MaxInt64/factor {
		return 0, fmt.Errorf("%q is too large", Clip(s))
	}
	return Size(n * factor), nil
}

// String uses the largest binary unit that divides the size.
func (s Size) String() string {
	for _, u := range units() {
		if u.bytes&(u.bytes-1) == 0 && u.bytes > 1 && s > 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalYAML writes the String form.
func (s Size) MarshalYAML() (any, error) { return s.String(), nil }

// MarshalText writes the String form.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Date is a moment: RFC 3339, or a day, which begins at midnight UTC. The zero Date is none.
type Date struct{ time.Time }

// ParseDate reads one.
func ParseDate(s string) (Date, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return Date{t.UTC()}, nil
		}
	}
	return Date{}, fmt.Errorf("%q is not a time; write one such as 2027-01-31 or 2027-01-31T12:00:00Z", Clip(s))
}

// MarshalYAML writes RFC 3339, or "" for none.
func (d Date) MarshalYAML() (any, error) { return d.text(), nil }

// MarshalText writes RFC 3339, or "" for none.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.text()), nil }

func (d Date) text() string {
	if d.IsZero() {
		return ""
	}
	return d.Format(time.RFC3339)
}

// Count is how many of something are wanted; one that was not given is none of these, not 0.
type Count struct {
	N     int
	Given bool
}

// ParseCount reads a count of 0 to 1000.
func ParseCount(s string) (Count, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n > 1000 {
		return Count{}, fmt.Errorf("%q is not a count; write a small number such as 1", Clip(s))
	}
	return Count{int(n), true}, nil
}

// MarshalYAML writes the number.
func (c Count) MarshalYAML() (any, error) { return c.N, nil }

// Number is a whole number that is not negative.
type Number int64

// ParseNumber reads one in decimal.
func ParseNumber(s string) (Number, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a whole number", Clip(s))
	}
	return Number(n), nil
}

// MarshalYAML writes the number.
func (n Number) MarshalYAML() (any, error) { return int64(n), nil }

// Params are a policy's parameters: what JSON can say.
type Params map[string]any

// The words of Sparse.
const (
	SparseAll       = "all"       // every platform of an index must be there
	SparseAny       = "any"       // none needs to be
	SparsePlatforms = "platforms" // those listed must be
)

// Sparse says which platforms of an index may be absent.
type Sparse struct {
	Mode      string
	Platforms []string // os/architecture[/variant], for SparsePlatforms
}

// MarshalYAML writes the word, or {platforms: [...]}.
func (s Sparse) MarshalYAML() (any, error) {
	if s.Mode == SparsePlatforms {
		return map[string][]string{"platforms": s.Platforms}, nil
	}
	return s.Mode, nil
}

// Clip keeps a quoted value short.
func Clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}
