package server

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

// listen is a free port of this machine.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve runs the house on l until the test ends.
func (h *house) serve(s *http.Server, l net.Listener) {
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, s, h.handler, l, time.Second) }()
	h.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// watched is a listener whose connections tell what reaches their ReadFrom.
type watched struct {
	net.Listener
	seen chan io.Reader
}

func (w watched) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return watchedConn{c.(*net.TCPConn), w.seen}, nil
}

type watchedConn struct {
	*net.TCPConn
	seen chan io.Reader
}

func (c watchedConn) ReadFrom(r io.Reader) (int64, error) {
	inner := r
	if l, ok := r.(*io.LimitedReader); ok { // the one level that the runtime unwraps
		inner = l.R
	}
	select {
	case c.seen <- inner:
	default:
	}
	return c.TCPConn.ReadFrom(r)
}

func TestFilesReachTheConnection(t *testing.T) {
	h := newHouse(t, nil)
	content := make([]byte, 5*piece/2)
	for i := range content {
		content[i] = byte(i * 7)
	}
	d := h.blob("dev", "acme/app", content)
	l := watched{listen(t), make(chan io.Reader, 100)}
	h.serve(HTTPServer(h.handler, nil), l)
	for _, tc := range []struct {
		rangeHeader string
		from, to    int
		pieces      int
	}{{"", 0, len(content), 3}, {"bytes=1000-1500000", 1000, 1500001, 2}} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+"/v2/acme/app/blobs/"+string(d), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("reader", password)
		if tc.rangeHeader != "" {
			r.Header.Set("Range", tc.rangeHeader)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != string(content[tc.from:tc.to]) {
			t.Errorf("%q: %d bytes, %v", tc.rangeHeader, len(got), err)
		}
		resp.Body.Close()
		for i := range tc.pieces {
			if r := <-l.seen; r == nil {
				t.Error("nothing")
			} else if _, ok := r.(*os.File); !ok {
				t.Errorf("%q, piece %d: a %T reaches the connection, not the file", tc.rangeHeader, i, r)
			}
		}
	}
}

// raw sends bytes and answers everything that comes until the server closes.
func raw(t *testing.T, addr string, send func(net.Conn) error) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := make(chan error, 1)
	go func() { sent <- send(c) }()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server keeps the connection; it sent %q", got)
	}
	c.Close()
	<-sent
	return string(got)
}

func write(text string) func(net.Conn) error {
	return func(c net.Conn) error {
		_, err := io.WriteString(c, text)
		return err
	}
}

func TestD4_SlowClientsAreReaped(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *auth.Options) {
		o.Limits = Limits{Header: 200 * time.Millisecond, Idle: 200 * time.Millisecond, BodyTime: 200 * time.Millisecond, BodyBytes: 1 << 10}
	})
	at := h.want(202, "dev", "POST", "/v2/acme/app/blobs/uploads/", nil).Header().Get("Location")
	l := listen(t)
	h.serve(HTTPServer(h.handler, nil), l)
	request := func(method, path string, length int, credentials string) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n", method, path, length, credentials)
	}
	dev := basicLine("dev") + "\r\n"
	for _, tc := range []struct {
		name, want string
		send       func(net.Conn) error
	}{
		{"half a request line", "", write("GET /v2/ HT")},
		{"headers without end", "", write("GET /v2/ HTTP/1.1\r\nHost: x\r\nX: y\r\n")},
		{"nothing at all", "", write("")},
		{"idle after an answer", "HTTP/1.1 200 OK", write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"a body that stops", "HTTP/1.1 400 Bad Request", write(request("PATCH", at, 100000, dev) + "abc")},
		{"a manifest that stops", "HTTP/1.1 400 Bad Request", write(request("PUT", "/v2/acme/app/manifests/x", 1000, dev) + "{")},
		{"a body that nobody wants", "HTTP/1.1 401 Unauthorized", write(request("PATCH", at, 100000, "") + "abc")},
		{"a byte at a time", "HTTP/1.1 400 Bad Request", func(c net.Conn) error {
			_, err := io.WriteString(c, request("PATCH", at, 1_000_000, dev))
			for tick := time.NewTicker(5 * time.Millisecond); err == nil; <-tick.C {
				_, err = io.WriteString(c, "x")
			}
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := raw(t, l.Addr().String(), tc.send)
			if !strings.HasPrefix(got, tc.want) || tc.want == "" && got != "" && !strings.HasPrefix(got, "HTTP/1.1 4") {
				t.Errorf("%q", got)
			}
		})
	}
	// The session that was cut is where it was, and takes the rest.
	h.want(204, "dev", "GET", at, nil)
}

// A client that waits to be told to go on (RFC 9110, section 10.1.1) and is refused reads the refusal at once, not after the time of a slow body.
func TestRefusalsDoNotAskForTheBody(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Limits = Limits{BodyTime: time.Hour} })
	at := h.want(202, "dev", "POST", "/v2/acme/app/blobs/uploads/", nil).Header().Get("Location")
	l := listen(t)
	h.serve(HTTPServer(h.handler, nil), l)
	for _, tc := range []struct {
		name, request string
		want          int
	}{
		{"nobody", "PUT /v2/acme/app/manifests/x HTTP/1.1\r\nContent-Length: 1000\r\n", 401},
		{"a session of others", "PATCH " + at + "0 HTTP/1.1\r\nContent-Length: 1000\r\n" + basicLine("dev") + "\r\n", 404},
		{"an offset that is not there", "PATCH " + at + " HTTP/1.1\r\nContent-Range: 5-1004\r\nContent-Length: 1000\r\n" + basicLine("dev") + "\r\n", 416},
		{"chunks", "PATCH " + at + "0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + basicLine("dev") + "\r\n", 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if err := write(tc.request + "Host: x\r\nExpect: 100-continue\r\n\r\n")(c); err != nil {
				t.Fatal(err)
			}
			got, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || got.StatusCode != tc.want || !got.Close {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestD4_SteadyBodiesAreNot(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Limits = Limits{BodyTime: 300 * time.Millisecond, BodyBytes: 64} })
	at := h.want(202, "dev", "POST", "/v2/acme/app/blobs/uploads/", nil).Header().Get("Location")
	l := listen(t)
	h.serve(HTTPServer(h.handler, nil), l)
	const parts, each = 30, 100 // three times as long as one period
	got := raw(t, l.Addr().String(), func(c net.Conn) error {
		_, err := fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n\r\n", at, parts*each, basicLine("dev"))
		tick := time.NewTicker(30 * time.Millisecond)
		for i := 0; i < parts && err == nil; i++ {
			<-tick.C
			_, err = io.WriteString(c, strings.Repeat("x", each))
		}
		return err
	})
	if !strings.HasPrefix(got, "HTTP/1.1 202") || !strings.Contains(got, "Range: 0-2999\r\n") {
		t.Errorf("%q", got)
	}
}

func TestD4_StalledReadersAreReaped(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Limits = Limits{Stall: 200 * time.Millisecond} })
	d := h.blob("dev", "acme/app", make([]byte, 32<<20))
	s := HTTPServer(h.handler, nil)
	closed := make(chan struct{}, 1)
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	l := listen(t)
	h.serve(s, l)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET /v2/acme/app/blobs/%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", d, basicLine("dev")); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(bufio.NewReaderSize(c, 4096), nil); err != nil {
		t.Fatal(err)
	}
	select { // and read no more
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("the server keeps the connection")
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	h := newHouse(t, func(o *Options, _ *auth.Options) {
		o.Limits = Limits{Concurrent: 3, PerClient: 2}
		inner := o.Registry
		o.Registry = func(p access.Principal) store.Registry {
			if p.Name == "dev" {
				arrived <- struct{}{}
				<-release
			}
			return inner(p)
		}
	})
	from := func(user, addr string) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "/v2/_catalog", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.RemoteAddr = "x", addr
		r.SetBasicAuth(user, password)
		w := &recorder{header: http.Header{}}
		h.handler.ServeHTTP(w, r)
		return w.status
	}
	answers := make(chan int, 3)
	for _, addr := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1"} {
		go func() { answers <- from("dev", addr) }()
		<-arrived
	}
	if got := from("reader", "[2001:db8::3]:1"); got != 429 {
		t.Errorf("the third of one network: %d", got)
	}
	if got := from("reader", "192.0.2.1:1"); got != 200 {
		t.Errorf("another network: %d", got)
	}
	go func() { answers <- from("dev", "192.0.2.2:1") }()
	<-arrived
	if got := from("reader", "192.0.2.1:1"); got != 429 {
		t.Errorf("the fourth: %d", got)
	}
	h.want(200, "", "GET", "/healthz", nil)
	close(release)
	for range 3 {
		if got := <-answers; got != 200 {
			t.Errorf("a request in flight: %d", got)
		}
	}
	if got := from("reader", "192.0.2.1:1"); got != 200 || len(h.handler.inflight.by) != 0 {
		t.Errorf("afterwards: %d, %v", got, h.handler.inflight.by)
	}
}

// recorder is the least of a response writer.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(s int)           { r.status = s }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }

func TestE12_DrainFinishesWhatIsInFlight(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprint("cut ", cut), func(t *testing.T) {
			arrived, release := make(chan struct{}), make(chan struct{})
			h := newHouse(t, func(o *Options, _ *auth.Options) {
				inner := o.Registry
				o.Registry = func(p access.Principal) store.Registry {
					close(arrived)
					<-release
					return inner(p)
				}
			})
			l := listen(t)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			grace := 20 * time.Second
			if cut {
				grace = 50 * time.Millisecond
			}
			go func() { ended <- Serve(ctx, HTTPServer(h.handler, nil), h.handler, l, grace) }()
			status := make(chan int, 1)
			go func() {
				r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), "GET", "http://"+l.Addr().String()+"/v2/_catalog", nil)
				if err != nil {
					t.Error(err)
				}
				r.SetBasicAuth("dev", password)
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					status <- 0
					return
				}
				resp.Body.Close()
				status <- resp.StatusCode
			}()
			<-arrived
			stop()
			if cut {
				if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Serve: %v", err)
				}
				if got := <-status; got != 0 {
					t.Errorf("the request that was cut: %d", got)
				}
				close(release)
				return
			}
			for { // the listener closes soon after
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					break
				}
				c.Close()
			}
			h.want(503, "", "GET", "/readyz", nil)
			close(release)
			if got := <-status; got != 200 {
				t.Errorf("the request in flight: %d", got)
			}
			if err := <-ended; err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

func TestServeTellsWhyItEnded(t *testing.T) {
	h := newHouse(t, nil)
	l := listen(t)
	l.Close()
	if err := Serve(t.Context(), HTTPServer(h.handler, nil), h.handler, l, time.Second); err == nil {
		t.Error("no error")
	}
}

// selfSigned is a certificate for 127.0.0.1 with the given serial number, in PEM.
func selfSigned(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func TestC16_TLS(t *testing.T) {
	dir := t.TempDir()
	store := func(serial int64) {
		cert, key := selfSigned(t, serial)
		for name, b := range map[string][]byte{"cert": cert, "key": key} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	store(1)
	c, err := NewCertificate(func() (cert, key []byte, err error) {
		if cert, err = os.ReadFile(filepath.Join(dir, "cert")); err == nil {
			key, err = os.ReadFile(filepath.Join(dir, "key"))
		}
		return cert, key, err
	})
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, nil)
	l := listen(t)
	h.serve(HTTPServer(h.handler, TLSConfig(c)), l)
	dial := func(config *tls.Config) (int64, string, error) {
		config.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", l.Addr().String(), config)
		if err != nil {
			return 0, "", err
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-SSL-Client-CN: root\r\nX-SSL-Client-Verify: SUCCESS\r\nConnection: close\r\n\r\n"); err != nil {
			return 0, "", err
		}
		answer, err := io.ReadAll(conn)
		state := conn.ConnectionState()
		return state.PeerCertificates[0].SerialNumber.Int64(), string(answer), err
	}
	serial, answer, err := dial(&tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	if err != nil || serial != 1 || !strings.HasPrefix(answer, "HTTP/1.1 401") || !strings.Contains(answer, `realm="https://x/auth/token"`) {
		t.Errorf("%d %q %v", serial, answer, err)
	}
	for name, config := range map[string]*tls.Config{
		"TLS 1.1": {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"CBC":     {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}},
		"RC4":     {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}},
	} {
		if _, _, err := dial(config); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	store(2)
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	if serial, _, err := dial(&tls.Config{}); err != nil || serial != 2 {
		t.Errorf("after the reload: %d, %v", serial, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err == nil {
		t.Error("garbage was loaded")
	}
	if serial, _, err := dial(&tls.Config{}); err != nil || serial != 2 {
		t.Errorf("after the failed reload: %d, %v", serial, err)
	}
}
