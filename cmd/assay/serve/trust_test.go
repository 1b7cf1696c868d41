package serve

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/trustfollow"
	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify/tufrepo"
)

// publisher is a registry that follows a TUF repository, and whoever publishes that beside it, with the same clock.
type publisher struct {
	*console
	now atomic.Pointer[time.Time]
	reg *registry
	app *cli.App
}

const followedYAML = `
sbom: {formats: []}
authorities:
  - {name: acme-tuf, kind: tuf, root: root.json, source: "%s", refresh: 1h, expired: %s, repositories: ["acme/**"]}
  - {name: release, kind: key, tuf: acme-tuf, repositories: ["acme/**"]}
  - {name: keyless, kind: sigstore, tuf: acme-tuf, identities: [{issuer: "https://issuer.example", subject: "https://ci.example/release"}], repositories: ["acme/**"]}
policies:
  - {name: team, repositories: [acme/app], rego: "tuf:acme-tuf"}
  - {name: open, repositories: [acme/tuf], rego: "builtin:open"}
`

func newPublisher(t *testing.T, source, expired string) *publisher {
	f := &publisher{console: newConsole(t)}
	f.env["ASSAY_KEY_PASSWORD"] = "" // set: the keys are not encrypted
	f.at(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	f.write("assay.yaml", fmt.Sprintf(followedYAML, source, expired))
	f.write("size.rego", "package assay\n\nadmit.deny contains {\"code\": \"team.size\", \"msg\": \"It is too small.\"} if input.subject.size < 10\n")
	f.must("tuf key root")
	f.must("tuf key online")
	f.must("tuf init repo --root-key root.key --targets-key online.key")
	f.must("tuf add repo policies/size.rego --file size.rego")
	f.must("tuf publish repo dir:mirror")
	b, err := os.ReadFile(filepath.Join(f.dir, "repo/metadata/1.root.json"))
	if err != nil {
		t.Fatal(err)
	}
	f.write("root.json", string(b))
	f.open()
	return f
}

func (f *publisher) at(t time.Time) { f.now.Store(&t) }

func (f *publisher) world() cli.World {
	w := f.console.world()
	w.Clock = func() time.Time { return *f.now.Load() }
	return w
}

func (f *publisher) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// must runs a command of the publisher.
func (f *publisher) must(line string) {
	f.t.Helper()
	if code := f.run(f.world(), strings.Fields(line)...); code != 0 {
		f.t.Fatalf("assay %s: %d %s %s", line, code, f.stdout.String(), f.stderr.String())
	}
}

// open opens the registry, without a server; again, it is a restart.
func (f *publisher) open() {
	f.t.Helper()
	if f.reg != nil {
		if err := f.reg.close(); err != nil {
			f.t.Fatal(err)
		}
	}
	f.app = &cli.App{World: f.world()}
	cfg, err := place.Load(f.app, place.Flags{File: "assay.yaml"})
	if err != nil {
		f.t.Fatal(err)
	}
	if f.reg, err = open(f.app, f.t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		f.t.Fatal(err)
	}
	reg := f.reg
	f.t.Cleanup(func() {
		if f.reg == reg {
			_ = reg.close()
		}
	})
}

func (f *publisher) refresh() error { return f.reg.follower.Refresh(f.t.Context(), "acme-tuf") }

func (f *publisher) status() server.TrustStatus {
	f.t.Helper()
	list, err := f.reg.follower.TrustStatus(f.t.Context(), access.System())
	if err != nil || len(list) != 1 {
		f.t.Fatalf("%v, %v", list, err)
	}
	return list[0]
}

// decide asks the policies in force about a manifest of a size.
func (f *publisher) decide(size int64) *contract.Decision {
	f.t.Helper()
	d, err := f.reg.book.Set().Decide(f.t.Context(), &contract.Input{Schema: contract.InputSchema, Request: contract.RequestInput{ID: "1", Entry: contract.EntryAdmit, Time: *f.now.Load()},
		Subject: contract.SubjectInput{Repository: "acme/app", Digest: store.DigestOf(digest.SHA256, nil), Kind: store.KindImage, Size: size}})
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

func (f *publisher) refused(size int64, code string) {
	f.t.Helper()
	if d := f.decide(size); len(d.Deny) != 1 || d.Deny[0].Code != code {
		f.t.Errorf("%+v, want %s", d.Deny, code)
	}
}

func (f *publisher) allowed(size int64) {
	f.t.Helper()
	if d := f.decide(size); len(d.Deny) != 0 {
		f.t.Errorf("%+v", d.Deny)
	}
}

// B25: what is known stays in force while its source is away, until it expires; then it refuses, and comes back with fresh metadata. It survives a restart at every step.
func TestB25_PoliciesOfExpiredMetadataRefuse(t *testing.T) {
	f := newPublisher(t, "dir:mirror", "refuse")
	f.refused(100, "tuf.policies")
	if err := f.refresh(); err != nil {
		t.Fatal(err)
	}
	f.allowed(100)
	f.refused(1, "team.size")
	if err := os.Rename(filepath.Join(f.dir, "mirror"), filepath.Join(f.dir, "away")); err != nil {
		t.Fatal(err)
	}
	if err := f.refresh(); err == nil {
		t.Fatal("a source that is away gives an answer")
	}
	if s := f.status(); s.Failures != 1 || s.Error == "" || s.Expired || s.Root != 1 {
		t.Errorf("%+v", s)
	}
	f.allowed(100)
	f.open()
	f.allowed(100)
	end := f.reg.admission.Trust().TUFState("acme-tuf").Expires
	f.at(end)
	if err := f.refresh(); err == nil {
		t.Fatal("a source that is away gives an answer")
	}
	f.refused(100, "tuf.policies")
	if s := f.status(); !s.Expired {
		t.Errorf("%+v", s)
	}
	f.open()
	f.refused(100, "tuf.policies")
	f.must("tuf refresh repo")
	f.must("tuf publish repo dir:mirror")
	if err := f.refresh(); err != nil {
		t.Fatal(err)
	}
	f.allowed(100)
	if s := f.status(); s.Expired || s.Failures != 0 || s.Error != "" || !s.CheckedAt.Equal(end) {
		t.Errorf("%+v", s)
	}
}

// B25: with expired: warn, what is known goes on counting.
func TestB25_ExpiredMetadataThatOnlyWarns(t *testing.T) {
	f := newPublisher(t, "dir:mirror", "warn")
	if err := f.refresh(); err != nil {
		t.Fatal(err)
	}
	f.at(f.reg.admission.Trust().TUFState("acme-tuf").Expires.Add(time.Hour))
	if err := f.refresh(); err == nil {
		t.Fatal("metadata that expired is fresh")
	}
	f.allowed(100)
	f.open()
	f.allowed(100)
}

// A reload that trusts the repository from another root on forgets what the old one said, its policies too, at once.
func TestReloadWithAnotherRoot(t *testing.T) {
	f := newPublisher(t, "dir:mirror", "refuse")
	if err := f.refresh(); err != nil {
		t.Fatal(err)
	}
	f.allowed(100)
	reload := func() {
		t.Helper()
		if err := reload(f.app, t.Context(), place.Flags{File: "assay.yaml"}, f.reg, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	}
	reload()
	f.allowed(100)
	f.must("tuf init other --root-key root.key --targets-key online.key --expires root=700d")
	f.must("tuf refresh other")
	b, err := os.ReadFile(filepath.Join(f.dir, "other/metadata/1.root.json"))
	if err != nil {
		t.Fatal(err)
	}
	f.write("root.json", string(b))
	reload()
	f.refused(100, "tuf.policies")
	if s := f.status(); s.Root != 0 {
		t.Errorf("%+v", s)
	}
}

// A refresh that learns nothing writes nothing.
func TestRefreshOfTheSameWritesNothing(t *testing.T) {
	f := newPublisher(t, "dir:mirror", "refuse")
	if err := f.refresh(); err != nil {
		t.Fatal(err)
	}
	state, revision := f.reg.admission.Trust().TUFState("acme-tuf"), f.reg.book.Set().Revision()
	f.at(f.now.Load().Add(time.Minute))
	if err := f.refresh(); err != nil {
		t.Fatal(err)
	}
	if f.reg.admission.Trust().TUFState("acme-tuf") != state || f.reg.book.Set().Revision() != revision {
		t.Error("the same state was applied again")
	}
	if s := f.status(); !s.CheckedAt.Equal(*f.now.Load()) {
		t.Errorf("checked %s", s.CheckedAt)
	}
}

// What a repository supplies is checked before any of it counts: the registry's own keys, material that is none, policies that do not compile.
func TestStatesThatAreNotPutIntoForce(t *testing.T) {
	for name, tc := range map[string]struct{ target, text, want string }{
		"the registry's own key":  {"trust/release/keys/own.pem", "", "the registry's own sbom key"},
		"a root that is none":     {"trust/keyless/trusted_root.json", "{}", "authority keyless"},
		"a policy that is none":   {"policies/broken.rego", "package assay\n\nadmit.deny contains x if input.subjekt\n", "do not compile"},
		"parameters of no policy": {"policies/data.json", `{"team": 1}`, "data.json"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newPublisher(t, "dir:mirror", "refuse")
			if err := f.refresh(); err != nil {
				t.Fatal(err)
			}
			before := f.reg.admission.Trust().TUFState("acme-tuf")
			if tc.text == "" {
				b, err := os.ReadFile(filepath.Join(f.dir, "data/keys/sbom.pub"))
				if err != nil {
					t.Fatal(err)
				}
				tc.text = string(b)
			}
			f.write("supplied", tc.text)
			f.must("tuf add repo " + tc.target + " --file supplied")
			f.must("tuf publish repo dir:mirror")
			if err := f.refresh(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
			if now := f.reg.admission.Trust().TUFState("acme-tuf"); now.Revision != before.Revision || now.Targets != before.Targets {
				t.Errorf("it was put into force: %+v", f.status())
			}
			f.allowed(100)
		})
	}
}

// The loop asks at the start, after a change of the configuration, and where a repository in this registry moves; it ends with its context.
func TestFollowerRuns(t *testing.T) {
	f := newPublisher(t, "oci:acme/tuf", "refuse")
	told := make(chan server.TrustStatus, 100)
	o := following(f.app, f.reg, slog.New(slog.DiscardHandler))
	o.Tell = func(list []server.TrustStatus) {
		for _, s := range list {
			told <- s
		}
	}
	f.reg.follower = trustfollow.New(o)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.reg.follower.Run(ctx)
	}()
	if s := <-told; s.Root != 0 || !strings.Contains(s.Error, "not in the registry") {
		t.Errorf("%+v", s)
	}
	f.put("acme/tuf")
	for s := <-told; s.Root != 1; s = <-told {
		if s.Failures > 3 {
			t.Fatalf("%+v", s)
		}
	}
	stop()
	<-ended
}

// put stores the published repository as an OCI artifact, as a push does.
func (f *publisher) put(repo store.Name) {
	f.t.Helper()
	f.must("tuf publish repo tar:repo.tar")
	manifest, blobs := artifactOf(f.t, filepath.Join(f.dir, "repo.tar"))
	r := f.reg.admission.As(access.System())
	for _, b := range blobs {
		u, err := r.Upload(f.t.Context(), repo, "", digest.SHA256)
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := u.Append(f.t.Context(), 0, bytes.NewReader(b)); err != nil {
			f.t.Fatal(err)
		}
		if _, err := u.Commit(f.t.Context(), store.DigestOf(digest.SHA256, b)); err != nil {
			f.t.Fatal(err)
		}
	}
	m := &store.Manifest{Bytes: manifest}
	m.MediaType, m.Size = store.TypeImage, int64(len(manifest))
	if _, err := r.PutManifest(f.t.Context(), repo, []store.Reference{{Tag: trustfollow.Tag}}, m); err != nil {
		f.t.Fatal(err)
	}
}

func artifactOf(t *testing.T, archive string) (manifest []byte, blobs [][]byte) {
	t.Helper()
	r, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var files []tufrepo.File
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, tufrepo.File{Name: h.Name, Content: b})
	}
	if manifest, blobs, err = tufrepo.Artifact(files); err != nil {
		t.Fatal(err)
	}
	return manifest, blobs
}
