package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

// HTTP/2, and with it rapid resets and CONTINUATION floods, is not spoken: neither where TLS offers it, nor by prior knowledge, nor by upgrade.
func TestD4_HTTP2IsNotSpoken(t *testing.T) {
	h := newHouse(t, nil)
	certificate, err := NewCertificate(func() (cert, key []byte, err error) {
		cert, key = selfSigned(t, 1)
		return cert, key, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	plain, secret := listen(t), listen(t)
	h.serve(HTTPServer(h.handler, nil), plain)
	h.serve(HTTPServer(h.handler, TLSConfig(certificate)), secret)

	c, err := tls.Dial("tcp", secret.Addr().String(), &tls.Config{NextProtos: []string{"h2", "http/1.1"}, InsecureSkipVerify: true}) // who it is does not matter here
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if p := c.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("TLS agrees on %q", p)
	}
	if c, err := tls.Dial("tcp", secret.Addr().String(), &tls.Config{NextProtos: []string{"h2"}, InsecureSkipVerify: true}); err == nil {
		t.Errorf("TLS agrees on %q alone", c.ConnectionState().NegotiatedProtocol)
		c.Close()
	}
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	var resets strings.Builder
	for id := range 1000 { // HEADERS and RST_STREAM of as many streams
		fmt.Fprintf(&resets, "\x00\x00\x01\x01\x05\x00\x00%c%c\x82", byte((2*id+1)>>8), byte(2*id+1))
		fmt.Fprintf(&resets, "\x00\x00\x04\x03\x00\x00\x00%c%c\x00\x00\x00\x08", byte((2*id+1)>>8), byte(2*id+1))
	}
	for name, text := range map[string]string{
		"prior knowledge": preface + settings + resets.String(),
		"CONTINUATION":    preface + settings + "\x00\x00\x00\x01\x00\x00\x00\x00\x01" + strings.Repeat("\x00\x00\x00\x09\x00\x00\x00\x00\x01", 10_000),
	} {
		if got := raw(t, plain.Addr().String(), write(text)); !strings.HasPrefix(got, "HTTP/1.1 4") && got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	got := raw(t, plain.Addr().String(), write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"))
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("an upgrade: %q", got)
	}
}

// knock is a connection from an address of this machine.
func knock(t *testing.T, l net.Listener, from string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// healthy asks for something on a connection, and reads the answer.
func healthy(c net.Conn) error {
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
		return fmt.Errorf("%s, %w", resp.Status, err)
	}
	return nil
}

// Of 10,000 connections that ask nothing, a source keeps its share; others are answered, a small part of the memory is theirs, and all are gone in time.
func TestD4_TenThousandIdleConnections(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Limits = Limits{Header: 2 * time.Second} })
	s := HTTPServer(h.handler, nil)
	open, change := 0, make(chan int, 100) // of the server's, as it says
	follow := s.ConnState
	s.ConnState = func(c net.Conn, state http.ConnState) {
		follow(c, state)
		switch state {
		case http.StateNew:
			change <- 1
		case http.StateClosed:
			change <- -1
		}
	}
	l := listen(t)
	h.serve(s, l)
	before := used()
	knocked := make(chan error, 1)
	go func() {
		for range 10_000 {
			if _, err := knock(t, l, "127.0.0.2"); err != nil {
				knocked <- err
				return
			}
		}
	}()
	most, seen := 0, 0
	for seen < 10_000 {
		select {
		case n := <-change:
			open += n
			if n > 0 {
				seen++
			}
			most = max(most, open)
		case err := <-knocked:
			t.Fatal(err)
		case <-time.After(30 * time.Second):
			t.Fatalf("%d of 10,000 connections reached the server", seen)
		}
	}
	if most > 1024+100 { // those which are being closed
		t.Errorf("%d connections at a time", most)
	}
	if grown := used() - before; grown > 64<<20 {
		t.Errorf("%d MiB more in use", grown>>20)
	}
	other, err := knock(t, l, "127.0.0.3")
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- healthy(other) }()
	for gone := time.After(30 * time.Second); open > 0 || answered != nil; {
		select {
		case n := <-change:
			open += n
		case err := <-answered:
			if err != nil {
				t.Errorf("another client: %v", err)
			}
			answered = nil
			other.Close()
		case <-gone:
			t.Fatalf("%d connections are kept", open)
		}
	}
}

func used() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// A server full of connections from everywhere takes new ones: the one that is idle longest makes way, and never one that is being answered.
func TestD4_TheIdlestMakesWay(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	h := newHouse(t, func(o *Options, _ *auth.Options) {
		o.Limits = Limits{Connections: 4, PerClient: 2}
		inner := o.Registry
		o.Registry = func(p access.Principal) store.Registry {
			arrived <- struct{}{}
			<-release
			return inner(p)
		}
	})
	s := HTTPServer(h.handler, nil)
	idle, follow := make(chan struct{}, 100), s.ConnState
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if follow(c, state); state == http.StateIdle {
			idle <- struct{}{}
		}
	}
	l := listen(t)
	h.serve(s, l)
	open := func(from string) net.Conn {
		c, err := knock(t, l, from)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ask := func(c net.Conn) {
		t.Helper()
		if err := healthy(c); err != nil {
			t.Errorf("from %v: %v", c.LocalAddr(), err)
			return
		}
		<-idle
	}
	busy := open("127.0.0.2")
	if _, err := fmt.Fprintf(busy, "GET /v2/_catalog HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", basicLine("dev")); err != nil {
		t.Fatal(err)
	}
	<-arrived
	second, third, fourth := open("127.0.0.3"), open("127.0.0.4"), open("127.0.0.5")
	for _, c := range []net.Conn{second, third, fourth, second} { // now the third is idle longest
		ask(c)
	}
	fifth := open("127.0.0.6")
	ask(fifth)
	closed(t, third)
	again := open("127.0.0.3") // the second of its source, and the fourth goes
	ask(again)
	closed(t, fourth)
	ask(open("127.0.0.3")) // the third of its source: its own idlest goes
	closed(t, second)
	ask(fifth)
	close(release)
	if resp, err := http.ReadResponse(bufio.NewReader(busy), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("what was being answered: %v", err)
	}
}

// closed reports a connection that the server keeps.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || os.IsTimeout(err) {
		t.Errorf("it is not closed: %d bytes, %v", n, err)
	}
}
