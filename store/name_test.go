package store

import (
	"regexp"
	"strings"
	"testing"
)

// The grammar as the distribution specification writes it, to compare with.
var (
	nameGrammar = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

func TestD1_ParseName(t *testing.T) {
	good := []string{
		"a", "0", "a/b", "acme/app", "a-b", "a---b", "a_b", "a__b", "a.b", "library/a/b/c/d", strings.Repeat("a", 255), "a/blobs/uploads", "a/manifests", "manifests", "v2/tags/list",
	}
	for _, s := range good {
		if n, err := ParseName(s); err != nil || string(n) != s {
			t.Errorf("%q: %v", s, err)
		}
	}
	bad := []string{
		"", "/", "a/", "/a", "a//b", "a/../b", "..", ".", "a/./b", "A", "a/B", "a%2Fb", "a\x00", "a b", "é", "_upload", "a/_uploads", "a_", "-a", "a-", "a..b", "a___b", "a._b", "a-_b",
		"a/b\n", "a\\b", "a:b", "a@b", strings.Repeat("a", 256), "a/" + strings.Repeat("b", 254), "ａ",
	}
	for _, s := range bad {
		if _, err := ParseName(s); CodeOf(err) != CodeNameInvalid {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestParseReference(t *testing.T) {
	d := "sha256:" + strings.Repeat("a", 64)
	for s, want := range map[string]Reference{
		"latest": {Tag: "latest"}, "_x": {Tag: "_x"}, "A.b-C_9": {Tag: "A.b-C_9"}, strings.Repeat("t", 128): {Tag: strings.Repeat("t", 128)}, d: {Digest: Digest(d)},
		"sha256-" + strings.Repeat("a", 64) + ".sig": {Tag: "sha256-" + strings.Repeat("a", 64) + ".sig"},
	} {
		got, err := ParseReference(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%q: %+v %v", s, got, err)
		}
	}
	for s, want := range map[string]Code{
		"": CodeTagInvalid, ".x": CodeTagInvalid, "-x": CodeTagInvalid, strings.Repeat("t", 129): CodeTagInvalid, "a/b": CodeTagInvalid, "a b": CodeTagInvalid, "é": CodeTagInvalid, "a\x00": CodeTagInvalid,
		"sha256:x": CodeDigestInvalid, "a:b": CodeDigestInvalid, ":": CodeDigestInvalid,
	} {
		if got, err := ParseReference(s); CodeOf(err) != want || got != (Reference{}) {
			t.Errorf("%q: %+v %v", s, got, err)
		}
	}
}

func TestGlob(t *testing.T) {
	cases := []struct {
		glob string
		yes  string
		no   string
	}{
		{"**", "a a/b a/b/c", ""},
		{"acme/**", "acme acme/a acme/a/b", "acmes a acme2/x x/acme"},
		{"acme/*", "acme/a acme/abc", "acme acme/a/b"},
		{"acme/app", "acme/app", "acme/app2 acme acme/app/x"},
		{"*", "a abc", "a/b"},
		{"a*c", "ac abc abbc abcc", "a c abd ab/c"},
		{"*-prod/**/app", "x-prod/app x-prod/a/b/app", "x-dev/app x-prod/apps x-prod"},
		{"**/app", "app a/app a/b/app", "apps a/app/b"},
		{"a/**/b/**/c", "a/b/c a/x/b/y/z/c a/b/b/c", "a/c a/b a/b/x"},
		{"**/**", "a a/b/c", ""},
	}
	for _, c := range cases {
		g, err := ParseGlob(c.glob)
		if err != nil {
			t.Fatal(c.glob, err)
		}
		for n := range strings.FieldsSeq(c.yes) {
			if !g.Match(Name(n)) || !(Globs{"other", g}).Match(Name(n)) {
				t.Errorf("%s does not match %s", g, n)
			}
		}
		for n := range strings.FieldsSeq(c.no) {
			if g.Match(Name(n)) {
				t.Errorf("%s matches %s", g, n)
			}
		}
	}
	if (Globs{}).Match("a") {
		t.Error("the empty set matches")
	}
	for _, s := range []string{"", "a//b", "/a", "a/", "a**", "**a/b", "a/***", "a?", "[a]", "A", "é", "a b", "a\x00", "{a,b}", strings.Repeat("a", MaxGlob+1)} {
		if _, err := ParseGlob(s); CodeOf(err) != CodeInvalid {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// slowMatch is the obvious exponential matcher: the model of the fast one.
func slowMatch(pattern, name []string) bool {
	if len(pattern) == 0 {
		return len(name) == 0
	}
	if pattern[0] == "**" {
		return slowMatch(pattern[1:], name) || len(name) > 0 && slowMatch(pattern, name[1:])
	}
	return len(name) > 0 && slowText(pattern[0], name[0]) && slowMatch(pattern[1:], name[1:])
}

func slowText(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return slowText(pattern[1:], s) || s != "" && slowText(pattern, s[1:])
	}
	return s != "" && pattern[0] == s[0] && slowText(pattern[1:], s[1:])
}

// TestD15_GlobWork bounds the work, not the time: the worst patterns end at all, and a benchmark shows how fast.
func TestD15_GlobWork(t *testing.T) {
	for _, c := range worstGlobs() {
		if c.glob.Match(c.name) {
			t.Errorf("%.40s matches %.40s", c.glob, c.name)
		}
	}
}

type globCase struct {
	glob Glob
	name Name
}

func worstGlobs() []globCase {
	return []globCase{
		{Glob(strings.Repeat("a*", 511) + "b"), Name(strings.Repeat("a", 255))},
		{Glob(strings.Repeat("**/a*/", 170) + "b"), Name(strings.Repeat("a/", 127) + "a")},
		{Glob("**/" + strings.Repeat("*/", 120) + "b"), Name(strings.Repeat("a/", 127) + "a")},
	}
}

func BenchmarkD15_Glob(b *testing.B) {
	for b.Loop() {
		for _, c := range worstGlobs() {
			c.glob.Match(c.name)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"acme/app", "a__b", "a--b/c.d", "a//b", "a_-b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err := ParseName(s)
		if want := len(s) <= MaxName && nameGrammar.MatchString(s); (err == nil) != want {
			t.Fatalf("%q: %v, the grammar says %v", s, err, want)
		}
		if ValidTag(s) != tagGrammar.MatchString(s) {
			t.Fatalf("%q: tag %v", s, ValidTag(s))
		}
	})
}

func FuzzGlob(f *testing.F) {
	f.Add("acme/**", "acme/app")
	f.Add("**/a*b*c/**/x", "q/abbc/x")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, err := ParseGlob(pattern)
		n, nameErr := ParseName(name)
		if err != nil || nameErr != nil || len(pattern) > 40 || len(name) > 40 || strings.Count(pattern, "*") > 8 {
			return
		}
		if want := slowMatch(strings.Split(pattern, "/"), strings.Split(name, "/")); g.Match(n) != want {
			t.Fatalf("%q %q: %v, want %v", pattern, name, !want, want)
		}
	})
}
