package client

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	h := http.Header{"Warning": {`299 - "one"`, `199 - "not this"`, `299 registry "nor this"`, `299 - "without end`, `299 - "a \"word\" and a \\"`}}
	if got := warnings(h); !slices.Equal(got, []string{"one", `a "word" and a \`}) {
		t.Errorf("%q", got)
	}
	h["Warning"] = slices.Repeat([]string{`299 - "` + strings.Repeat("x", 300) + `"`}, 100)
	if got := warnings(h); len(got) != maxWarnings {
		t.Errorf("%d", len(got))
	}
}
