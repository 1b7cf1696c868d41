package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

func TestTUFAuthority(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*TUF)
		says   string
	}{
		{"https", func(*TUF) {}, ""},
		{"directory", func(u *TUF) { u.Source = "dir:/var/lib/tuf" }, ""},
		{"tar", func(u *TUF) { u.Source, u.Refresh = "tar:/media/tuf.tar", 0 }, ""},
		{"registry", func(u *TUF) { u.Source = "oci:acme/tuf" }, ""},
		{"expired is told", func(u *TUF) { u.Expired = "warn" }, ""},
		{"expired refuses", func(u *TUF) { u.Expired = "refuse" }, ""},
		{"no root", func(u *TUF) { u.Root = "" }, "needs a root.json"},
		{"root too big", func(u *TUF) { u.Root = strings.Repeat("x", MaxTrustedRoot+1) }, "at most 1024 KiB"},
		{"no source", func(u *TUF) { u.Source = "" }, `the TUF source ""`},
		{"no path", func(u *TUF) { u.Source = "dir:" }, `the TUF source "dir:"`},
		{"another scheme", func(u *TUF) { u.Source = "ftp://tuf.example" }, "write https://"},
		{"source too long", func(u *TUF) { u.Source = "dir:" + strings.Repeat("a", MaxPattern) }, "the TUF source"},
		{"asked too often", func(u *TUF) { u.Refresh = MinRefresh - 1 }, "at least 1s"},
		{"never asked", func(u *TUF) { u.Refresh = 0 }, "at least 1s"},
		{"expired otherwise", func(u *TUF) { u.Expired = "ignore" }, "use refuse or warn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := authorities(t)[KindTUF]
			c.change(a.TUF)
			err := a.Validate()
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), a.Name) {
				t.Fatalf("got %v", err)
			}
		})
	}
	a := authorities(t)[KindTUF]
	a.TUF = nil
	if err := a.Validate(); err == nil || !strings.Contains(err.Error(), "has no tuf") {
		t.Fatalf("got %v", err)
	}
	other := authorities(t)[KindNotation]
	other.TUF = &TUF{Root: "{}", Source: "dir:/x", Refresh: time.Minute}
	if err := other.Validate(); err == nil || !strings.Contains(err.Error(), "has tuf, which that kind does not look at") {
		t.Fatalf("got %v", err)
	}
}

// How often a source is asked changes no fact.
func TestTUFRevision(t *testing.T) {
	a, b := authorities(t)[KindTUF], authorities(t)[KindTUF]
	b.TUF.Refresh = time.Hour
	if a.Revision() != b.Revision() {
		t.Fatal("the interval is in the revision")
	}
}

func TestPinTarget(t *testing.T) {
	if got := (Pin{Repository: "acme/app", Tag: "v1"}).Target(); got != "acme/app/v1" {
		t.Fatalf("got %s", got)
	}
}

// What ends for a reason of its own says so.
func TestFactEnds(t *testing.T) {
	from, until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		ends, early, late Code
		says              string
	}{
		{"", CodeKeyExpired, CodeKeyExpired, "sign again with a current key"},
		{CodeExpired, CodeCertificateExpired, CodeExpired, "was made to count only until"},
		{CodeCertificateExpired, CodeCertificateExpired, CodeCertificateExpired, "no trusted timestamp"},
		{CodeRevokedCertificate, CodeCertificateExpired, CodeRevokedCertificate, "give a newer one as crls"},
		{CodeTUFExpired, CodeKeyExpired, CodeTUFExpired, "must be renewed"},
	} {
		f := Fact{Verified: true, Authority: "release", KeyID: "sha256:00", Identity: "CN=release", ValidFrom: from, ValidUntil: until, Ends: c.ends}
		if got := f.At(from); !got.Verified || got.Code != "" {
			t.Errorf("%s: inside: %+v", c.ends, got)
		}
		if got := f.At(from.Add(-1)); got.Verified || got.Code != c.early || !strings.Contains(got.Message, "2030-01-01") {
			t.Errorf("%s: early: %+v", c.ends, got)
		}
		if got := f.At(until); got.Verified || got.Code != c.late || !strings.Contains(got.Message, c.says) || !strings.Contains(got.Message, "2031-01-01") {
			t.Errorf("%s: late: %+v", c.ends, got)
		}
	}
}
