package cli

import (
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
)

// Moment is a time as people read it, in UTC; "" for none.
func Moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Globs are patterns as they were typed.
func Globs(patterns []string) store.Globs {
	gs := make(store.Globs, len(patterns))
	for i, p := range patterns {
		gs[i] = store.Glob(p)
	}
	return gs
}

// Patterns are globs in one line.
func Patterns(gs store.Globs) string {
	list := make([]string, len(gs))
	for i, g := range gs {
		list[i] = string(g)
	}
	return strings.Join(list, " ")
}

// Short cuts a digest to what a person compares.
func Short(d string) string {
	if i := strings.IndexByte(d, ':'); i > 0 && len(d) > i+13 {
		return d[:i+13]
	}
	return d
}

// PathWord refuses what would be another path of the API, or none.
func PathWord(what, s string) error {
	ok := s != "" && s != "." && s != ".."
	for i := range len(s) {
		c := s[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._@:+-", c) >= 0)
	}
	if !ok {
		return Usage("%q is not %s", s, what)
	}
	return nil
}
