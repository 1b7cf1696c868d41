package outgoing

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/verify/trust"
)

// names is a name server on a loopback address that answers every question with one address.
func names(t *testing.T, a netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer, err := answered(buffer[:n], a); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answered is the answer to a question (RFC 1035 section 4): the same question, and the address where it is of the type that was asked for.
func answered(question []byte, a netip.Addr) ([]byte, error) {
	const header = 12
	end := header
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	if end += 5; end > len(question) { // the root label, type and class
		return nil, errors.New("the question ends too early")
	}
	kind, asked := byte(1), question[end-3] // A
	if a.Is6() {
		kind = 28 // AAAA
	}
	answer := append(slices.Clone(question[:2]), 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	answer = append(answer, question[header:end]...)
	if asked == kind {
		answer[7] = 1
		answer = append(answer, 0xc0, header, 0, kind, 0, 1, 0, 0, 0, 1, 0, byte(a.BitLen()/8))
		answer = append(answer, a.AsSlice()...)
	}
	return answer, nil
}

// D13: a source leads to no address of this machine or of a private network, however it is spelt or looked up, unless the configuration names that.
func TestD13_SourcesLeadToNoInternalAddress(t *testing.T) {
	guard := &dialGuard{}
	for _, a := range []string{
		"127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "64:ff9b::a00:1", "2002:7f00:1::", "2001::1", "fec0::1", "2001:db8::1",
	} {
		if err := guard.control("tcp", net.JoinHostPort(a, "443"), nil); !errors.Is(err, errInternalAddress) {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, a := range []string{"1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1"} {
		if err := guard.control("tcp", net.JoinHostPort(a, "443"), nil); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	if err := guard.control("tcp", "nonsense", nil); err == nil {
		t.Error("an address that cannot be read is dialled")
	}
}

// D13: the address is judged when it is dialled: a name that leads inside is refused whatever a name server says, and whatever a server redirects to.
func TestD13_NamesThatLeadInside(t *testing.T) {
	asked := 0
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		http.Error(w, "{}", http.StatusNotFound)
	}))
	t.Cleanup(inside.Close)
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	fetch := func(source string, networks []netip.Prefix) error {
		u, err := url.Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		s, err := trust.HTTP(source, "", Client(u, networks, names(t, netip.MustParseAddr("127.0.0.1"))))
		if err != nil {
			return err
		}
		_, err = s.Fetch(t.Context(), "timestamp.json", 1000)
		return err
	}
	for _, host := range []string{"tuf.example.com", "127.0.0.1.example.com", "2130706433", "0x7f.1", "127.1"} {
		err := fetch("http://"+net.JoinHostPort(host, port)+"/metadata", nil)
		if err == nil || errors.Is(err, trust.ErrNotFound) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := fetch("http://tuf.example.com:"+port, nil); err == nil || !strings.Contains(err.Error(), "source_networks") {
		t.Errorf("the refusal has no remedy: %v", err)
	}
	if asked != 0 {
		t.Fatalf("the server inside was asked %d times", asked)
	}
	// What the configuration names is meant.
	for source, networks := range map[string][]netip.Prefix{
		inside.URL: nil, "http://localhost:" + port: nil, "http://tuf.example.com:" + port: {netip.MustParsePrefix("127.0.0.0/8")},
	} {
		if err := fetch(source, networks); !errors.Is(err, trust.ErrNotFound) {
			t.Errorf("%s: %v", source, err)
		}
	}
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
}

// D13: a server that was meant redirects to one that was not.
func TestD13_RedirectsInside(t *testing.T) {
	asked := 0
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	t.Cleanup(inside.Close)
	outside := httptest.NewServer(http.RedirectHandler(inside.URL+"/timestamp.json", http.StatusFound))
	t.Cleanup(outside.Close)
	u, err := url.Parse(outside.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := trust.HTTP(outside.URL, "", Client(u, nil, &net.Resolver{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(t.Context(), "timestamp.json", 1000); err == nil || asked != 0 {
		t.Errorf("%v; the server inside was asked %d times", err, asked)
	}
}

// The client takes no proxy from the environment, sends no credentials and keeps no cookies.
func TestSourcesHaveNoProxy(t *testing.T) {
	u, _ := url.Parse("https://tuf.example.com")
	c := Client(u, nil, nil)
	if tr, ok := c.Transport.(*http.Transport); !ok || tr.Proxy != nil || c.Jar != nil {
		t.Errorf("%+v", c)
	}
}
