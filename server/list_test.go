package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// next reads the target of a Link header.
func next(t testing.TB, h http.Header) string {
	t.Helper()
	link := h.Get("Link")
	if link == "" {
		return ""
	}
	target, ok := strings.CutSuffix(link, `>; rel="next"`)
	if !ok || target[0] != '<' {
		t.Fatalf("Link %q", link)
	}
	return target[1:]
}

// walk follows a list to its end and answers what its pages held.
func (h *house) walk(target, key string) (items []string, pages int) {
	h.t.Helper()
	for ; target != ""; pages++ {
		w := h.want(200, "", "GET", target, nil)
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			h.t.Fatalf("%s: %v", w.Body, err)
		}
		for _, i := range body[key].([]any) {
			if d, ok := i.(map[string]any); ok {
				i = d["digest"]
			}
			items = append(items, i.(string))
		}
		target = next(h.t, w.Header())
	}
	return items, pages
}

func TestTagsAndCatalog(t *testing.T) {
	h := open(t)
	m := image("", "")
	for i := range 25 {
		h.put("", "acme/app", fmt.Sprintf("v%02d", i), m)
		h.put("", fmt.Sprintf("many/r%02d", i), "x", m)
	}
	for _, list := range []struct {
		path, key string
		total     int
	}{{"/v2/acme/app/tags/list", "tags", 25}, {"/v2/_catalog", "repositories", 26}} {
		all, pages := h.walk(list.path, list.key)
		if len(all) != list.total || pages != 1 {
			t.Fatalf("%s: %d items in %d pages", list.path, len(all), pages)
		}
		for _, n := range []int{1, 7, 24, 25, 26, 1000, 100000} {
			some, pages := h.walk(fmt.Sprintf("%s?n=%d", list.path, n), list.key)
			if strings.Join(some, " ") != strings.Join(all, " ") || pages != (list.total+n-1)/n {
				t.Errorf("%s by %d: %d items in %d pages", list.path, n, len(some), pages)
			}
		}
		some, _ := h.walk(list.path+"?last="+url.QueryEscape(all[9]), list.key)
		if len(some) != list.total-10 || some[0] != all[10] {
			t.Errorf("%s after %s: %v", list.path, all[9], some)
		}
	}
	h.want(404, "", "GET", "/v2/no/such/tags/list", nil)
}

func TestD2_PageSizes(t *testing.T) {
	h := open(t)
	h.put("", "a", "v1", image("", ""))
	h.put("", "a", "v2", image("", ""))
	h.put("", "b", "sig", image(sha256, "application/x-sig"))
	h.put("", "b", "sig2", image(sha256, "application/x-sig2"))
	for _, list := range []struct{ path, key string }{{"/v2/a/tags/list", "tags"}, {"/v2/_catalog", "repositories"}, {"/v2/b/referrers/" + sha256, "manifests"}} {
		for query, want := range map[string]int{"n=0": 0, "n=-1": 2, "n=9223372036854775808": 2, "n=1000000000": 2, "n=1": 2, "last=%00%FF%01": -1, "last=": 2, "n=1&last=": 2} {
			items, pages := h.walk(list.path+"?"+query, list.key)
			if want >= 0 && len(items) != want || query == "n=0" && pages != 1 {
				t.Errorf("%s?%s: %v in %d pages", list.path, query, items, pages)
			}
		}
		for _, query := range []string{"n=abc", "n=1&n=2", "n=", "n=1.5", "last=" + strings.Repeat("a", maxLast+1), "last=a&last=b", "n=%zz", "n=1;last=b", "x=" + strings.Repeat("a", maxQuery)} {
			h.want(400, "", "GET", list.path+"?"+query, nil)
		}
	}
	if w := h.want(200, "", "GET", "/v2/a/tags/list?n=0", nil); w.Body.String() != `{"name":"a","tags":[]}` || w.Header().Get("Link") != "" {
		t.Errorf("n=0: %s", w.Body)
	}
	h.want(404, "", "GET", "/v2/no/such/tags/list?n=0", nil)
}

func TestReferrers(t *testing.T) {
	h := open(t)
	subject := h.put("", "a", "v1", image("", ""))
	path := "/v2/a/referrers/" + string(subject)
	if w := h.want(200, "", "GET", path, nil); w.Body.String() != `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}` || w.Header().Get("Content-Type") != store.TypeIndex {
		t.Errorf("none: %s", w.Body)
	}
	h.want(200, "", "GET", "/v2/no/such/referrers/"+sha256, nil)
	h.want(400, "", "GET", "/v2/a/referrers/v1", nil)
	want := map[store.Digest]string{}
	for i := range 30 {
		typ := fmt.Sprintf("application/x-%d", i%3)
		m := image(subject, typ, h.blob("", "a", []byte(fmt.Sprint(i))))
		want[h.put("", "a", string(store.DigestOf(digest.SHA256, m)), m)] = typ
	}
	w := h.want(200, "", "GET", path, nil)
	wantHeader(t, w, "OCI-Filters-Applied", "", "Link", "")
	var index ocispec.Index
	if err := json.Unmarshal(w.Body.Bytes(), &index); err != nil || len(index.Manifests) != 30 {
		t.Fatalf("%d, %v", len(index.Manifests), err)
	}
	for _, d := range index.Manifests {
		if want[d.Digest] == "" || d.ArtifactType != want[d.Digest] || d.MediaType != store.TypeImage || d.Size == 0 || d.Annotations["type"] != d.ArtifactType || d.Annotations["note"] != "<&> \u2028 \"quoted\"" {
			t.Errorf("%+v", d)
		}
	}
	all, _ := h.walk(path, "manifests")
	paged, pages := h.walk(path+"?n=7", "manifests")
	if strings.Join(all, " ") != strings.Join(paged, " ") || pages != 5 {
		t.Errorf("%d of %d in %d pages", len(paged), len(all), pages)
	}
	filtered := path + "?n=4&artifactType=" + url.QueryEscape("application/x-1")
	wantHeader(t, h.want(200, "", "GET", filtered, nil), "OCI-Filters-Applied", "artifactType")
	some, pages := h.walk(filtered, "manifests")
	if len(some) != 10 || pages != 3 {
		t.Errorf("filtered: %d in %d pages", len(some), pages)
	}
	for _, d := range some {
		if want[store.Digest(d)] != "application/x-1" {
			t.Errorf("%s is a %s", d, want[store.Digest(d)])
		}
	}
	w = h.want(200, "", "GET", path+"?artifactType=", nil) // those without a type: none
	wantHeader(t, w, "OCI-Filters-Applied", "artifactType")
	if !strings.HasSuffix(w.Body.String(), `"manifests":[]}`) {
		t.Errorf("%s", w.Body)
	}
}

func TestD17_AReferrersPageIsBounded(t *testing.T) {
	h := open(t)
	subject := store.DigestOf(digest.SHA256, []byte("s"))
	big := strings.Repeat("a", 500<<10)
	for i := range 20 {
		m, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": store.TypeImage, "artifactType": "application/x", "layers": []any{},
			"config":      map[string]any{"mediaType": "application/vnd.oci.empty.v1+json", "digest": store.DigestOf(digest.SHA256, []byte("{}")), "size": 2},
			"subject":     map[string]any{"mediaType": store.TypeImage, "digest": subject, "size": 1},
			"annotations": map[string]string{"big": big, "i": fmt.Sprint(i)}})
		if err != nil {
			t.Fatal(err)
		}
		h.put("", "a", string(store.DigestOf(digest.SHA256, m)), m)
	}
	if w := h.want(200, "", "GET", "/v2/a/referrers/"+string(subject), nil); w.Body.Len() > maxList+1024 || w.Header().Get("Link") == "" {
		t.Errorf("%d bytes, Link %q", w.Body.Len(), w.Header().Get("Link"))
	}
	if items, pages := h.walk("/v2/a/referrers/"+string(subject), "manifests"); len(items) != 20 || pages != 3 {
		t.Errorf("%d items in %d pages", len(items), pages)
	}
}

func TestDescriptorsAreEncodedAsTheLibraryDoes(t *testing.T) {
	for _, d := range []store.Descriptor{
		{Digest: sha512},
		{MediaType: store.TypeImage, Digest: sha256, Size: 1234, ArtifactType: "application/x"},
		{MediaType: "a\"b\\c", Digest: sha256, Size: -1, Annotations: map[string]string{"b": "<script>\u2028\x00\xff", "a": "ü", "": ""}},
	} {
		want, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var a, b store.Descriptor
		got := appendDescriptor(nil, d)
		if err := json.Unmarshal(got, &a); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if err := json.Unmarshal(want, &b); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "sha256:abc", "<\"\\>", "\x00\x1b\u009b\u2028\xff", "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(appendText(nil, s), &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && len(s) == len(strings.ToValidUTF8(s, "")) {
			t.Fatalf("%q: %q, %v", s, back, err)
		}
		for _, c := range []byte(quoted(s)) {
			if c < ' ' || c > '~' {
				t.Fatalf("%q: %q", s, quoted(s))
			}
		}
		for _, r := range visible(s) {
			if control(r) {
				t.Fatalf("%q: %q", s, visible(s))
			}
		}
	})
}
