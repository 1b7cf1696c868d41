package verify

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

const workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1"

func TestIdentity(t *testing.T) {
	const github = "https://token.actions.githubusercontent.com"
	for _, c := range []struct {
		name            string
		identity        Identity
		issuer, subject string
		want            bool
	}{
		{"exact", Identity{Issuer: github, Subject: workflow}, github, workflow, true},
		{"another subject", Identity{Issuer: github, Subject: workflow}, github, workflow + "0", false},
		{"another issuer", Identity{Issuer: github, Subject: workflow}, "https://accounts.example.com", workflow, false},
		{"identity without issuer", Identity{Subject: workflow}, github, workflow, true},
		{"glob over components", Identity{Issuer: github, Subject: "https://github.com/acme/**"}, github, workflow, true},
		{"glob within one component", Identity{Issuer: github, Subject: "https://github.com/acme/*"}, github, workflow, false},
		{"another organisation", Identity{Issuer: github, Subject: "https://github.com/acme/**"}, github, strings.Replace(workflow, "/acme/", "/acme-evil/", 1), false},
		{"another host", Identity{Issuer: github, Subject: "https://github.com/acme/**"}, github, "https://github.com.evil.example/acme/app", false},
		{"glob for the issuer", Identity{Issuer: "https://*.example.com", Subject: "a@example.com"}, "https://login.example.com", "a@example.com", true},
		{"regular expression", Identity{IssuerRegexp: `https://token\.actions\..*`, SubjectRegexp: `https://github\.com/acme/.*`}, github, workflow, true},
		{"unanchored identity, before", Identity{Issuer: github, SubjectRegexp: `https://github\.com/acme/.*`}, github, "https://evil.example/?" + workflow, false},
		{"unanchored identity, after", Identity{Issuer: github, SubjectRegexp: `a@example\.com`}, github, "a@example.com.evil.example", false},
		{"unanchored identity, lines", Identity{Issuer: github, SubjectRegexp: `a@example\.com`}, github, "x\na@example.com", false},
		{"an alternative is anchored too", Identity{Issuer: github, SubjectRegexp: `a@example\.com|b@example\.com`}, github, "xb@example.com", false},
		{"exact text is no expression", Identity{Issuer: github, Subject: "a@example.com"}, github, "a@exampleXcom", false},
		{"case counts", Identity{Issuer: github, Subject: "a@example.com"}, github, "A@example.com", false},
		{"nothing asked", Identity{}, github, workflow, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := c.identity.Compile()
			if err != nil {
				t.Fatal(err)
			}
			if m.Match(c.issuer, c.subject) != c.want {
				t.Fatalf("%s: got %v", c.identity, !c.want)
			}
			if m.Match(c.issuer, "") || c.identity.Issuer+c.identity.IssuerRegexp != "" && m.Match("", c.subject) {
				t.Fatal("an absent name matches")
			}
		})
	}
}

func TestIdentityThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		identity Identity
		says     string
	}{
		{Identity{Subject: "a", SubjectRegexp: "a"}, "both subject and subject_regexp"},
		{Identity{Issuer: "a", IssuerRegexp: "a"}, "both issuer and issuer_regexp"},
		{Identity{SubjectRegexp: "("}, "no regular expression"},
		{Identity{SubjectRegexp: `(?=a)`}, "no regular expression"},
		{Identity{Subject: "**"}, "matches anybody"},
		{Identity{SubjectRegexp: ".*"}, "matches anybody"},
		{Identity{SubjectRegexp: "a)|(?:b"}, "no regular expression"}, // would leave the anchors to its halves
		{Identity{SubjectRegexp: `[\s\S]*`}, "matches anybody"},
		{Identity{IssuerRegexp: `[\s\S]+`}, "matches anybody"},
		{Identity{SubjectRegexp: "a*"}, "matches anybody"},
		{Identity{Subject: "CN=*"}, "matches anybody"},
		{Identity{Subject: "CN=**,O=*"}, "matches anybody"},
		{Identity{Subject: strings.Repeat("a", MaxPattern+1)}, "more than 1024 bytes"},
		{Identity{SubjectRegexp: strings.Repeat("a", MaxPattern+1)}, "more than 1024 bytes"},
	} {
		m, err := c.identity.Compile()
		if store.CodeOf(err) != store.CodeInvalid || m != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.identity, err)
		}
	}
}

func TestIdentityString(t *testing.T) {
	for want, i := range map[string]Identity{
		"a":                  {Subject: "a"},
		"a (issuer b)":       {Subject: "a", Issuer: "b"},
		"/a.*/ (issuer /b/)": {SubjectRegexp: "a.*", IssuerRegexp: "b"},
	} {
		if i.String() != want {
			t.Errorf("got %s, wanted %s", i, want)
		}
	}
}

// subjectDER is a subject of one attribute per part: "CN=release".
func subjectDER(t testing.TB, parts ...string) []byte {
	t.Helper()
	var rdns pkix.RDNSequence
	for _, p := range parts {
		name, value, _ := strings.Cut(p, "=")
		var oid asn1.ObjectIdentifier
		for _, n := range strings.Split(attributeTypes[name], ".") {
			v := 0
			for _, c := range n {
				v = v*10 + int(c-'0')
			}
			oid = append(oid, v)
		}
		rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: value}})
	}
	der, err := asn1.Marshal(rdns)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestMatchName(t *testing.T) {
	release := []string{"C=DE", "O=Acme", "OU=Build", "OU=Tools", "CN=release"}
	for _, c := range []struct {
		identity Identity
		subject  []string
		want     bool
	}{
		{Identity{Subject: "CN=release,O=Acme"}, release, true},
		{Identity{Subject: "cn=release, o=Acme"}, release, true},
		{Identity{Subject: "O=Acme,CN=release"}, release, true},
		{Identity{Subject: "2.5.4.3=release"}, release, true},
		{Identity{Subject: "CN=release+O=Acme"}, release, true},
		{Identity{Subject: "OU=Tools,OU=Build"}, release, true},
		{Identity{Subject: "CN=rel*,O=Acme"}, release, true},
		{Identity{Subject: "CN=*,O=Acme"}, release, true},
		{Identity{Subject: "CN=release,OU=Tools,OU=Build,O=Acme,C=DE"}, release, true},
		{Identity{SubjectRegexp: "CN=release,.*,C=DE"}, release, true},
		{Identity{Subject: "CN=release,OU=*"}, release, true},
		{Identity{Subject: "CN=release,O=Other"}, release, false},
		{Identity{Subject: "CN=release,L=Ulm"}, release, false},
		{Identity{Subject: "CN=RELEASE"}, release, false},
		{Identity{Subject: "release"}, release, false},
		{Identity{Subject: "CN=release,O="}, release, false},
		{Identity{Subject: "CN=release,X=y"}, release, false},
		{Identity{Subject: "CN=#0c0772656c65617365"}, release, false},
		{Identity{Issuer: "CN=release"}, release, false},
		{Identity{}, release, false},
		{Identity{Subject: "CN=release"}, []string{"O=CN=release"}, false},
		{Identity{Subject: "CN=release"}, []string{"CN=mallory", "CN=release"}, false},
		{Identity{Subject: "CN=release"}, []string{"CN=release", "CN=release"}, false},
		{Identity{Subject: "CN=release"}, nil, false},
		{Identity{Subject: `CN=a\,b\\\"\2b,O=Acme`}, []string{"O=Acme", `CN=a,b\"+`}, true},
		{Identity{Subject: `CN=a\,O=Acme`}, []string{"O=Acme", `CN=a`}, false},
		{Identity{Subject: `CN=a\`}, []string{`CN=a`}, false},
		{Identity{Subject: `CN=a\2`}, []string{`CN=a`}, false},
		{Identity{Subject: `CN= a\ , O = Acme `}, []string{"O=Acme", "CN=a "}, true},
		{Identity{Subject: "CN=a/*"}, []string{"CN=a/b"}, true},
		{Identity{Subject: "CN=a/*"}, []string{"CN=a/b/c"}, false},
		{Identity{Subject: "E=a@example.com,UID=7,DC=example"}, []string{"DC=com", "DC=example", "UID=7", "E=a@example.com"}, true},
	} {
		m, err := c.identity.Compile()
		if err != nil {
			t.Fatalf("%+v: %v", c.identity, err)
		}
		if m.MatchName(subjectDER(t, c.subject...)) != c.want {
			t.Errorf("%+v and %v: got %v", c.identity, c.subject, !c.want)
		}
		if m.MatchName([]byte("x")) || m.MatchName(nil) || m.MatchName(append(subjectDER(t, c.subject...), 0)) {
			t.Errorf("%+v matches what is no name", c.identity)
		}
	}
}

func TestDistinguishedName(t *testing.T) {
	for want, parts := range map[string][]string{
		"CN=release,O=Acme,C=DE": {"C=DE", "O=Acme", "CN=release"},
		`CN=a\,b\+c`:             {"CN=a,b+c"},
		"":                       {},
		"0.9.2342.19200300.100.1.25=#1307657861" + "6d706c65": {"DC=example"},
	} {
		if got := DistinguishedName(subjectDER(t, parts...)); got != want {
			t.Errorf("got %s, wanted %s", got, want)
		}
	}
	if got := DistinguishedName([]byte("no name")); got != "" {
		t.Errorf("got %q", got)
	}
}

// FuzzMatchName: a name as written matches the subject that it was written of, and nothing panics.
func FuzzMatchName(f *testing.F) {
	f.Add("release", "Acme")
	f.Add(`a,b+c="\<>;# `, " x ")
	f.Add("*", "a")
	f.Add("\x00\xff", "é")
	f.Fuzz(func(t *testing.T, cn, o string) {
		der, err := asn1.Marshal(pkix.Name{CommonName: cn, Organization: []string{o}}.ToRDNSequence())
		if err != nil || cn == "" || o == "" || len(cn)+len(o) > MaxPattern/4 {
			return
		}
		m, err := Identity{Subject: DistinguishedName(der)}.Compile()
		if err != nil || m.name == nil { // a value that is open to anybody, or one that RFC 4514 writes in hexadecimal
			return
		}
		if !m.MatchName(der) {
			t.Fatalf("%q is not matched by itself", DistinguishedName(der))
		}
	})
}
