package tufrepo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify/trust"
)

func manifest(text string) (Target, string) {
	sum := sha256.Sum256([]byte(text))
	return Target{Digest: store.Digest("sha256:" + hex.EncodeToString(sum[:])), Length: int64(len(text))}, hex.EncodeToString(sum[:])
}

func TestARepositoryFromInitToPublish(t *testing.T) {
	e := newEstate(t)
	image, sum := manifest("the manifest")
	changed, err := e.repo.Add("", "acme/app/v1", image)
	e.ok(err)
	if !changed {
		t.Error("a new target changed nothing")
	}
	if changed, err = e.repo.Add(Targets, "acme/app/v1", image); err != nil || changed {
		t.Errorf("the same target again: %v, %v", changed, err)
	}
	_, err = e.repo.Add("", "trust/release/keys/cosign.pub", Target{Content: []byte("a key")})
	e.ok(err)
	_, err = e.repo.Commit(e.online, false)
	refuses(t, err, store.CodeInvalid, "root has 0 of 2 signatures by root: 2 more needed")
	e.first()
	p := e.files()
	u := e.follow(p)
	target, err := u.GetTargetInfo("acme/app/v1")
	e.ok(err)
	if target.Length != image.Length || hex.EncodeToString(target.Hashes["sha256"]) != sum {
		t.Errorf("%+v", target)
	}
	target, err = u.GetTargetInfo("trust/release/keys/cosign.pub")
	e.ok(err)
	if _, content, err := u.DownloadTarget(target, "unused", ""); err != nil || string(content) != "a key" {
		t.Errorf("%q, %v", content, err)
	}

	// A new version, and the end of a target.
	e.ok(e.repo.Drop("", "trust/release/keys/cosign.pub"))
	moved, sum := manifest("another manifest")
	_, err = e.repo.Add("", "acme/app/v1", moved)
	e.ok(err)
	e.sign(Targets, "online")
	e.commit()
	e.ok(e.repo.Follows(p.read))
	p = e.files()
	u = e.follow(p)
	if target, err = u.GetTargetInfo("acme/app/v1"); err != nil || hex.EncodeToString(target.Hashes["sha256"]) != sum {
		t.Errorf("%+v, %v", target, err)
	}
	if _, err := u.GetTargetInfo("trust/release/keys/cosign.pub"); err == nil {
		t.Error("a target that was removed is found")
	}
	if p["2.targets.json"] == nil || p["2.snapshot.json"] == nil || p["1.targets.json"] != nil {
		t.Error("the files of the second version are not those that were expected")
	}
}

func TestThresholdOfSeveralPeople(t *testing.T) {
	e := newEstate(t)
	e.sign(Root, "alice")
	e.sign(Root, "alice") // twice is once
	list, err := e.repo.Needs(Root)
	e.ok(err)
	if len(list) != 1 || list[0].Have != 1 || list[0].Threshold != 2 || !slices.Equal(list[0].Missing, []string{e.keys["bob"].ID}) {
		t.Errorf("%+v", list)
	}
	refuses(t, e.repo.Sign(Root, e.keys["online"]), store.CodeInvalid, "none of root's")
	refuses(t, e.repo.Sign(Targets, e.keys["alice"]), store.CodeInvalid, "none of targets's")
	public := *e.keys["bob"]
	public.Sign = nil
	refuses(t, e.repo.Sign(Root, &public), store.CodeInvalid, "public half")
	refuses(t, e.repo.Sign(Timestamp, e.keys["online"]), store.CodeNotFound, "assay tuf refresh")
	refuses(t, e.repo.Sign("team", e.keys["team"]), store.CodeNotFound, "no role")

	// Bob works on a copy, at the same time.
	raw := bytes.Clone(e.dir.MapFS["staged/root.json"].Data)
	elsewhere := &estate{t: t, dir: &memory{MapFS: fstest.MapFS{"staged/root.json": {Data: raw}}}, time: start, keys: e.keys}
	elsewhere.reopen()
	elsewhere.sign(Root, "bob")
	n, err := e.repo.Import(Root, elsewhere.dir.MapFS["staged/root.json"].Data)
	if err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	_, err = e.repo.Import(Root, raw)
	refuses(t, err, store.CodeInvalid, "no signature that counts")
	e.sign(Targets, "online")
	e.commit()
	e.follow(e.files())

	// A copy of something else.
	e.ok(e.repo.Renew(Root))
	_, err = e.repo.Import(Root, elsewhere.dir.MapFS["staged/root.json"].Data)
	refuses(t, err, store.CodeConflict, "not the same root")
	// An edit takes the signatures away: they were for something else.
	e.sign(Root, "alice")
	e.ok(e.repo.ChangeKeys(Timestamp, e.of("other"), nil, 0))
	if list, err := e.repo.Needs(Root); err != nil || list[0].Have != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	e.ok(e.repo.Discard(Root))
	e.reopen()
	if len(e.repo.Staged()) != 0 {
		t.Errorf("%v", e.repo.Staged())
	}
}

func TestDelegation(t *testing.T) {
	e := newEstate(t)
	e.first()
	old := e.files()
	for _, g := range []Delegation{
		{Role: "team", Paths: []string{"acme/**"}, RoleKeys: RoleKeys{Keys: e.of("team")}},
		{Role: "team", Paths: []string{"acme/[/x"}, RoleKeys: RoleKeys{Keys: e.of("team")}},
		{Role: "team", Paths: []string{"/acme/*"}, RoleKeys: RoleKeys{Keys: e.of("team")}},
		{Role: "team", RoleKeys: RoleKeys{Keys: e.of("team")}},
		{Role: "team", Paths: []string{"acme/*"}},
		{Role: "team", Paths: []string{"acme/*"}, RoleKeys: RoleKeys{Keys: e.of("team"), Threshold: 2}},
		{Role: "team", Paths: []string{"acme/*"}, RoleKeys: RoleKeys{Keys: e.of("team", "team")}},
		{Role: "timestamp", Paths: []string{"acme/*"}, RoleKeys: RoleKeys{Keys: e.of("team")}},
		{Role: "a/b", Paths: []string{"acme/*"}, RoleKeys: RoleKeys{Keys: e.of("team")}},
		{Role: "team", Parent: Snapshot, Paths: []string{"acme/*"}, RoleKeys: RoleKeys{Keys: e.of("team")}},
		{Role: "team", Parent: "nobody", Paths: []string{"acme/*"}, RoleKeys: RoleKeys{Keys: e.of("team")}},
	} {
		if err := e.repo.Delegate(g); err == nil {
			t.Errorf("%+v was accepted", g)
		}
	}
	if len(e.repo.Staged()) != 0 {
		t.Fatal("what was refused is staged")
	}
	e.ok(e.repo.Delegate(Delegation{Role: "team", Paths: []string{"acme/*/*"}, RoleKeys: RoleKeys{Keys: e.of("team")}, Terminating: true}))
	refuses(t, e.repo.Delegate(Delegation{Role: "team", Paths: []string{"x"}, RoleKeys: RoleKeys{Keys: e.of("other")}}), store.CodeConflict, "already")
	e.ok(e.repo.Delegate(Delegation{Role: "inner", Parent: "team", Paths: []string{"acme/app/*"}, RoleKeys: RoleKeys{Keys: e.of("other")}}))
	image, _ := manifest("x")
	_, err := e.repo.Add("team", "other/app/v1", image)
	refuses(t, err, store.CodeInvalid, "its paths are acme/*/*")
	_, err = e.repo.Add("inner", "acme/tool/v1", image)
	refuses(t, err, store.CodeInvalid, "team does not delegate")
	for role, name := range map[string]string{"team": "acme/tool/v1", "inner": "acme/app/v1"} {
		_, err := e.repo.Add(role, name, image)
		e.ok(err)
	}
	e.sign(Targets, "online")
	e.sign("inner", "other")
	refuses(t, e.repo.Sign("team", e.keys["other"]), store.CodeInvalid, "none of team's")
	_, err = e.repo.Commit(e.online, false)
	refuses(t, err, store.CodeInvalid, "team has 0 of 1")
	e.sign("team", "team")
	e.commit()
	e.ok(e.repo.Follows(old.read))
	u := e.follow(e.files())
	for _, name := range []string{"acme/tool/v1", "acme/app/v1"} {
		if _, err := u.GetTargetInfo(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	// The team's key is replaced: its metadata is signed anew.
	e.ok(e.repo.ChangeKeys("team", e.of("carol"), []string{e.keys["team"].ID[:12]}, 0))
	if got := e.repo.Staged(); !slices.Equal(got, []string{Targets, "team"}) {
		t.Fatalf("%v", got)
	}
	e.sign(Targets, "online")
	e.sign("team", "carol")
	e.commit()
	if u := e.follow(e.files()); u == nil {
		t.Fatal()
	}

	// Gone and back again, versions go on.
	e.ok(e.repo.Undelegate("team"))
	e.sign(Targets, "online")
	e.commit()
	if _, err := e.follow(e.files()).GetTargetInfo("acme/app/v1"); err == nil {
		t.Error("a target of a role that is gone is found")
	}
	e.ok(e.repo.Delegate(Delegation{Role: "team", Paths: []string{"acme/*/*"}, RoleKeys: RoleKeys{Keys: e.of("team")}}))
	if v := e.repo.doc("team").version(); v != 3 {
		t.Errorf("the role is back with version %d", v)
	}
	e.sign(Targets, "online")
	e.sign("team", "team")
	e.commit()
	e.follow(e.files())
}

func TestRootRotation(t *testing.T) {
	e := newEstate(t)
	e.first()
	old := e.files()
	e.ok(e.repo.ChangeKeys(Root, e.of("carol"), []string{e.keys["bob"].ID}, 0))
	e.ok(e.repo.ChangeKeys(Timestamp, e.of("other"), []string{e.keys["online"].ID}, 0))
	e.sign(Root, "alice", "carol")
	list, err := e.repo.Needs(Root)
	e.ok(err)
	if len(list) != 2 || list[0].By != "root 1" || list[0].Have != 1 || !list[1].Met() {
		t.Errorf("%+v", list)
	}
	_, err = e.repo.Commit(e.online, false)
	refuses(t, err, store.CodeInvalid, "by root 1: 1 more needed")

	// While the rotation waits, the online keys go on as before.
	image, _ := manifest("x")
	_, err = e.repo.Add("", "acme/app/v1", image)
	e.ok(err)
	e.sign(Targets, "online")
	if roles, err := e.repo.Commit(e.online, true); err != nil || !slices.Equal(roles, []string{"targets 2", "snapshot 2", "timestamp 2"}) {
		t.Fatalf("%v, %v", roles, err)
	}
	e.reopen()
	e.follow(e.files())

	e.sign(Root, "bob") // the old key signs that it goes
	_, err = e.repo.Commit(e.online, false)
	refuses(t, err, store.CodeInvalid, "timestamp has 0 of 1 signatures", "--key")
	_, err = e.repo.Commit(func(string) ([]*Key, error) { return e.of("online", "other"), nil }, false)
	e.ok(err)
	e.reopen()
	p := e.files()
	u := e.follow(p) // from root 1 on
	if v := u.GetTrustedMetadataSet().Root.Signed.Version; v != 2 {
		t.Errorf("root %d", v)
	}
	refuses(t, (&Repository{roots: e.repo.roots[:1], committed: e.repo.committed}).Follows(p.read), store.CodeConflict, "root 2 is published")
	e.ok(e.repo.Follows(old.read))
	// Bob is nobody now.
	e.ok(e.repo.Renew(Root))
	refuses(t, e.repo.Sign(Root, e.keys["bob"]), store.CodeInvalid, "none of root's")
	e.sign(Root, "alice", "carol")
	_, err = e.repo.Commit(func(string) ([]*Key, error) { return e.of("other"), nil }, false)
	e.ok(err)
	e.reopen()
	e.follow(e.files())
}

func TestVersionsOnlyGoUp(t *testing.T) {
	e := newEstate(t)
	e.first()
	older := e.files()
	copied := fstest.MapFS{}
	for name, f := range e.dir.MapFS {
		copied[name] = f
	}
	e.time = e.time.Add(time.Hour)
	e.commit()
	newer := e.files()
	e.ok(e.repo.Follows(older.read))
	e.ok(e.repo.Follows(newer.read)) // again is no harm
	e.ok(e.repo.Follows(published{}.read))

	behind := &estate{t: t, dir: &memory{MapFS: copied}, time: e.time, keys: e.keys}
	behind.reopen()
	refuses(t, behind.repo.Follows(newer.read), store.CodeConflict, "timestamp 2 is published there, and this directory has 1")
	behind.time = behind.time.Add(time.Minute)
	behind.commit()
	refuses(t, behind.repo.Follows(newer.read), store.CodeConflict, "another timestamp 2")
	foreign := newEstate(t)
	foreign.first()
	refuses(t, foreign.repo.Follows(newer.read), store.CodeConflict, "another TUF repository")
	refuses(t, e.repo.Follows(published{"timestamp.json": []byte("{}")}.read), store.CodeConflict, "no TUF repository")
}

func TestExpiry(t *testing.T) {
	e := newEstate(t)
	e.first()
	e.time = start.Add(25 * time.Hour)
	_, err := e.repo.Files()
	refuses(t, err, store.CodeInvalid, "timestamp 1 expired on 2026-03-02 12:00 UTC", "assay tuf refresh")
	roles, err := e.repo.Commit(e.online, false)
	if err != nil || !slices.Equal(roles, []string{"timestamp 2"}) {
		t.Fatalf("%v, %v", roles, err)
	}
	e.time = start.Add(4 * 24 * time.Hour)
	if roles, err = e.repo.Commit(e.online, false); err != nil || !slices.Equal(roles, []string{"snapshot 2", "timestamp 3"}) {
		t.Fatalf("half of a snapshot's time is over: %v, %v", roles, err)
	}
	e.follow(e.files())
	e.ok(e.repo.Renew(Root))
	e.time = start.Add(2 * 366 * 24 * time.Hour)
	refuses(t, e.repo.Sign(Root, e.keys["alice"]), store.CodeInvalid, "expired", "--renew root")
	_, err = e.repo.Commit(e.online, true)
	refuses(t, err, store.CodeInvalid, "root 1 expired")
	e.ok(e.repo.Renew(Root))
	e.ok(e.repo.Renew(Targets))
	e.first()
	e.follow(e.files())
}

func TestACommitThatIsInterruptedIsDoneAgain(t *testing.T) {
	for stop := 1; ; stop++ {
		e := newEstate(t)
		e.first()
		before := e.files()
		e.ok(e.repo.ChangeKeys(Timestamp, e.of("other"), nil, 0))
		image, _ := manifest("x")
		_, err := e.repo.Add("", "acme/app/v1", image)
		e.ok(err)
		e.sign(Root, "alice", "bob")
		e.sign(Targets, "online")
		e.dir.stop = stop
		_, err = e.repo.Commit(e.online, false)
		if err == nil {
			if stop < 5 {
				t.Errorf("a commit of four files wrote %d", stop-1)
			}
			return
		}
		if !errors.Is(err, errFull) {
			t.Fatal(err)
		}
		e.reopen()
		e.commit()
		e.ok(e.repo.Follows(before.read))
		if _, err := e.follow(e.files()).GetTargetInfo("acme/app/v1"); err != nil {
			t.Errorf("after write %d failed: %v", stop, err)
		}
	}
}

func TestInitRefuses(t *testing.T) {
	e := newEstate(t)
	full := func() map[string]RoleKeys {
		return map[string]RoleKeys{Root: {e.of("alice"), 1}, Targets: {e.of("online"), 1}, Snapshot: {e.of("online"), 1}, Timestamp: {e.of("online"), 1}}
	}
	_, err := Init(e.options(), full(), Config{})
	refuses(t, err, store.CodeConflict, "already")
	empty := func() Options { return Options{&memory{MapFS: fstest.MapFS{}}, e.options().Now} }
	for name, change := range map[string]func(map[string]RoleKeys, *Config){
		"needs a key":         func(m map[string]RoleKeys, _ *Config) { delete(m, Root) },
		"threshold of root":   func(m map[string]RoleKeys, _ *Config) { m[Root] = RoleKeys{e.of("alice"), 2} },
		"one of root already": func(m map[string]RoleKeys, _ *Config) { m[Root] = RoleKeys{e.of("alice", "alice"), 2} },
		"stays offline":       func(m map[string]RoleKeys, _ *Config) { m[Timestamp] = RoleKeys{e.of("alice"), 1} },
		"period of validity":  func(_ map[string]RoleKeys, c *Config) { c.Expires = map[string]string{Root: "0s"} },
		"no role":             func(_ map[string]RoleKeys, c *Config) { c.Expires = map[string]string{"team": "1h"} },
	} {
		m, c := full(), Config{}
		change(m, &c)
		_, err := Init(empty(), m, c)
		if store.CodeOf(err) != store.CodeInvalid && store.CodeOf(err) != store.CodeConflict || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
	_, err = Open(empty())
	refuses(t, err, store.CodeNotFound, "assay tuf init")
}

func TestTargetsThatAreRefused(t *testing.T) {
	e := newEstate(t)
	image, _ := manifest("x")
	for name, target := range map[string]Target{
		"/acme/app/v1": image, "acme//v1": image, "acme/../v1": image, "": image, ".": image, "a\nb/v1": image, `a\b/v1`: image, "ACME/app/v1": image, "acme": image,
		strings.Repeat("a", 2000): {Content: []byte("x")}, "trust/release/keys/a.pem": image, "policies/x.rego": {Content: make([]byte, trust.MaxFile+1)},
		"acme/app/v2": {Digest: "sha256:abc", Length: 1}, "acme/app/v3": {Digest: image.Digest}, "acme/app/v4": {Digest: image.Digest, Length: store.MaxManifest + 1},
		"acme/app/v5": {Digest: store.DigestOf("sha512", []byte("x")), Length: 1}, "files/big": {Content: make([]byte, MaxContent+1)},
	} {
		if _, err := e.repo.Add("", name, target); store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%.40q %.40v: %v", name, target.Digest, err)
		}
	}
	_, err := e.repo.Add(Root, "acme/app/v1", image)
	refuses(t, err, store.CodeInvalid, "holds no targets")
	refuses(t, e.repo.Drop("", "acme/app/v1"), store.CodeNotFound, "no target")
	refuses(t, e.repo.Drop(Root, "acme/app/v1"), store.CodeNotFound, "no target")
	// A role that outgrows what clients read is refused before it is written.
	d, err := e.repo.edit(Targets)
	e.ok(err)
	_, err = e.repo.Add("", "acme/app/v1", image)
	e.ok(err)
	one := e.repo.doc(Targets).targets.Signed.Targets["acme/app/v1"]
	d.targets.Signed.Targets = map[string]*metadata.TargetFiles{}
	for i := range 40_000 {
		d.targets.Signed.Targets[fmt.Sprintf("acme/app/v%d", i)] = one
	}
	refuses(t, e.repo.stage(d), store.CodeInvalid, "delegate")
}

func TestLimitsOfWhatIsPublished(t *testing.T) {
	e := newEstate(t)
	parent := Targets
	for i := range trust.MaxDepth {
		role := fmt.Sprintf("role%d", i)
		e.ok(e.repo.Delegate(Delegation{Role: role, Parent: parent, Paths: []string{"acme/*/*"}, RoleKeys: RoleKeys{Keys: e.of("team")}}))
		parent = role
	}
	refuses(t, e.repo.Delegate(Delegation{Role: "deeper", Parent: parent, Paths: []string{"acme/*/*"}, RoleKeys: RoleKeys{Keys: e.of("team")}}), store.CodeInvalid, "follow no further")
	image, _ := manifest("x")
	_, err := e.repo.Add(parent, "acme/app/v1", image)
	e.ok(err)
	for _, role := range e.repo.Staged() {
		if !topLevel(role) {
			e.sign(role, "team")
		}
	}
	for i := range trust.MaxFiles {
		_, err := e.repo.Add("", fmt.Sprintf("policies/%d.rego", i), Target{Content: fmt.Appendf(nil, "%d", i)})
		e.ok(err)
	}
	e.first()
	e.follow(e.files())
	_, err = e.repo.Add("", "trust/x/keys/one.pem", Target{Content: []byte("one too many")})
	e.ok(err)
	e.sign(Targets, "online")
	e.commit()
	_, err = e.repo.Files()
	refuses(t, err, store.CodeInvalid, "under trust/ and policies/")
	refuses(t, WriteTar(&bytes.Buffer{}, make([]File, trust.MaxTarEntries+1)), store.CodeInvalid, "directory")

	// Content that was changed or lost is not published.
	e.ok(e.repo.Drop("", "trust/x/keys/one.pem"))
	e.sign(Targets, "online")
	e.commit()
	name := ""
	for n := range e.dir.MapFS {
		if strings.HasSuffix(n, ".0.rego") {
			name = n
		}
	}
	e.dir.MapFS[name] = &fstest.MapFile{Data: []byte("9")}
	_, err = e.repo.Files()
	refuses(t, err, store.CodeInvalid, "is not what the target policies/0.rego says")
	delete(e.dir.MapFS, name)
	_, err = e.repo.Files()
	refuses(t, err, store.CodeNotFound, "the content of the target policies/0.rego is missing")
}
