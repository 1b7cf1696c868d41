package config

import (
	"fmt"
	"strings"

	"github.com/assay-registry/assay/verify"
)

func (v *validator) identities(path string, a *Authority, out *verify.Authority) {
	for i, id := range a.Identities {
		at := fmt.Sprintf("%s.identities[%d]", path, i)
		identity := verify.Identity{Issuer: id.Issuer, IssuerRegexp: id.IssuerRegexp, Subject: id.Subject, SubjectRegexp: id.SubjectRegexp}
		matcher, err := identity.Compile()
		if err != nil {
			v.fail(at, "", "%s", message(err))
		} else {
			v.wide(at, a.Kind, matcher)
		}
		out.Identities = append(out.Identities, identity)
	}
	if needs := looksAt(a.Kind); len(a.Identities) == 0 && len(needs) > 0 && (a.Kind == verify.KindSigstore || a.Kind == verify.KindX509 || a.Kind == verify.KindNotation) {
		hint := `write identities: [{subject: "CN=release,O=Acme"}]`
		if a.Kind == verify.KindSigstore {
			hint = `write identities: [{issuer: "https://...", subject: "https://github.com/acme/**"}]`
		}
		v.fail(path, hint, "names no identities: whoever has a certificate from there would count")
	}
}

// strangers are subjects and issuers that no configuration means: a pattern that matches one matches everybody there.
func strangers() (subjects, issuers []string) {
	return []string{
			"https://github.com/some-stranger/project/.github/workflows/build.yml@refs/heads/main",
			"https://gitlab.com/some-stranger/project//.gitlab-ci.yml@refs/heads/main",
			"https://codeberg.org/some-stranger/project",
			"https://kubernetes.io/namespaces/some-stranger/serviceaccounts/build",
			"some-stranger@gmail.com", "some-stranger@users.noreply.github.com", "some-stranger@example.com",
		}, []string{
			"https://some-stranger.example.com", "https://token.actions.githubusercontent.com/some-stranger", "https://oidc.eks.us-east-1.amazonaws.com/id/SOMESTRANGER",
			"https://container.googleapis.com/v1/projects/some-stranger/locations/x/clusters/y",
		}
}

// wide warns about patterns that match people whom nobody meant.
func (v *validator) wide(path, kind string, m *verify.Matcher) {
	if kind != verify.KindSigstore {
		return // the roots say whose certificates these are
	}
	subjects, issuers := strangers()
	for _, s := range subjects {
		if (m.Subject != "" || m.SubjectRegexp != "") && m.MatchSubject(s) {
			v.warn(path, "name the organisation", "the subject of this identity matches strangers, such as %s", s)
			break
		}
	}
	for _, s := range issuers {
		if (m.Issuer != "" || m.IssuerRegexp != "") && m.MatchIssuer(s) {
			v.warn(path, "name the issuer", "the issuer of this identity matches those of strangers, such as %s", s)
			break
		}
	}
	if scheme, rest, ok := strings.Cut(m.Subject, "://"); ok {
		parts := strings.Split(rest, "/")
		if strings.Contains(parts[0], "*") {
			v.warn(path, "write the host", "the subject of this identity leaves open which host it is")
		} else if len(parts) > 1 && strings.Trim(parts[1], "*") != "" && strings.Contains(parts[1], "*") {
			v.warn(path, fmt.Sprintf("write the owner's whole name, such as %s://%s/%s/**", scheme, parts[0], strings.Trim(parts[1], "*")),
				"the subject of this identity matches every owner whose name only looks like %s, and anybody can register one", parts[1])
		}
	}
}
