package outgoing

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/assay-registry/assay/cmd/assay/config"
)

// D13: an event goes to its target and nowhere else: not to where a name server or a redirect leads inside, and nothing says its address, which may be a secret.
func TestD13_AnEventGoesNoFurtherThanItsTarget(t *testing.T) {
	var kinds []string
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		kinds = append(kinds, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body))
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(inside.Close)
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	post := func(address string, networks ...string) (int, error) {
		p, err := newPoster(config.Notify{URL: address, Networks: networks}, "assay/test", names(t, netip.MustParseAddr("127.0.0.1")))
		if err != nil {
			t.Fatal(err)
		}
		return p.Post(t.Context(), []byte("{}"))
	}
	for _, host := range []string{"hooks.example.com", "2130706433", "127.1", "0x7f.1"} {
		_, err := post("http://" + net.JoinHostPort(host, port) + "/secret")
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if len(kinds) != 0 {
		t.Fatalf("posted inside: %v", kinds)
	}
	if _, err := post("http://hooks.example.com:" + port); err == nil || !strings.Contains(err.Error(), "list the network") {
		t.Errorf("the refusal has no remedy: %v", err)
	}
	if status, err := post("http://hooks.example.com:"+port, "127.0.0.0/8"); err != nil || status != http.StatusOK {
		t.Errorf("a network that is meant: %d %v", status, err)
	}
	if status, err := post(inside.URL + "/redirect"); err != nil || status != http.StatusTemporaryRedirect {
		t.Errorf("a redirect: %d %v", status, err)
	}
	if len(kinds) != 2 || kinds[0] != "POST application/cloudevents+json; charset=utf-8 {}" {
		t.Errorf("posted: %q", kinds)
	}
}
