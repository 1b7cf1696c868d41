package policy_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/fs"
	"github.com/assay-registry/assay/store/storetest"
)

const faultRepo = store.Name("acme/app")

// step is one thing that a client asks for; what is left undone by an error, it asks for again.
type step struct {
	name string
	do   func() error
}

// story is a life of two images: pushed, signed, moved to, withdrawn, deleted, revoked.
type story struct {
	*kit
	first, second image
	steps         []step
	acting        bool // a step runs; else somebody looks at what became of it
}

func newStory(k *kit) *story {
	s := &story{kit: k}
	first, second := s.plan("first"), s.plan("second")
	s.first, s.second = first, second
	s.steps = []step{
		{"upload the layer", func() error { return s.upload("a layer") }},
		{"upload the first config", func() error { return s.upload("config of first") }},
		{"push the first", func() error { return s.putImage(first, "v1") }},
		{"sign the first", func() error { return s.signed(first) }},
		{"upload the second config", func() error { return s.upload("config of second") }},
		{"push the second", func() error { return s.putImage(second, "v1") }},
		{"sign the second", func() error { return s.signed(second) }},
		{"withdraw the signature of the first", func() error { return s.remove(referrers.TagOf(first.desc.Digest, referrers.SuffixSig).String()) }},
		{"sign the first again", func() error { return s.signed(first) }},
		{"revoke the key", func() error {
			_, err := s.a.RevokeTrust(s.ctx, admin, s.trust())
			return err
		}},
		{"restore the key", func() error {
			err := s.a.RestoreTrust(s.ctx, admin, s.trust())
			if store.CodeOf(err) == store.CodeNotFound {
				return nil // restored before, by the try that failed
			}
			return err
		}},
		{"delete the second", func() error { return s.remove(string(second.desc.Digest)) }},
		{"move the tag back", func() error { return s.putImage(first, "v1") }},
		{"revoke the first", func() error {
			_, err := s.a.Revoke(s.ctx, admin, trust.Revocation{Digest: first.desc.Digest, Reason: "test"})
			return err
		}},
	}
	return s
}

// bodies are the blobs of the story. The layer is too large to live in the KV.
func (s *story) body(name string) []byte {
	switch name {
	case "a layer":
		return append([]byte("\x1f\x8b"), bytes.Repeat([]byte("layer "), store.InlineLimit/3)...)
	default:
		return s.json(map[string]any{"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{string(digest.FromString(name))}},
			"config": map[string]any{"User": "65532"}})
	}
}

func descriptor(mediaType string, b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: store.DigestOf(digest.SHA256, b), Size: int64(len(b))}
}

func (s *story) plan(name string) image {
	i := image{repo: faultRepo, config: descriptor(ocispec.MediaTypeImageConfig, s.body("config of "+name)), layer: descriptor(ocispec.MediaTypeImageLayerGzip, s.body("a layer"))}
	i.manifest = ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: i.config, Layers: []ocispec.Descriptor{i.layer}}
	i.manifest.SchemaVersion = 2
	i.bytes = s.json(i.manifest)
	i.desc = descriptor(ocispec.MediaTypeImageManifest, i.bytes)
	return i
}

func (s *story) upload(name string) error { return s.send(s.body(name)) }

func (s *story) send(b []byte) error {
	u, err := s.as(both).Upload(s.ctx, faultRepo, "", "")
	if err != nil {
		return err
	}
	defer func() { _ = u.Close() }()
	if _, err = u.Append(s.ctx, -1, bytes.NewReader(b)); err == nil {
		_, err = u.Commit(s.ctx, store.DigestOf(digest.SHA256, b))
	}
	if err != nil {
		_ = u.Cancel(s.ctx) // as the server does: a new upload follows
	}
	return err
}

func (s *story) putImage(i image, tag string) error {
	_, err := s.put(both, faultRepo, tag, ocispec.MediaTypeImageManifest, i.bytes)
	return err
}

func (s *story) signed(i image) error {
	body := payload(faultRepo, i.desc.Digest)
	layer := descriptor("application/vnd.dev.cosign.simplesigning.v1+json", body)
	layer.Annotations = map[string]string{"dev.cosignproject.cosign/signature": s.key.signature(s.t, body)}
	config := fmt.Appendf(nil, `{"architecture":"","created":"0001-01-01T00:00:00Z","config":{},"os":"","rootfs":{"type":"layers","diff_ids":["%s"]}}`, layer.Digest)
	for _, b := range [][]byte{body, config} {
		if err := s.send(b); err != nil {
			return err
		}
	}
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: descriptor(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{layer}}
	m.SchemaVersion = 2
	_, err := s.put(both, faultRepo, referrers.TagOf(i.desc.Digest, referrers.SuffixSig).String(), ocispec.MediaTypeImageManifest, s.json(m))
	return err
}

func (s *story) remove(ref string) error {
	r, err := store.ParseReference(ref)
	if err != nil {
		return err
	}
	err = s.as(admin).DeleteManifest(s.ctx, faultRepo, r)
	if store.CodeOf(err) == store.CodeManifestUnknown {
		return nil // deleted before, by the try that failed
	}
	return err
}

// seen is what pullers and the administrator get.
func (s *story) seen() []string {
	var got []string
	for _, p := range []access.Principal{puller, admin} {
		for _, ref := range []string{"v1", string(s.first.desc.Digest), string(s.second.desc.Digest)} {
			got = append(got, p.Name+" "+ref+": "+s.get(p, faultRepo, ref))
		}
		got = append(got, p.Name+" layer: "+s.getBlob(p, faultRepo, s.first.layer.Digest), p.Name+" config: "+s.getBlob(p, faultRepo, s.first.config.Digest))
	}
	return got
}

// expected plays the story without faults: what is seen before the first step and after each.
func expected(t *testing.T) [][]string {
	s := newStory(newKit(t))
	states := [][]string{s.seen()}
	for _, step := range s.steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		states = append(states, s.seen())
	}
	return states
}

// play runs the story to its end, each step until it is acknowledged. A failed step leaves what was seen before it or after it; an acknowledged
// one, what is seen after it. failed is called after each error.
func (s *story) play(label string, states [][]string, failed func(error)) (errs int) {
	s.t.Helper()
	for i, step := range s.steps {
		for {
			s.acting = true
			err := step.do()
			s.acting = false
			got := s.seen()
			after := slices.Equal(got, states[i+1])
			if err == nil {
				if !after {
					s.t.Errorf("%s: %q was acknowledged, and then\n%q\nis seen, not\n%q", label, step.name, got, states[i+1])
				}
				break
			}
			if !after && !slices.Equal(got, states[i]) {
				s.t.Errorf("%s: %q failed, and then\n%q\nis seen, neither\n%q\nnor\n%q", label, step.name, got, states[i], states[i+1])
			}
			if code := store.CodeOf(err); code != store.CodeUnavailable && code != store.CodeStorageFull {
				s.t.Errorf("%s: %q: %v", label, step.name, err)
			}
			if errs++; errs > 5 {
				s.t.Fatalf("%s: %q fails for ever: %v", label, step.name, err)
			}
			failed(err)
		}
	}
	return errs
}

// TestE4_EachWriteFails makes each write of the drivers fail in turn, with its effect and without, and goes on, in the same process or in a new one.
func TestE4_EachWriteFails(t *testing.T) {
	states := expected(t)
	prepare := func(f *storetest.Faults) *story {
		k := newKit(t)
		k.blobs, k.kv = f.Blobs(k.blobs), f.KV(k.kv)
		k.start()
		return newStory(k)
	}
	counting := &storetest.Faults{}
	prepare(counting).play("no fault", states, func(err error) { t.Fatal(err) })
	if counting.Writes() < 40 {
		t.Fatalf("the story has only %d writes", counting.Writes())
	}
	before := &storetest.Faults{}
	prepare(before)
	for n := before.Writes() + 1; n <= counting.Writes(); n++ {
		for _, outcome := range []storetest.Outcome{storetest.Lost, storetest.Kept} {
			for _, restart := range []bool{false, true} {
				label := fmt.Sprintf("write %d, kept %v, restart %v", n, outcome == storetest.Kept, restart)
				s := prepare(&storetest.Faults{Decide: storetest.Nth(n, outcome)})
				s.play(label, states, func(error) {
					s.check()
					if restart {
						s.start()
					}
				})
			}
		}
	}
}

// TestE4_EachFileOperationFails makes each operation of the file system below the content fail in turn. After a failed sync nothing is accepted any
// more until the process is another; everything else is survived in place. What was acknowledged is there, whole, for the next process.
func TestE4_EachFileOperationFails(t *testing.T) {
	states := expected(t)
	plan := func() (*storetest.FaultFS, *failing) {
		f := &storetest.FaultFS{FS: storetest.NoSync()}
		return f, newFailing(t, f)
	}
	f, s := plan()
	operations, faults := 0, 0
	f.Decide = func(int, string, string) storetest.Fault {
		if s.acting {
			operations++
		}
		return storetest.Fault{}
	}
	s.play("no fault", states, func(err error) { t.Fatal(err) })
	for nth := range operations {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
			for _, kept := range []bool{false, true} {
				label := fmt.Sprintf("operation %d, %v, kept %v", nth, errno, kept)
				f, s := plan()
				n, op := 0, ""
				f.Decide = func(_ int, o, _ string) storetest.Fault {
					if !s.acting {
						return storetest.Fault{}
					}
					if n++; n != nth+1 {
						return storetest.Fault{}
					}
					op = o
					return storetest.Fault{Err: errno, Kept: kept}
				}
				s.play(label, states, func(err error) { s.survive(label+" "+op, op, err) })
				if op != "" {
					faults++
				}
				s.reopen()
				s.check()
				if got := s.seen(); !slices.Equal(got, states[len(states)-1]) {
					t.Errorf("%s %s: after a restart\n%q\nis seen", label, op, got)
				}
			}
		}
	}
	t.Logf("%d faults in %d operations", faults, operations)
	if operations < 10 || faults != 6*operations {
		t.Error("the story touches hardly any file, or not each time the same")
	}
}

// failing is a story whose content lies on a file system with faults.
type failing struct {
	*story
	dir   string
	disk  *fs.Blobs
	fatal error // what the driver said before it stopped
}

func newFailing(t *testing.T, f *storetest.FaultFS) *failing {
	t.Helper()
	s := &failing{dir: t.TempDir()}
	k := newKit(t)
	s.story = newStory(k)
	s.open(f)
	return s
}

func (s *failing) open(on fs.FS) {
	s.t.Helper()
	disk, err := fs.Open(s.dir, fs.Options{FS: on, Now: s.clock.now, Fatal: func(err error) { s.fatal = err }})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = disk.Close() }) // what did not stop cleanly is opened again, and checked then
	s.disk, s.blobs = disk, disk
	s.start()
}

// reopen is the next process, on a disk that works.
func (s *failing) reopen() {
	s.t.Helper()
	_ = s.disk.Close() // with a fault it may not close cleanly, which costs unfinished uploads alone
	s.fatal = nil
	s.open(storetest.NoSync())
}

// survive checks fail-stop after a sync error, and goes on after any other.
func (s *failing) survive(label, op string, err error) {
	s.t.Helper()
	if s.fatal == nil {
		if op == "sync" || op == "datasync" {
			s.t.Errorf("%s: a sync failed, and the process was not told to stop", label)
		}
		s.check()
		return
	}
	if !errors.Is(s.fatal, syscall.EIO) && !errors.Is(s.fatal, syscall.ENOSPC) && !errors.Is(s.fatal, syscall.EMFILE) {
		s.t.Errorf("%s: the reason to stop is %v", label, s.fatal)
	}
	if store.CodeOf(err) != store.CodeUnavailable {
		s.t.Errorf("%s: the request whose sync failed answers %v", label, err)
	}
	if err := s.send(bytes.Repeat([]byte("after a failed sync "), store.InlineLimit)); store.CodeOf(err) != store.CodeUnavailable {
		s.t.Errorf("%s: after a failed sync an upload answers %v", label, err)
	}
	s.reopen()
}
