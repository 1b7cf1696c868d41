package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

// BenchmarkPush pushes the realistic image to a real server with real workers, waits until its layers are read, and counts the CPU seconds that the server
// and all its children use from the manifest's PUT to the third referrer; then those of a second image that shares four layers. "upload-cpu-s" is what taking
// the layers and reading them ahead cost before. Wall time and the CPU of this client do not count.
func BenchmarkPush(b *testing.B) {
	r := realisticLayout(b)
	if runtime.GOOS != "linux" {
		missing(b, "the CPU time of other processes is read from /proc")
	}
	bin := b.TempDir()
	for _, name := range []string{"assay", "assay-sbom"} {
		c := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(bin, name), "../"+name)
		if out, err := c.CombinedOutput(); err != nil {
			b.Fatalf("%v %s", err, out)
		}
	}
	for range b.N {
		s := serve(b, bin)
		first, own, upload := s.push(b, r, r.first, "first")
		b.ReportMetric(first, "first-cpu-s")
		b.ReportMetric(own, "of-it-server-cpu-s")
		b.ReportMetric(upload, "upload-cpu-s")
		second, _, _ := s.push(b, r, r.second, "second")
		b.ReportMetric(second, "second-cpu-s")
		b.ReportMetric(float64(s.peak())/1e6, "peak-MB")
		s.stop()
	}
}

// server is a running registry.
type server struct {
	dir, url string
	pid      int
	uploaded map[store.Digest]bool
	most     int64 // bytes of the largest worker seen
	stop     func()
}

func serve(b *testing.B, bin string) *server {
	b.Helper()
	dir := b.TempDir()
	const config = `listen: 127.0.0.1:0
auth: {anonymous: [pull, push]}
log: {level: warn}
sbom: {formats: [spdx-json, cyclonedx-json]}
policies: [{name: open, repositories: ["**"], rego: "builtin:open"}]
`
	if err := os.WriteFile(filepath.Join(dir, "assay.yaml"), []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	c := exec.Command(filepath.Join(bin, "assay"), "serve", "--config", "assay.yaml")
	c.Dir = dir
	c.Stdout = os.Stderr
	out, err := c.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	s := &server{dir: dir, pid: c.Process.Pid, uploaded: map[store.Digest]bool{}, stop: func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
	}}
	b.Cleanup(s.stop)
	lines := bufio.NewScanner(out)
	var seen []string
	for lines.Scan() && s.url == "" {
		seen = append(seen, lines.Text())
		s.url, _ = strings.CutPrefix(lines.Text(), "listening on ")
		if !strings.HasPrefix(s.url, "http") {
			s.url = ""
		}
	}
	if s.url == "" {
		b.Fatalf("the server does not listen:\n%s", strings.Join(seen, "\n"))
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return s
}

// push returns what an image cost after the PUT of its manifest, what of it the server itself, and what before.
func (s *server) push(b *testing.B, r *realistic, d store.Descriptor, tag string) (after, own, before float64) {
	b.Helper()
	began, _ := s.cpu(b)
	j := r.job(b, d)
	var m struct {
		Config store.Descriptor
		Layers []store.Descriptor
	}
	if err := json.Unmarshal(j.manifest, &m); err != nil {
		b.Fatal(err)
	}
	for _, l := range append(m.Layers, m.Config) {
		if s.uploaded[l.Digest] {
			continue
		}
		s.uploaded[l.Digest] = true
		f, err := os.Open(filepath.Join(r.dir, "blobs", "sha256", l.Digest.Encoded()))
		if err != nil {
			b.Fatal(err)
		}
		s.do(b, http.MethodPost, "/v2/bench/app/blobs/uploads/?digest="+string(l.Digest), "application/octet-stream", f, l.Size, http.StatusCreated)
		f.Close()
		if l.Digest != m.Config.Digest && l.Size >= 256<<10 {
			s.await(b, "a view of "+string(l.Digest), func() bool {
				views, err := filepath.Glob(filepath.Join(s.dir, "data", "views", "sha256-"+l.Digest.Encoded()+"-*"))
				return err == nil && len(views) > 0
			})
		}
	}
	start, ownStart := s.settled(b)
	s.do(b, http.MethodPut, "/v2/bench/app/manifests/"+tag, d.MediaType, bytes.NewReader(j.manifest), int64(len(j.manifest)), http.StatusCreated)
	s.await(b, "three referrers", func() bool {
		var list struct{ Manifests []store.Descriptor }
		body := s.do(b, http.MethodGet, "/v2/bench/app/referrers/"+string(d.Digest), "", nil, 0, http.StatusOK)
		return json.Unmarshal(body, &list) == nil && len(list.Manifests) == 3
	})
	end, ownEnd := s.cpu(b)
	return end - start, ownEnd - ownStart, start - began
}

func (s *server) do(b *testing.B, method, path, contentType string, body io.Reader, size int64, want int) []byte {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, s.url+path, body)
	if err != nil {
		b.Fatal(err)
	}
	r.ContentLength = size
	r.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		b.Fatalf("%s %s: %s %v %s", method, path, res.Status, err, answer)
	}
	return answer
}

// await asks until the answer is yes.
func (s *server) await(b *testing.B, what string, yes func() bool) {
	b.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !yes(); <-tick.C {
		if time.Now().After(deadline) {
			b.Fatalf("never %s", what)
		}
		s.most = max(s.most, s.peak())
	}
}

// settled waits until a fifth of a second passes without work and returns the CPU seconds so far.
func (s *server) settled(b *testing.B) (all, own float64) {
	b.Helper()
	last := -1.0
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		if all, own = s.cpu(b); all == last {
			break
		}
		last = all
		<-tick.C
	}
	return all, own
}

// family calls f with proc(5)'s stat, from the state on, of the server and of its children.
func (s *server) family(f func(pid int, fields []string)) {
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range entries {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if err == nil && len(fields) > 21 && (pid == s.pid || fields[1] == strconv.Itoa(s.pid)) {
			f(pid, fields)
		}
	}
}

// cpu is what the server has used, the children that it waited for, and those that live; and what of it the server itself.
func (s *server) cpu(b *testing.B) (all, own float64) {
	b.Helper()
	const second = 100 // USER_HZ on every architecture that is built for
	s.family(func(pid int, fields []string) {
		for i, f := range fields[11:15] { // utime, stime, cutime, cstime
			n, err := strconv.Atoi(f)
			if err != nil {
				b.Fatal(err)
			}
			all += float64(n) / second
			if pid == s.pid && i < 2 {
				own += float64(n) / second
			}
		}
	})
	return all, own
}

// peak is the most memory that a worker was seen to occupy, in bytes.
func (s *server) peak() int64 {
	s.family(func(pid int, fields []string) {
		if pid == s.pid {
			return
		}
		if pages, err := strconv.ParseInt(fields[21], 10, 64); err == nil {
			s.most = max(s.most, pages*int64(os.Getpagesize()))
		}
	})
	return s.most
}
