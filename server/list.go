package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/assay-registry/assay/store"
)

// headerIndex is the type of every referrers answer.
var headerIndex = []string{store.TypeIndex}

// maxList is the most bytes of one page of referrers: their annotations are the clients' own.
const maxList = 4 << 20

// catalog answers /v2/_catalog.
func (c *call) catalog(registry store.Registry) error {
	w, _, err := c.window()
	if err != nil {
		return err
	}
	page, err := registry.Repositories(c.r.Context(), w.last, w.limit())
	if err != nil {
		return err
	}
	b := []byte(`{"repositories":[`)
	b = appendStrings(b, trim(page.Items, w.n))
	return c.list(w, append(b, "]}"...), page.Next, nil, headerJSON)
}

// tags answers /v2/<name>/tags/list (end-8a, end-8b).
func (c *call) tags(registry store.Registry) error {
	w, _, err := c.window()
	if err != nil {
		return err
	}
	page, err := registry.Tags(c.r.Context(), c.route.Repo, w.last, w.limit())
	if err != nil {
		return err
	}
	b := appendText([]byte(`{"name":`), string(c.route.Repo))
	b = appendStrings(append(b, `,"tags":[`...), trim(page.Items, w.n))
	return c.list(w, append(b, "]}"...), page.Next, nil, headerJSON)
}

// referrers answers /v2/<name>/referrers/<digest> (end-12a, end-12b): always an index, and 200 also for a subject that is not there.
func (c *call) referrers(registry store.Registry) error {
	w, q, err := c.window()
	if err != nil {
		return err
	}
	artifactType, filtered, err := q.one("artifactType")
	if err != nil {
		return err
	}
	page, err := registry.Referrers(c.r.Context(), c.route.Repo, c.route.Digest, artifactType, w.last, w.limit())
	if err != nil {
		return err
	}
	extra := url.Values{}
	if filtered {
		extra.Set("artifactType", artifactType)
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	b := make([]byte, 0, 128+400*len(page.Items))
	b = append(b, `{"schemaVersion":2,"mediaType":"`+store.TypeIndex+`","manifests":[`...)
	next, listed := page.Next, 0
	for i, d := range trim(page.Items, w.n) {
		if filtered && d.ArtifactType != artifactType { // an empty filter, which the registry takes for none
			continue
		}
		size := len(b)
		if listed++; listed > 1 {
			b = append(b, ',')
		}
		b = appendDescriptor(b, d)
		if len(b) > maxList && i > 0 {
			b, next = b[:size], string(page.Items[i-1].Digest)
			break
		}
	}
	return c.list(w, append(b, "]}"...), next, extra, headerIndex)
}

// window reads the page that is asked for.
func (c *call) window() (window, query, error) {
	q, err := parseQuery(c.r)
	if err != nil {
		return window{}, nil, err
	}
	w, err := q.page()
	return w, q, err
}

// list answers one page. Nothing was asked with n=0, and so nothing follows it.
func (c *call) list(w window, document []byte, next string, extra url.Values, mediaType []string) error {
	h := c.w.Header()
	h["Cache-Control"] = headerNoStore
	if next != "" && w.n > 0 {
		h.Set("Link", w.link(c.route.Path(), next, extra))
	}
	return c.document(http.StatusOK, mediaType, document)
}

func trim[T any](items []T, n int) []T { return items[:min(len(items), n)] }

func appendStrings[S ~string](b []byte, items []S) []byte {
	for i, s := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, string(s))
	}
	return b
}

// appendText appends a JSON string. Names and digests, which have nothing to escape, skip the encoder.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always encodes
				return append(b, `""`...)
			}
			return append(b, quoted...)
		}
	}
	return appendPlain(b, s)
}

// appendPlain appends a JSON string that is known to have nothing to escape: a digest.
func appendPlain(b []byte, s string) []byte {
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func sorted(keys []string, m map[string]string) []string {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// appendDescriptor appends what the referrers API tells of a manifest.
func appendDescriptor(b []byte, d store.Descriptor) []byte {
	b = appendText(append(b, `{"mediaType":`...), d.MediaType)
	b = appendPlain(append(b, `,"digest":`...), string(d.Digest))
	b = strconv.AppendInt(append(b, `,"size":`...), d.Size, 10)
	if len(d.Annotations) > 0 {
		b = append(b, `,"annotations":{`...)
		var few [8]string // on the stack
		for i, k := range sorted(few[:0], d.Annotations) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, k)
			b = appendText(append(b, ':'), d.Annotations[k])
		}
		b = append(b, '}')
	}
	if d.ArtifactType != "" {
		b = appendText(append(b, `,"artifactType":`...), d.ArtifactType)
	}
	return append(b, '}')
}
