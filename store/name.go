package store

import "strings"

// Name is a repository name as in the distribution specification, "Pulling manifests":
// path components of lower-case letters and digits, separated within by '.', '_', '__' or dashes, joined by '/'.
type Name string

// MaxName is the most bytes that a name may have, as in the reference implementation.
const MaxName = 255

// ParseName checks s by hand, in one pass. Errors: CodeNameInvalid.
func ParseName(s string) (Name, error) {
	if len(s) == 0 || len(s) > MaxName {
		return "", Errorf(CodeNameInvalid, "a repository name has 1 to %d characters, this one has %d", MaxName, len(s))
	}
	for component := range strings.SplitSeq(s, "/") {
		if !validComponent(component) {
			return "", Errorf(CodeNameInvalid,
				"this is not a repository name: each part between slashes is lower-case letters and digits, separated by one '.', one or two '_', or dashes")
		}
	}
	return Name(s), nil
}

func alnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// validComponent is [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*.
func validComponent(s string) bool {
	if s == "" || !alnum(s[0]) || !alnum(s[len(s)-1]) {
		return false
	}
	for i := 0; i < len(s); {
		if alnum(s[i]) {
			i++
			continue
		}
		start := i
		for i < len(s) && s[i] == s[start] {
			i++
		}
		if run := i - start; !separator(s[start], run) || !alnum(s[i]) {
			return false
		}
	}
	return true
}

func separator(c byte, run int) bool {
	switch c {
	case '.':
		return run == 1
	case '_':
		return run <= 2
	default:
		return c == '-'
	}
}

// Reference is a tag or a digest: exactly one is set.
type Reference struct {
	Tag    string
	Digest Digest
}

// MaxTag is the most characters that a tag may have.
const MaxTag = 128

// ParseReference reads a tag ([a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}) or, if it has a colon, a digest.
// Errors: CodeTagInvalid, CodeDigestInvalid.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	if !ValidTag(s) {
		return Reference{}, Errorf(CodeTagInvalid, "a tag has 1 to %d letters, digits, '_', '.' and '-', and begins with a letter, digit or '_'", MaxTag)
	}
	return Reference{Tag: s}, nil
}

// ValidTag reports whether s is a tag.
func ValidTag(s string) bool {
	if s == "" || len(s) > MaxTag || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !alnum(c) && (c < 'A' || c > 'Z') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// String is the tag or the digest.
func (r Reference) String() string {
	if r.Tag != "" {
		return r.Tag
	}
	return string(r.Digest)
}

// Glob selects repositories. "**" as a whole component matches any number of components, none included ("acme/**" matches "acme" too);
// '*' matches any characters within one component. There is nothing else.
type Glob string

// MaxGlob is the most bytes of a glob: with the linear matcher it bounds the work of a match.
const MaxGlob = 1024

// ParseGlob checks a glob. Errors: CodeInvalid.
func ParseGlob(s string) (Glob, error) {
	if s == "" || len(s) > MaxGlob {
		return "", Errorf(CodeInvalid, "a repository pattern has 1 to %d characters", MaxGlob)
	}
	for component := range strings.SplitSeq(s, "/") {
		if component == "**" {
			continue
		}
		if component == "" || strings.Contains(component, "**") {
			return "", Errorf(CodeInvalid, "the repository pattern %q is malformed: '**' stands alone between slashes, and no part is empty", s)
		}
		for i := range len(component) {
			if c := component[i]; !alnum(c) && c != '*' && c != '.' && c != '_' && c != '-' {
				return "", Errorf(CodeInvalid, "the repository pattern %q has a character that no repository name has", s)
			}
		}
	}
	return Glob(s), nil
}

// Match reports whether the whole name matches.
func (g Glob) Match(n Name) bool {
	if g == "**" {
		return true
	}
	return MatchPath(string(g), string(n))
}

// MatchPath is [Glob.Match] for any text with components between slashes, such as a URL. Its work is at most the product of the two lengths.
func MatchPath(pattern, text string) bool {
	return wildcard(strings.Split(pattern, "/"), strings.Split(text, "/"), "**", matchComponent)
}

func matchComponent(pattern, s string) bool {
	return wildcard([]byte(pattern), []byte(s), '*', func(p, c byte) bool { return p == c })
}

// wildcard backtracks to the last star only, so that it is quadratic at worst.
func wildcard[T comparable](pattern, text []T, any T, equal func(pattern, text T) bool) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == any:
			star, mark = p, n
			p++
		case p < len(pattern) && equal(pattern[p], text[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == any {
		p++
	}
	return p == len(pattern)
}

// Globs matches if any of its members does. The empty set matches nothing.
type Globs []Glob

// Match reports whether any glob matches.
func (gs Globs) Match(n Name) bool {
	for _, g := range gs {
		if g.Match(n) {
			return true
		}
	}
	return false
}
