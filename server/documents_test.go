package server

import (
	"testing"

	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

// fewDocuments has one of each.
type fewDocuments struct{}

func (fewDocuments) Schema(name string) ([]byte, bool) {
	return []byte(`{"type":"object"}`), name == "policy.input.v1"
}

func (fewDocuments) Code(name string) (CodePage, bool) {
	return CodePage{Code: name, Meaning: "Nothing signed the digest.", Remedy: "sign it", Page: "## " + name}, name == "signature.missing"
}

// TestDocuments: schemas and pages are for whoever may ask anything, and nothing else lies beside them.
func TestDocuments(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Documents = fewDocuments{} })
	for _, tc := range []struct {
		status             int
		user, method, path string
		want               string
	}{
		{200, "dev", "GET", "/api/v1/schema/policy.input.v1", `{"type":"object"}`},
		{200, "dev", "GET", "/api/v1/codes/signature.missing", `{"code":"signature.missing","meaning":"Nothing signed the digest.","remedy":"sign it","page":"## signature.missing"}`},
		{404, "dev", "GET", "/api/v1/schema/policy.input.v2", ""},
		{404, "dev", "GET", "/api/v1/codes/acme.own", ""},
		{404, "dev", "GET", "/api/v1/codes/", ""},
		{404, "dev", "GET", "/api/v1/codes/../schema", ""},
		{405, "dev", "POST", "/api/v1/codes/signature.missing", ""},
		{401, "", "GET", "/api/v1/codes/signature.missing", ""},
	} {
		w := h.ask(tc.user, tc.method, tc.path, nil)
		checkAnswer(t, tc.method+" "+tc.path, w)
		if w.Code != tc.status || tc.want != "" && w.Body.String() != tc.want {
			t.Errorf("%s %s %s: %d %s", tc.user, tc.method, tc.path, w.Code, w.Body)
		}
	}
	if w := h.ask("dev", "GET", "/api/v1/schema/policy.input.v1", nil); w.Header().Get("Content-Type") != "application/schema+json" {
		t.Errorf("%v", w.Header())
	}
	if w := newHouse(t, nil).ask("dev", "GET", "/api/v1/codes/signature.missing", nil); w.Code != 404 {
		t.Errorf("without documents: %d", w.Code)
	}
}

// TestARefusalNamesItsPage: where to read why, and what the reason means anywhere; a code of one's own has no page.
func TestARefusalNamesItsPage(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Documents = fewDocuments{} })
	c := &call{h: h.handler}
	for reason, want := range map[string]string{
		"signature.missing": `</api/v1/explain?x>; rel="describedby", </api/v1/codes/signature.missing>; rel="help"`,
		"acme.own":          `</api/v1/explain?x>; rel="describedby"`,
		"":                  `</api/v1/explain?x>; rel="describedby"`,
	} {
		if got := c.links(&store.Error{Explain: "/api/v1/explain?x", Reason: reason}); got != want {
			t.Errorf("%s: %s", reason, got)
		}
	}
	if got := c.links(&store.Error{Reason: "signature.missing"}); got != `</api/v1/codes/signature.missing>; rel="help"` {
		t.Errorf("of a push: %s", got)
	}
}
