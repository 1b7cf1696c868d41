package index

import (
	"cmp"
	"strings"

	"github.com/google/osv-scalibr/semantic"
)

// The kinds of tokens of an Alpine version (apk-package(5)), in the order in which apk compares them where two versions go on differently: the further behind, the earlier is
// the version, so that the one that ends is before the other.
const (
	apkFirst = iota
	apkNumber
	apkLetter
	apkSuffix
	apkSuffixNumber
	apkHash
	apkRevision
	apkEnd
)

// apkSuffixes are the suffixes in their order. Those before the empty one, which is none of them, are before the version without.
var apkSuffixes = map[string]int{"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}

type apkToken struct {
	kind int
	text string
	rank int // of a suffix
}

// apkVersion is a version as apk-tools 3 orders them: token by token. semantic's reads what is not there as 0 and no revision as revision 0, so that it takes 1.0 for 1.0.0; it
// also takes none for the suffix cvs, and no commit for any.
type apkVersion []apkToken

// apkParse reads a version that matches the grammar.
func apkParse(s string) apkVersion {
	v := apkVersion{}
	take := func(kind int, in func(c byte) bool) {
		n := 0
		for n < len(s) && in(s[n]) {
			n++
		}
		v, s = append(v, apkToken{kind: kind, text: s[:n]}), s[n:]
	}
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	lower := func(c byte) bool { return c >= 'a' && c <= 'z' }
	take(apkFirst, digit)
	for s != "" {
		c := s[0]
		if !lower(c) && !digit(c) {
			s = s[1:]
		}
		switch {
		case c == '.':
			take(apkNumber, digit)
		case lower(c):
			v, s = append(v, apkToken{kind: apkLetter, text: s[:1]}), s[1:]
		case c == '_':
			take(apkSuffix, lower)
			last := &v[len(v)-1]
			last.rank = apkSuffixes[last.text]
		case digit(c):
			take(apkSuffixNumber, digit)
		case c == '~':
			take(apkHash, func(c byte) bool { return digit(c) || lower(c) })
		default: // -r
			s = strings.TrimPrefix(s, "r")
			take(apkRevision, digit)
		}
	}
	return v
}

// Compare is semantic.Version.
func (v apkVersion) Compare(other semantic.Version) (int, error) {
	w, ok := other.(apkVersion)
	if !ok {
		return 0, semantic.ErrNotSameEcosystem
	}
	for i := 0; ; i++ {
		a, b := v.at(i), w.at(i)
		switch {
		case a.kind != b.kind && a.rank < 0:
			return -1, nil
		case a.kind != b.kind && b.rank < 0:
			return 1, nil
		case a.kind != b.kind:
			return cmp.Compare(b.kind, a.kind), nil
		case a.kind == apkEnd:
			return 0, nil
		}
		if n := a.compare(b); n != 0 {
			return n, nil
		}
	}
}

// CompareStr is semantic.Version.
func (v apkVersion) CompareStr(s string) (int, error) {
	w, err := parseVersion("Alpine", s)
	if err != nil {
		return 0, err
	}
	return v.Compare(w)
}

func (v apkVersion) at(i int) apkToken {
	if i < len(v) {
		return v[i]
	}
	return apkToken{kind: apkEnd}
}

// compare orders two tokens of one kind. Numbers behind a dot of which one begins with a zero are ordered as texts: 1.01 is before 1.1.
func (t apkToken) compare(u apkToken) int {
	switch {
	case t.kind == apkSuffix:
		return cmp.Compare(t.rank, u.rank)
	case t.kind == apkLetter || t.kind == apkHash, t.kind == apkNumber && (t.text[0] == '0' || u.text[0] == '0'):
		return strings.Compare(t.text, u.text)
	}
	a, b := strings.TrimLeft(t.text, "0"), strings.TrimLeft(u.text, "0") // of any length
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
