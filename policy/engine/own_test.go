package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// answers evaluates one expression and returns its value as text, or its error after "error: ".
func answers(t *testing.T, call string, change ...func(*contract.Input)) string {
	t.Helper()
	source := "package assay\n\nsays := " + call + "\n\nadmit.deny contains {\"code\": concat(\".\", [\"a\", k]), \"msg\": sprintf(\"%v\", [v])} if some k, v in says\n"
	in := ask(contract.EntryAdmit)
	for _, c := range change {
		c(in)
	}
	d := decide(t, one(t, source, Options{}), in)
	switch {
	case len(d.Deny) != 1:
		t.Fatalf("%s: %+v", call, d.Deny)
	case d.Deny[0].Code == "a.value":
		return d.Deny[0].Message
	case d.Deny[0].Code == "a.error":
		return "error: " + d.Deny[0].Message
	}
	return d.Deny[0].Code
}

// TestOwn: what each pure built-in answers.
func TestOwn(t *testing.T) {
	lists := func(n, members int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("[%d]", i%members))
		}
		return "assay.matching([" + strings.Join(list, ",") + "])"
	}
	for call, want := range map[string]string{
		`assay.purl.parse("pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1?type=jar#a/b")`: `{"name": "log4j-core", "namespace": "org.apache.logging.log4j", "qualifiers": {"type": "jar"}, "subpath": "a/b", "type": "maven", "version": "2.17.1"}`,
		`assay.purl.parse("pkg:npm/%40angular/core@16")`:                                        `{"name": "core", "namespace": "@angular", "qualifiers": {}, "type": "npm", "version": "16"}`,
		`assay.purl.parse("pkg:pypi/Foo_Bar")`:                                                  `{"name": "foo-bar", "qualifiers": {}, "type": "pypi"}`,
		`assay.purl.parse("log4j")`:                                                             "error: ",
		`assay.purl.parse("pkg:maven")`:                                                         "error: ",
		`assay.version.compare("deb", "1:1.0~rc1-1", "1:1.0-1")`:                                "-1",
		`assay.version.compare("rpm", "1.0-10.el9", "1.0-9.el9")`:                               "1",
		`assay.version.compare("apk", "1.2.3-r1", "1.2.3-r0")`:                                  "1",
		`assay.version.compare("pypi", "1.0.post1", "1.0")`:                                     "1",
		`assay.version.compare("maven", "1.0-SNAPSHOT", "1.0")`:                                 "-1",
		`assay.version.compare("npm", "1.10.0", "1.9.0")`:                                       "1",
		`assay.version.compare("golang", "v1.2.3", "1.2.3")`:                                    "0",
		`assay.version.compare("cobol", "1", "2")`:                                              `error: no order of versions is known for "cobol"`,
		`assay.version.compare("npm", "", "2")`:                                                 "error: a version to compare has",
		`assay.version.compare("pypi", "1.0", "` + strings.Repeat("1", 5000) + `")`:             "error: a version has at most",
		`assay.vers.includes("vers:maven/>=2.0|<2.17.1", "2.14.1")`:                             "true",
		`assay.vers.includes("vers:maven/>=2.0|<2.17.1", "2.17.1")`:                             "false",
		`assay.vers.includes("vers:maven/>=2.0|<2.17.1", "1.9")`:                                "false",
		`assay.vers.includes("vers:maven/<2.17.1", "1.9")`:                                      "true",
		`assay.vers.includes("vers:npm/>2.0.0", "3.0.0")`:                                       "true",
		`assay.vers.includes("vers:npm/>2.0.0|!=3.0.0", "3.0.0")`:                               "false",
		`assay.vers.includes("vers:npm/1.0.0|>=2.0.0|<3.0.0|>=4.0.0", "1.0.0")`:                 "true",
		`assay.vers.includes("vers:npm/1.0.0|>=2.0.0|<3.0.0|>=4.0.0", "3.5.0")`:                 "false",
		`assay.vers.includes("vers:npm/1.0.0|>=2.0.0|<3.0.0|>=4.0.0", "4.5.0")`:                 "true",
		`assay.vers.includes("vers:npm/<3.0.0|>=2.0.0", "1.0.0")`:                               "error: the bounds of a VERS range rise",
		`assay.vers.includes("vers:npm/<1.0.0|>=2.0.0|<=3.0.0", "0.5.0")`:                       "true",
		`assay.vers.includes("vers:npm/*", "0.5.0")`:                                            "true",
		`assay.vers.includes("vers:npm/!=1.0.0", "0.5.0")`:                                      "true",
		`assay.vers.includes("vers:npm/=1.0.0", "0.5.0")`:                                       "false",
		`assay.vers.includes("vers:npm/", "0.5.0")`:                                             "error: the bound",
		`assay.vers.includes("vers:cobol/*", "0.5.0")`:                                          "error: no order",
		`assay.vers.includes("<2", "0.5.0")`:                                                    "error: a range is written",
		`assay.licence.category("MIT")`:                                                         "permissive",
		`assay.licence.category("gpl-2.0+")`:                                                    "copyleft",
		`assay.licence.category("GPL-3.0-or-later")`:                                            "copyleft",
		`assay.licence.category("GPL-2.0-only WITH Classpath-exception-2.0")`:                   "weak",
		`assay.licence.category("GPL-2.0-only WITH Nothing")`:                                   "copyleft",
		`assay.licence.category("AGPL-3.0-only")`:                                               "network",
		`assay.licence.category("LGPL-2.1-or-later")`:                                           "weak",
		`assay.licence.category("BUSL-1.1")`:                                                    "restricted",
		`assay.licence.category("Acme-Proprietary")`:                                            "unknown",
		`assay.licence.parse("MIT")`:                                                            `[["MIT"]]`,
		`assay.licence.parse("(MIT OR Apache-2.0) AND BSD-3-Clause")`:                           `[["MIT", "BSD-3-Clause"], ["Apache-2.0", "BSD-3-Clause"]]`,
		`assay.licence.parse("MIT or GPL-2.0-only with Classpath-exception-2.0 and X")`:         `[["MIT"], ["GPL-2.0-only WITH Classpath-exception-2.0", "X"]]`,
		`assay.licence.parse("")`:                                                               "error: the licence expression lacks a licence",
		`assay.licence.parse("MIT OR")`:                                                         "error: the licence expression lacks a licence",
		`assay.licence.parse("MIT BSD")`:                                                        "error: the licence expression has",
		`assay.licence.parse("(MIT")`:                                                           "error: the licence expression lacks a closing",
		`assay.licence.parse("` + strings.Repeat("(", 40) + `")`:                                "error: a licence expression nests",
		`assay.licence.parse("` + strings.Repeat("(A OR B) AND ", 40) + `C")`:                   "error: a licence expression offers",
		`assay.licence.parse("` + strings.Repeat("A AND ", 40) + `C")`:                          "error: a licence expression joins",
		`assay.licence.parse("` + strings.Repeat("A", 3000) + `")`:                              "error: a licence expression has at most",
		`assay.matching([])`:                                                                    "0",
		`assay.matching([{"a"}, {"a"}])`:                                                        "1",
		`assay.matching([{"a", "b"}, {"a"}, ["a"]])`:                                            "2",
		`assay.matching([["s1", "s2"], ["s1"], ["s2", "s3"]])`:                                  "3",
		`assay.matching([["s1"], ["s1"], ["s2", "s3"]])`:                                        "2",
		`assay.matching([["s1", ["s", 2]], ["s1"]])`:                                            "2",
		`assay.matching([1])`:                                                                   "error: what is matched",
		lists(64, 64):                                                                           "64",
		lists(65, 65):                                                                           "error: at most 64",
		`assay.matching([numbers.range(1, 300)])`:                                               "error: at most 256",
	} {
		if got := answers(t, call); got != want && !(strings.HasPrefix(want, "error: ") && strings.HasPrefix(got, want)) {
			t.Errorf("%.120s: got %q, want %q", call, got, want)
		}
	}
}

// shelf is an index of packages in memory.
type shelf struct {
	packages []contract.Package
	more     bool
	fail     error
	asked    []contract.PackageQuery
	places   map[string]contract.Place
	located  [][]string
	lost     error
}

func (s *shelf) LocatePackages(_ context.Context, _ store.Name, _ store.Digest, purls []string) (map[string]contract.Place, error) {
	s.located = append(s.located, purls)
	return s.places, s.lost
}

func (s *shelf) FindPackages(_ context.Context, _ store.Name, d store.Digest, q contract.PackageQuery, limit int) ([]contract.Package, bool, error) {
	s.asked = append(s.asked, q)
	if d != testDigest {
		return nil, false, store.Errorf(store.CodeNotFound, "absent")
	}
	found := s.packages[:min(limit, len(s.packages))]
	return found, s.more || len(found) < len(s.packages), s.fail
}

// TestPackages: the index is asked once for each question, its limits are told, and no answer is a refusal.
func TestPackages(t *testing.T) {
	index := &shelf{packages: []contract.Package{{PURL: "pkg:maven/o/log4j-core@2.14.1", Licenses: []string{"Apache-2.0"}}}}
	with := func(in *contract.Input) { in.Packages = index }
	const call = `assay.packages({"purl": "pkg:maven/**/log4j-core", "range": "<2.17.1"})`
	if got := answers(t, call, with); got != `{"more": false, "packages": [{"layer": "", "licences": ["Apache-2.0"], "path": "", "purl": "pkg:maven/o/log4j-core@2.14.1", "where": "in the image"}]}` {
		t.Errorf("got %s", got)
	}
	if want := []contract.PackageQuery{{PURL: "pkg:maven/**/log4j-core", Range: "<2.17.1"}}; !slices.Equal(index.asked, want) {
		t.Errorf("asked %+v", index.asked)
	}
	index.places = map[string]contract.Place{"pkg:maven/o/log4j-core@2.14.1": {Path: "/app/lib/log4j.jar", Layer: evidenceA}}
	if got := answers(t, call, with); got != `{"more": false, "packages": [{"layer": "`+string(evidenceA)+`", "licences": ["Apache-2.0"], "path": "/app/lib/log4j.jar", "purl": "pkg:maven/o/log4j-core@2.14.1", "where": "in layer `+string(evidenceA)[:19]+` at /app/lib/log4j.jar"}]}` ||
		len(index.located) != 2 || len(index.located[1]) != 1 {
		t.Errorf("got %s, located %v", got, index.located)
	}
	index.lost = store.Errorf(store.CodeUnavailable, "the disk is gone")
	if got := answers(t, call, with); got != CodeError {
		t.Errorf("places that cannot be told: %s", got)
	}
	index.lost, index.places = nil, nil
	if got := answers(t, call); got != "error: the index of packages is not at hand" {
		t.Errorf("got %s", got)
	}
	if got := answers(t, call, with, func(in *contract.Input) { in.Subject.Digest = evidenceA }); !strings.HasPrefix(got, "error: the packages of the image are not known") {
		t.Errorf("got %s", got)
	}
	for query, want := range map[string]string{
		`{}`: "error: a query is an object", `{"purl": ""}`: "error: a member", `{"name": "x"}`: "error: a query has purl, range, licence and unsigned", `{"purl": "x", "unsigned": "yes"}`: "error: unsigned is \"believe\"", `{"purl": "` + strings.Repeat("x", 600) + `"}`: "error: a member",
	} {
		if got := answers(t, "assay.packages("+query+")", with); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", query, got)
		}
	}
	for range 300 {
		index.packages = append(index.packages, contract.Package{PURL: "pkg:npm/x@1", Licenses: slices.Repeat([]string{"MIT"}, 20)})
	}
	if got := answers(t, `{"value": [count(assay.packages({"licence": "MIT"}).value.packages), assay.packages({"licence": "MIT"}).value.more]}`, with); got != "[200, true]" {
		t.Errorf("got %s", got)
	}
	many := `{"value": count([e | some i in numbers.range(1, 70); e := assay.packages({"purl": sprintf("%d", [i])}).error])}`
	if got := answers(t, many, with); got != "6" {
		t.Errorf("%s questions beyond the limit", got)
	}
	index.fail = store.Errorf(store.CodeInvalid, "the range cannot be read")
	if got := answers(t, call, with); got != "error: the range cannot be read" {
		t.Errorf("got %s", got)
	}
	index.fail = errors.New("the disk is gone")
	if got := answers(t, call, with); got != CodeError {
		t.Errorf("got %s", got)
	}
}

// TestB35_Own: the built-ins do not multiply what a policy builds, and no entry point that may not read an SBOM asks about packages.
func TestB35_Own(t *testing.T) {
	got := problems(t, Policy{Source: map[string]string{"p.rego": "package assay\n\npush.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if assay.packages({\"purl\": \"x\"}).value.more\n"}})
	if !strings.Contains(got, "input.sbom, which the entry point push may not") {
		t.Errorf("got %q", got)
	}
	for _, seed := range []string{`assay.packages({"purl": "x"}).value`, `assay.licence.parse("MIT").value`, `assay.purl.parse("pkg:a/b").value`} {
		source := "package assay\n\n" + doubling("[x%d, x%d]", seed, 20, "count(x20) == 1")
		if got := problems(t, Policy{Source: map[string]string{"p.rego": source}}); !strings.Contains(got, "larger than a policy may make") {
			t.Errorf("%s: %q", seed, got)
		}
	}
	d := one(t, "package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if assay.packages({\"purl\": \"x\"}).value.more\n", Options{}).Describe()[0]
	if r := d.Entries[contract.EntryAdmit].Reads; !r.Packages || !r.Has("sbom") {
		t.Errorf("%+v", r)
	}
}
