package server

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

// Whoever reads a tag and writes back what follows from it says so, and is told where somebody was faster (RFC 9110, sections 13.1.1 and 13.1.2).
func TestConditionalWritesOfTags(t *testing.T) {
	h := open(t)
	const path, typ = "/v2/acme/app/manifests/list", "Content-Type: " + store.TypeImage
	one, two := image("", ""), image("", "application/x-two")
	tag := func(b []byte) string { return `"` + string(store.DigestOf(digest.SHA256, b)) + `"` }
	h.want(412, "", "PUT", path, one, typ, "If-Match: *")
	h.want(412, "", "PUT", path, one, typ, "If-Match: "+tag(one))
	h.want(404, "", "GET", path, nil)
	h.want(201, "", "PUT", path, one, typ, "If-None-Match: *")
	wantHeader(t, h.want(200, "", "GET", path, nil), "ETag", tag(one))
	e := problem(t, "PUT", h.want(412, "", "PUT", path, two, typ, "If-None-Match: *"))
	if e.Code != store.CodeDenied || e.Message == "" {
		t.Errorf("%+v", e)
	}
	h.want(412, "", "PUT", path, two, typ, "If-Match: "+tag(two))
	h.want(412, "", "PUT", path, two, typ, "If-Match: W/"+tag(one))
	h.want(412, "", "PUT", path, two, typ, `If-Match: "*"`)
	h.want(412, "", "PUT", path, two, typ, `If-None-Match: "x", W/`+tag(one))
	for _, malformed := range []string{"", "x", `"`, `W/`, tag(one) + ",", string(store.DigestOf(digest.SHA256, one))} {
		h.want(400, "", "PUT", path, two, typ, "If-Match: "+malformed)
		h.want(400, "", "PUT", path, two, typ, "If-None-Match: "+malformed)
	}
	wantHeader(t, h.want(200, "", "GET", path, nil), "ETag", tag(one))
	h.want(201, "", "PUT", path, two, typ, `If-Match: "x", `+tag(one), "If-None-Match: "+tag(two))
	h.want(201, "", "PUT", path, one, typ, "If-Match: *")

	byDigest := "/v2/acme/app/manifests/" + string(store.DigestOf(digest.SHA256, two))
	h.want(201, "", "PUT", byDigest+"?tag=list", two, typ, "If-None-Match: *", `If-Match: "x"`) // what a digest means does not change
}

func TestEntityTags(t *testing.T) {
	if got, err := entityTags(nil, true); got != nil || err != nil {
		t.Errorf("%v %v", got, err)
	}
	if got, err := entityTags([]string{`"a" , W/"b"`, "*"}, true); err != nil || !slices.Equal(got, []store.Digest{"a", "b", store.Anything}) {
		t.Errorf("%v %v", got, err)
	}
	if got, err := entityTags([]string{`W/"b", "*"`}, false); got == nil || len(got) != 0 || err != nil {
		t.Errorf("%v %v", got, err)
	}
}
