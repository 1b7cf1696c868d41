package client

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/store"
)

// A listing that does not end is not followed for ever, nor kept: not by its bytes, and not by its pages where they are empty.
func TestListingsAreBoundedInAll(t *testing.T) {
	asked, name := 0, strings.Repeat("a", 100)
	c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Link", fmt.Sprintf(`<%s?last=%d>; rel="next"`, r.URL.Path, asked))
		reply(w, http.StatusOK, map[string]any{"repositories": []string{name}, "manifests": []any{}})
	}), docker.Credentials{})
	c.listing = 2000
	for what, list := range map[string]func() error{
		"catalog": func() error { _, err := c.Repositories(t.Context()); return err },
		"referrers": func() error {
			_, err := c.Referrers(t.Context(), "acme/app", store.Digest("sha256:"+strings.Repeat("0", 64)), "")
			return err
		},
	} {
		asked = 0
		if err := list(); err == nil || !strings.Contains(err.Error(), "is larger than 256 MiB in all; ask for a part of it") || asked > 20 {
			t.Errorf("%s: %v after %d pages", what, err, asked)
		}
	}
	l := c.Listing()
	for range maxPages {
		if err := l.Add(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Add(nil); err == nil || !strings.Contains(err.Error(), "does not end after 10000 pages") {
		t.Error(err)
	}
}
