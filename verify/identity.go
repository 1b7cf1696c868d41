package verify

import (
	"regexp"
	"strings"

	"github.com/assay-registry/assay/store"
)

// Matcher is an [Identity] ready for use.
type Matcher struct {
	Identity
	issuer, subject func(string) bool
	name            []attribute // where Subject is a distinguished name
}

// Compile checks an identity and makes it ready. Patterns have at most MaxPattern bytes, regular expressions are RE2 and match the whole text, and a glob
// or expression that would match any text at all is refused: trust in everybody is never meant. Errors: CodeInvalid.
func (i Identity) Compile() (*Matcher, error) {
	m := &Matcher{Identity: i}
	var err error
	if m.issuer, err = compilePattern("issuer", i.Issuer, i.IssuerRegexp); err != nil {
		return nil, err
	}
	if m.subject, err = compilePattern("subject", i.Subject, i.SubjectRegexp); err != nil {
		return nil, err
	}
	if name, ok := parseDN(i.Subject); ok {
		if anybody(name) {
			return nil, store.Errorf(store.CodeInvalid, "the subject %q matches anybody; say who is meant", i.Subject)
		}
		m.name = name
	}
	return m, nil
}

// unlikely is a text that no pattern of anybody in particular matches.
const unlikely = "\x01/\x02/\x03@\x04"

func compilePattern(what, glob, expression string) (func(string) bool, error) {
	switch {
	case glob != "" && expression != "":
		return nil, store.Errorf(store.CodeInvalid, "an identity has both %s and %s_regexp; give one", what, what)
	case len(glob) > MaxPattern || len(expression) > MaxPattern:
		return nil, store.Errorf(store.CodeInvalid, "the %s of an identity has more than %d bytes", what, MaxPattern)
	case glob == "" && expression == "":
		return nil, nil
	case expression != "":
		_, err := regexp.Compile(expression) // by itself: "a)|(?:b" would take the anchors apart
		if err != nil {
			return nil, store.Errorf(store.CodeInvalid, "%s_regexp is no regular expression: %w", what, err)
		}
		re, err := regexp.Compile(`^(?:` + expression + `)$`)
		if err != nil {
			return nil, store.Errorf(store.CodeInvalid, "%s_regexp is no regular expression: %w", what, err)
		}
		if re.MatchString(unlikely) || re.MatchString("") {
			return nil, store.Errorf(store.CodeInvalid, "%s_regexp matches anybody; say who is meant", what)
		}
		return re.MatchString, nil
	case strings.Contains(glob, "*"):
		if store.MatchPath(glob, unlikely) {
			return nil, store.Errorf(store.CodeInvalid, "the %s %q matches anybody; say who is meant", what, glob)
		}
		return func(s string) bool { return store.MatchPath(glob, s) }, nil
	}
	return func(s string) bool { return s == glob }, nil
}

// Match reports whether every given pattern matches. An identity without any pattern matches nobody.
func (m *Matcher) Match(issuer, subject string) bool {
	return (m.issuer != nil || m.subject != nil) && m.MatchIssuer(issuer) && m.MatchSubject(subject)
}

// MatchIssuer reports whether the issuer is as wanted; true where none is asked for.
func (m *Matcher) MatchIssuer(issuer string) bool { return m.issuer == nil || m.issuer(issuer) }

// MatchSubject reports whether the subject is as wanted; true where none is asked for.
func (m *Matcher) MatchSubject(subject string) bool { return m.subject == nil || m.subject(subject) }

// MatchAlternative reports whether an alternative name of a certificate of a private PKI is as wanted. One that reads as a distinguished name is nobody's: whoever may choose such a
// name for a host or URI has not the subject that it looks like.
func (m *Matcher) MatchAlternative(name string) bool {
	_, distinguished := parseDN(name)
	return !distinguished && m.Match("", name)
}

// String is how a refusal names who was wanted.
func (i Identity) String() string {
	subject := i.Subject
	if i.SubjectRegexp != "" {
		subject = "/" + i.SubjectRegexp + "/"
	}
	issuer := i.Issuer
	if i.IssuerRegexp != "" {
		issuer = "/" + i.IssuerRegexp + "/"
	}
	if issuer == "" {
		return subject
	}
	return subject + " (issuer " + issuer + ")"
}
