package tufrepo

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/assay-registry/assay/store"
)

// readOnly is somebody else's directory.
type readOnly struct{ fs.FS }

func (readOnly) Write(string, []byte) error { return errors.New("written") }
func (readOnly) Remove(string) error        { return errors.New("removed") }

func foreign(t *testing.T, name string, now time.Time) (*Repository, error) {
	t.Helper()
	path := filepath.Join("../../../shared/fixtures/tuf", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the shared fixtures are missing: %v", err)
		}
		t.Skipf("the shared fixtures are not there: %v", err)
	}
	return Open(Options{readOnly{os.DirFS(path)}, func() time.Time { return now }})
}

func TestForeignRepositoriesHaveAStatus(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, want := range map[string]struct {
		roles, targets int
		problem        string
	}{
		"tough-consistent-snapshots": {4, 2, ""},
		"tough-tuf-reference-impl":   {6, 3, ""},
		"tough-rotated-root":         {4, 0, ""},
		"tough-expired-repository":   {4, 0, "expired"},
		"tough-simple-rsa":           {1, 0, "has no version"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := foreign(t, name, now)
			if err != nil {
				t.Fatal(err)
			}
			s, err := r.Status()
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Roles) != want.roles || len(s.Targets) != want.targets || want.problem != "" && !strings.Contains(s.Problem, want.problem) || want.problem == "" && s.Problem != "" {
				text, _ := json.MarshalIndent(s, "", " ")
				t.Errorf("%s", text)
			}
			if name == "tough-tuf-reference-impl" {
				refuses(t, r.Renew(Targets), store.CodeInvalid, "without consistent snapshots")
				_, err := r.Files()
				refuses(t, err, store.CodeInvalid, "without consistent snapshots")
			}
		})
	}
}

// TestForeignRepositoryIsPublished holds that what another implementation wrote is published byte for byte.
func TestForeignRepositoryIsPublished(t *testing.T) {
	r, err := foreign(t, "tough-consistent-snapshots", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := f.Name
		if metadataFile(name) {
			name = metaDir + name
		}
		if raw, err := fs.ReadFile(r.dir, name); err != nil || string(raw) != string(f.Content) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if len(files) != 6 {
		t.Errorf("%d files", len(files))
	}
}

// TestB25_MetadataThatIsRefused damages the metadata of a good repository, one thing at a time. Nothing of it ends the process, and nothing of it is published.
func TestB25_MetadataThatIsRefused(t *testing.T) {
	good := newEstate(t)
	good.ok(good.repo.Delegate(Delegation{Role: "team", Paths: []string{"acme/*/*"}, RoleKeys: RoleKeys{Keys: good.of("team")}}))
	good.sign("team", "team")
	good.first()
	for name, edit := range map[string]struct{ file, old, new string }{
		"threshold 0":        {"metadata/1.root.json", `"threshold": 2`, `"threshold": 0`},
		"threshold lowered":  {"metadata/1.root.json", `"threshold": 2`, `"threshold": 1`},
		"threshold negative": {"metadata/1.root.json", `"threshold": 2`, `"threshold": -1`},
		"role null":          {"metadata/1.root.json", `"roles": {`, `"roles": {"targets": null, "x": {`},
		"version 0":          {"metadata/1.targets.json", `"version": 1`, `"version": 0`},
		"key twice":          {"metadata/timestamp.json", `"signed": {`, `"signed": {"version": 2,`},
		"other type":         {"metadata/1.targets.json", `"_type": "targets"`, `"_type": "snapshot"`},
		"no type":            {"metadata/1.targets.json", `"_type": "targets"`, `"_typ": "targets"`},
		"snapshot moved":     {"metadata/1.snapshot.json", `"version": 1`, `"version": 2`},
		"signature cut":      {"metadata/timestamp.json", `"sig": "`, `"sig": "00`},
		"trailing bytes":     {"metadata/timestamp.json", "\n}\n", "\n}\n{}"},
		"path changed":       {"metadata/1.targets.json", `"acme/*/*"`, `"*/*/*"`},
		"hash bins":          {"metadata/1.targets.json", `"roles": [`, `"succinct_roles": {"keyids": [], "threshold": 1, "bit_length": 1, "name_prefix": "x"}, "x": [`},
		"top-level delegate": {"metadata/1.targets.json", `"name": "team"`, `"name": "root"`},
		"expiry is no date":  {"metadata/timestamp.json", `"expires": "2026`, `"expires": "x026`},
		"key type":           {"metadata/1.root.json", `"keytype": "ed25519"`, `"keytype": "none"`},
		"config":             {"tuf.json", `"expires": {`, `"expires": {"targets": "never",`},
	} {
		copied := fstest.MapFS{}
		for file, f := range good.dir.MapFS {
			copied[file] = f
		}
		text := strings.Replace(string(copied[edit.file].Data), edit.old, edit.new, 1)
		if text == string(copied[edit.file].Data) {
			t.Errorf("%s: nothing was damaged in\n%s", name, text)
		}
		copied[edit.file] = &fstest.MapFile{Data: []byte(text)}
		r, err := Open(Options{&memory{MapFS: copied}, good.options().Now})
		if err == nil {
			_, err = r.Files()
		}
		if err == nil {
			t.Errorf("%s: published", name)
		} else if store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestB25_ThresholdIsNotMetTwiceByOneKey has one key under two names in a root with threshold 2.
func TestB25_ThresholdIsNotMetTwiceByOneKey(t *testing.T) {
	e := newEstate(t)
	d := e.repo.doc(Root)
	root := d.root.Signed
	twin := *root.Keys[e.keys["alice"].ID]
	root.Keys["twin"] = &twin
	root.Roles[Root].KeyIDs = []string{e.keys["alice"].ID, "twin"}
	e.ok(e.repo.stage(d))
	e.sign(Root, "alice")
	if n := len(*e.repo.doc(Root).head().signatures); n != 2 {
		t.Fatalf("%d signatures", n)
	}
	list, err := e.repo.Needs(Root)
	if err != nil || list[0].Have != 1 || list[0].Met() {
		t.Errorf("%+v, %v", list, err)
	}
	e.sign(Targets, "online")
	_, err = e.repo.Commit(e.online, false)
	refuses(t, err, store.CodeInvalid, "1 more needed")
}

func TestKeys(t *testing.T) {
	e := newEstate(t)
	for _, kind := range []string{KindEd25519, KindP256} {
		private, public, err := Generate(strings.NewReader(strings.Repeat("r", 1<<10)), kind, []byte("secret"))
		if err != nil || !strings.HasPrefix(string(private), "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----") || !strings.HasPrefix(string(public), "-----BEGIN PUBLIC KEY-----") {
			t.Errorf("%s: %v\n%s%s", kind, err, private, public)
		}
	}
	_, _, err := Generate(strings.NewReader(""), KindEd25519, nil)
	if err == nil {
		t.Error("a key without randomness")
	}
	_, _, err = Generate(strings.NewReader(""), "rsa", nil)
	refuses(t, err, store.CodeInvalid, "no kind of key")
	e.ok(nil)
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"signatures":[],"signed":{"_type":"targets","version":1,"expires":"2030-01-01T00:00:00Z","spec_version":"1.0.0","targets":{"a":null},"delegations":{"keys":{"x":null},"roles":[{"name":"y","keyids":["x"],"threshold":1}]}}}`))
	f.Add([]byte(`{"signatures":[{"keyid":"x","sig":"00"}],"signed":{"_type":"root","version":1,"expires":"2030-01-01T00:00:00Z","keys":{"x":{"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"00"}}},"roles":{"root":{"keyids":["x"],"threshold":1},"targets":{},"snapshot":{},"timestamp":{}}}}`))
	f.Add([]byte(`{"signed":{"_type":"timestamp","version":1,"meta":{"snapshot.json":null}}}`))
	f.Add([]byte(`{"signed":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, file := range []string{"staged/root.json", "metadata/1.root.json"} {
			dir := fstest.MapFS{file: {Data: raw}, "staged/targets.json": {Data: raw}, "staged/y.json": {Data: raw}, "metadata/timestamp.json": {Data: raw}}
			r, err := Open(Options{&memory{MapFS: dir}, func() time.Time { return start }})
			if err != nil {
				continue
			}
			if _, err := r.Status(); err == nil {
				_, _ = r.Files()
			}
		}
	})
}
