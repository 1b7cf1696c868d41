package index

import (
	"strings"
	"testing"

	"github.com/assay-registry/assay/sbom"
)

func TestWithin(t *testing.T) {
	inv := &sbom.Inventory{Packages: []sbom.Package{
		{PURL: "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", Name: "log4j-core", Version: "2.14.1", Licenses: []string{"Apache-2.0"}},
		{PURL: "pkg:npm/left-pad@1.0.0", Name: "left-pad", Version: "1.0.0", Licenses: []string{"MIT OR GPL-3.0-only"}},
		{PURL: "pkg:deb/debian/bash@5.2", Name: "bash", Version: "5.2", Licenses: []string{"GPL-3.0-or-later"}},
		{PURL: "pkg:npm/odd@not%20a%20version", Name: "odd", Version: "not a version"},
	}}
	e := &Entry{Packages: versionsOf(inv)}
	for _, c := range []struct {
		pattern, versions, license, want string
	}{
		{"log4j-core", "", "", "log4j-core"},
		{"log4j-core@<2.17.1", "", "", "log4j-core"},
		{"pkg:maven/*", "<2.14.1", "", ""},
		{"", "", "GPL-*", "left-pad bash"},
		{"pkg:npm/*", "", "gpl-3.0-only", "left-pad"},
		{"pkg:npm/*", "<0.1", "", "odd"},
		{"pkg:npm/*", "", "", "left-pad odd"},
	} {
		found, more, err := Within(e, Query{Pattern: c.pattern, Range: c.versions, License: c.license}, 10)
		var names []string
		for _, v := range found {
			names = append(names, v.Name[strings.LastIndexByte(v.Name, '/')+1:])
		}
		if got := strings.Join(names, " "); err != nil || more || got != c.want {
			t.Errorf("%+v: %q %v %v", c, got, more, err)
		}
	}
	if found, more, err := Within(e, Query{Pattern: "pkg:npm/*"}, 1); err != nil || !more || len(found) != 1 {
		t.Errorf("cut: %v %v %v", found, more, err)
	}
	if _, _, err := Within(e, Query{}, 1); err == nil {
		t.Error("a query for nothing is answered")
	}
}
