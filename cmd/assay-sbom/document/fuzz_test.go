package document

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/anchore/packageurl-go"
	"github.com/anchore/syft/syft/cpe"
	"github.com/anchore/syft/syft/file"
)

// FuzzNames holds what is written here the short way equal to the long way: references of packages, CPE names, strings, ids of files.
func FuzzNames(f *testing.F) {
	for _, s := range []string{
		"", "a", "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12", "pkg:npm/%40types/node@20.1.0", "pkg:golang/github.com/a/b@v1.0.0#sub", "pkg:maven/org.Acme/T@1?classifier=x&type=jar",
		"pkg:pypi/a_b@1", "pkg:generic/x@1?checksum=sha256%3A00&z=1", "pkg:deb/a?q=1&a=2", "pkg:deb/a?a=1&a=2", "pkg:deb/a?a=%7e", "pkg:deb/a@", "pkg:deb/a?", "pkg:gem/A@1", "pkg:deb/a/../b@1", "pkg:deb/a@1?Arch=x",
		"pkg:deb/a@%2F", "pkg:deb/a%2Fb@1", "pkg:deb/a?-a=1", "pkg:deb/a?a=b=c", "pkg:deb/a@1?a=1&z=1", "pkg:deb/a@1?z=1", "-", "a-b.c_d", "a:b", "\\", "\\-", "a b", "é", "*", "?", "~", "\xff", "\u2028<&>", "/a/b", "x\x00y",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const id = "00ff00ff00ff00ff"
		want := id
		if u, err := packageurl.FromString(s); err == nil {
			u.Qualifiers = append(u.Qualifiers, packageurl.Qualifier{Key: "package-id", Value: id})
			want = u.ToString()
		}
		if got := packageRef(s, id); got != want {
			t.Errorf("%q is referred to as %q, want %q", s, got, want)
		}
		for _, a := range []cpe.Attributes{{Part: "a", Vendor: s, Version: s}, {Part: s, Product: "a", Other: s, TargetSW: s}} {
			if got := string(appendCPE([]byte("x"), &a)); got != "x"+a.String() {
				t.Errorf("CPE %q, want %q", got, a.String())
			}
		}
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if e.Encode(s) != nil || strings.TrimSuffix(b.String(), "\n") != string(appendString(nil, s, false)) {
			t.Errorf("%q is written %s", s, appendString(nil, s, false))
		}
		if j, err := json.Marshal(s); err != nil || string(j) != string(appendString(nil, s, true)) {
			t.Errorf("%q is written %s for HTML", s, appendString(nil, s, true))
		}
		if c := file.NewCoordinates(s, "sha256:"+s); fileID(c) != c.ID() {
			t.Errorf("file %q has the id %s, want %s", s, fileID(c), c.ID())
		}
	})
}
