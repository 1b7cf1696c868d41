package server

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/assay-registry/assay/store"
)

const (
	maxQuery = 32 << 10 // bytes: 128 tags of the greatest length fit
	maxPage  = 1000     // items of a list, also when nothing is asked
	maxLast  = 512      // bytes of the place where a list continues
)

// query is a parsed query string.
type query url.Values

// parseQuery is strict: what url.ParseQuery would drop in silence is an error.
func parseQuery(r *http.Request) (query, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	if len(r.URL.RawQuery) > maxQuery {
		return nil, store.Errorf(store.CodeInvalid, "the query is longer than %d bytes", maxQuery)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the query is malformed; escape its values and separate them by '&'")
	}
	return query(values), nil
}

// one answers a parameter that may be given once; ok is whether it was.
func (q query) one(key string) (value string, ok bool, err error) {
	values := q[key]
	if len(values) > 1 {
		return "", false, store.Errorf(store.CodeInvalid, "the parameter %s is given more than once", key)
	}
	if len(values) == 0 {
		return "", false, nil
	}
	return values[0], true, nil
}

// window is a page of a list as a client asks for it.
type window struct {
	n     int    // 0 to maxPage
	asked string // n as it goes into the link to the next page; empty if it was not given
	last  string
}

// page reads n and last. n is a wish: more than maxPage is maxPage, and a negative number is no wish. What is no number is an error.
func (q query) page() (window, error) {
	w := window{n: maxPage}
	text, ok, err := q.one("n")
	if err != nil {
		return w, err
	}
	if ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil && !isRange(err) {
			return w, store.Errorf(store.CodeInvalid, "n is the number of items wanted, a decimal number")
		}
		if n >= 0 {
			w.n = int(min(n, maxPage))
			w.asked = strconv.Itoa(w.n)
		}
	}
	if w.last, _, err = q.one("last"); err != nil {
		return w, err
	}
	if len(w.last) > maxLast {
		return w, store.Errorf(store.CodeInvalid, "last is longer than anything that could be listed")
	}
	return w, nil
}

func isRange(err error) bool {
	n, ok := err.(*strconv.NumError)
	return ok && n.Err == strconv.ErrRange
}

// limit is what to ask of the registry: at least one item, because 0 means its default.
func (w window) limit() int { return max(w.n, 1) }

// link is the value of the Link header for the next page of path (RFC 8288), which keeps extra.
func (w window) link(path, next string, extra url.Values) string {
	q := url.Values{"last": {next}}
	if w.asked != "" {
		q.Set("n", w.asked)
	}
	for k, v := range extra {
		q[k] = v
	}
	return "<" + path + "?" + q.Encode() + `>; rel="next"`
}
