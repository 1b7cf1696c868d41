package verify

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
	"time"
)

// The order of refusals is a promise: explanations name the first.
func TestTells(t *testing.T) {
	order := []Code{
		"signature.internal", "signature.revoked_key", "signature.revoked_certificate", "signature.revoked_identity", "signature.revoked_entry",
		"signature.key_expired", "signature.certificate_expired", "signature.expired", "tuf.expired",
		"signature.other_repository", "signature.digest_mismatch", "signature.identity", "signature.out_of_scope",
		"signature.no_sct", "signature.log_mismatch", "signature.no_log", "signature.no_timestamp",
		"signature.too_big", "signature.payload_type", "signature.malformed", "signature.invalid",
		"signature.untrusted_root", "signature.unsupported", "signature.untrusted_key", "signature.unsigned", "signature.no_authority", "signature.unheard_of", "",
	}
	for i, c := range order {
		for j, other := range order {
			if c.Tells(other) != (i < j) {
				t.Errorf("%q before %q: got %v", c, other, i < j)
			}
		}
	}
	if !slices.Equal(Codes(), order[:len(order)-2]) {
		t.Errorf("the set is %v", Codes())
	}
}

// Every code that is declared is in the order.
func TestCodesAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		declared++
		value := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
		if !slices.Contains(Codes(), Code(value)) {
			t.Errorf("%s is not in Codes", spec.Names[0].Name)
		}
		return true
	})
	if declared != len(Codes()) {
		t.Errorf("%d codes are declared and %d listed", declared, len(Codes()))
	}
}

func TestFactAt(t *testing.T) {
	from, until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	proven := Fact{Verified: true, Authority: "release", KeyID: "sha256:00"}
	window := proven
	window.ValidFrom, window.ValidUntil = from, until
	for _, c := range []struct {
		name string
		fact Fact
		now  time.Time
		code Code
	}{
		{"no window", proven, from, ""},
		{"before", window, from.Add(-1), CodeKeyExpired},
		{"at its beginning", window, from, ""},
		{"inside", window, from.Add(time.Hour), ""},
		{"just before its end", window, until.Add(-1), ""},
		{"at its end", window, until, CodeKeyExpired},
		{"after", window, until.Add(time.Hour), CodeKeyExpired},
		{"refused before", Fact{Code: CodeInvalid, ValidUntil: from}, until, CodeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := &Report{Facts: []Fact{c.fact}}
			got := report.At(c.now).Facts[0]
			if got.Code != c.code || got.Verified != (c.code == "") || got.Message == "" && c.code == CodeKeyExpired {
				t.Errorf("got %+v", got)
			}
			if report.Facts[0].Verified != c.fact.Verified {
				t.Error("the report was changed")
			}
		})
	}
}

func TestNextChange(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2030, 1, n, 0, 0, 0, 0, time.UTC) }
	r := &Report{Facts: []Fact{
		{Verified: true, ValidFrom: day(3), ValidUntil: day(9)},
		{Verified: true, ValidUntil: day(5)},
		{Verified: true},
		{ValidUntil: day(2)},
	}}
	for _, c := range []struct{ now, want time.Time }{
		{day(1), day(3)}, {day(3), day(5)}, {day(4), day(5)}, {day(5), day(9)}, {day(9), time.Time{}},
	} {
		if got := r.NextChange(c.now); !got.Equal(c.want) {
			t.Errorf("at %v: got %v, want %v", c.now, got, c.want)
		}
	}
}
