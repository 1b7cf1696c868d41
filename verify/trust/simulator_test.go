package trust_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/trust"
	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// epoch is when every simulated repository is made.
var epoch = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// simulator is a publisher of a TUF repository, and the source that serves what was published. Edit the metadata, then publish.
type simulator struct {
	t          testing.TB
	root       *metadata.Metadata[metadata.RootType]
	timestamp  *metadata.Metadata[metadata.TimestampType]
	snapshot   *metadata.Metadata[metadata.SnapshotType]
	targets    map[string]*metadata.Metadata[metadata.TargetsType]
	signers    map[string][]crypto.Signer
	files      map[string][]byte // what is served
	hashes     bool              // whether snapshot and timestamp name lengths and hashes
	asked      []string          // what was fetched
	fail       map[string]error  // what is not served, and why
	firstRoot  []byte
	publishing map[string]bool // roles that have a version already
}

// newSimulator publishes version 1 of the four top-level roles, with one Ed25519 key each.
func newSimulator(t testing.TB, options ...func(*simulator)) *simulator {
	t.Helper()
	s := &simulator{
		t: t, root: metadata.Root(epoch.Add(365 * day)), timestamp: metadata.Timestamp(epoch.Add(2 * day)), snapshot: metadata.Snapshot(epoch.Add(30 * day)),
		targets: map[string]*metadata.Metadata[metadata.TargetsType]{metadata.TARGETS: metadata.Targets(epoch.Add(90 * day))},
		signers: map[string][]crypto.Signer{}, files: map[string][]byte{}, fail: map[string]error{}, publishing: map[string]bool{},
	}
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		s.addKey(role, s.key())
	}
	for _, o := range options {
		o(s)
	}
	s.publish("root", "targets", "snapshot", "timestamp")
	s.firstRoot = s.files["1.root.json"]
	return s
}

func (s *simulator) key() crypto.Signer {
	s.t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	return k
}

func (s *simulator) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// tufKey is the public half as TUF writes it, with its ID.
func (s *simulator) tufKey(k crypto.Signer) (*metadata.Key, string) {
	s.t.Helper()
	key, err := metadata.KeyFromPublicKey(k.Public())
	s.must(err)
	id, err := key.ID()
	s.must(err)
	return key, id
}

// addKey lets a key sign a top-level role, and signs with it from now on.
func (s *simulator) addKey(role string, k crypto.Signer) {
	s.t.Helper()
	key, _ := s.tufKey(k)
	s.must(s.root.Signed.AddKey(key, role))
	s.signers[role] = append(s.signers[role], k)
}

// rotate replaces the keys of a top-level role by a new one.
func (s *simulator) rotate(role string) {
	s.t.Helper()
	s.root.Signed.Roles[role].KeyIDs = nil
	s.signers[role] = nil
	s.addKey(role, s.key())
}

// pin makes a role list a manifest under repository/tag and returns its digest.
func (s *simulator) pin(role, target, content string) store.Digest {
	s.t.Helper()
	file, err := metadata.TargetFile().FromBytes(target, []byte(content))
	s.must(err)
	s.targets[role].Signed.Targets[target] = file
	return store.DigestOf("sha256", []byte(content))
}

// content is pin for a target whose bytes the repository serves too.
func (s *simulator) content(role, target, content string) {
	s.t.Helper()
	s.pin(role, target, content)
	name := "targets/" + target
	if s.root.Signed.ConsistentSnapshot {
		digest := sha256.Sum256([]byte(content))
		i := strings.LastIndexByte(name, '/') + 1
		name = name[:i] + hex.EncodeToString(digest[:]) + "." + name[i:]
	}
	s.files[name] = []byte(content)
}

// delegate makes one role delegate to another, with a key of its own, and publishes nothing yet.
func (s *simulator) delegate(from string, to metadata.DelegatedRole) crypto.Signer {
	s.t.Helper()
	d := s.targets[from].Signed.Delegations
	if d == nil {
		d = &metadata.Delegations{Keys: map[string]*metadata.Key{}, Roles: []metadata.DelegatedRole{}}
		s.targets[from].Signed.Delegations = d
	}
	k := s.key()
	key, id := s.tufKey(k)
	d.Keys[id] = key
	to.KeyIDs = append(to.KeyIDs, id)
	to.Threshold = max(to.Threshold, 1)
	d.Roles = append(d.Roles, to)
	if s.targets[to.Name] == nil {
		s.targets[to.Name] = metadata.Targets(epoch.Add(60 * day))
	}
	s.signers[to.Name] = append(s.signers[to.Name], k)
	return k
}

// paths is a delegation by patterns.
func paths(name string, patterns ...string) metadata.DelegatedRole {
	return metadata.DelegatedRole{Name: name, Paths: patterns}
}

// publish signs the next version of roles, in order, and serves it. What snapshot and timestamp say about others is what was published last.
func (s *simulator) publish(roles ...string) {
	s.t.Helper()
	for _, role := range roles {
		bump := int64(0)
		if s.publishing[role] {
			bump = 1
		}
		s.publishing[role] = true
		switch role {
		case metadata.ROOT:
			s.root.Signed.Version += bump
			s.serve(role, s.root.Signed.Version, sign(s, s.root, role))
		case metadata.TIMESTAMP:
			s.timestamp.Signed.Version += bump
			s.serve(role, s.timestamp.Signed.Version, sign(s, s.timestamp, role))
		case metadata.SNAPSHOT:
			s.snapshot.Signed.Version += bump
			b := sign(s, s.snapshot, role)
			s.serve(role, s.snapshot.Signed.Version, b)
			s.timestamp.Signed.Meta["snapshot.json"] = s.named(s.snapshot.Signed.Version, b)
		default:
			s.targets[role].Signed.Version += bump
			b := sign(s, s.targets[role], role)
			s.serve(role, s.targets[role].Signed.Version, b)
			s.snapshot.Signed.Meta[role+".json"] = s.named(s.targets[role].Signed.Version, b)
		}
	}
}

// publishAll publishes targets roles, then snapshot and timestamp.
func (s *simulator) publishAll(roles ...string) {
	s.t.Helper()
	s.publish(append(roles, "snapshot", "timestamp")...)
}

func (s *simulator) named(version int64, b []byte) *metadata.MetaFiles {
	m := metadata.MetaFile(version)
	if s.hashes {
		digest := sha256.Sum256(b)
		m.Length, m.Hashes = int64(len(b)), metadata.Hashes{"sha256": digest[:]}
	}
	return m
}

func (s *simulator) serve(role string, version int64, b []byte) {
	s.files[s.fileName(role, version)] = b
}

func (s *simulator) fileName(role string, version int64) string {
	name := trust.FileName(role)
	if role == metadata.ROOT || role != metadata.TIMESTAMP && s.root.Signed.ConsistentSnapshot {
		name = strconv.FormatInt(version, 10) + "." + name
	}
	return name
}

// sign replaces the signatures of metadata by those of the role's signers, and returns the file.
func sign[T metadata.Roles](s *simulator, m *metadata.Metadata[T], role string) []byte {
	s.t.Helper()
	m.Signatures = nil
	for _, k := range s.signers[role] {
		_, id := s.tufKey(k)
		m.Signatures = append(m.Signatures, metadata.Signature{KeyID: id, Signature: s.signature(k, m.Signed)})
	}
	b, err := m.ToBytes(false)
	s.must(err)
	return b
}

func (s *simulator) signature(k crypto.Signer, signed any) []byte {
	s.t.Helper()
	b, err := cjson.EncodeCanonical(signed)
	s.must(err)
	digest := sha256.Sum256(b)
	var signature []byte
	switch k := k.(type) {
	case ed25519.PrivateKey:
		signature = ed25519.Sign(k, b)
	case *ecdsa.PrivateKey:
		signature, err = ecdsa.SignASN1(rand.Reader, k, digest[:])
	case *rsa.PrivateKey:
		signature, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: sha256.Size})
	}
	s.must(err)
	return signature
}

// Fetch makes the simulator a source.
func (s *simulator) Fetch(_ context.Context, name string, limit int64) ([]byte, error) {
	s.asked = append(s.asked, name)
	if err := s.fail[name]; err != nil {
		return nil, err
	}
	b, ok := s.files[name]
	if !ok {
		return nil, &trust.Error{Kind: trust.ErrNotFound, Message: "the simulated repository has no " + name}
	}
	if int64(len(b)) > limit {
		return nil, &trust.Error{Kind: trust.ErrTooBig, Message: name + " has more bytes than are read of it"}
	}
	return b, nil
}

// follower is a registry that follows the simulated repository: a client, its clock, and the state that it keeps.
type follower struct {
	*trust.Client
	s     *simulator
	now   time.Time
	state *verify.TUFState
}

func (s *simulator) authority() verify.Authority {
	return verify.Authority{Name: "acme-tuf", Kind: verify.KindTUF, TUF: &verify.TUF{Root: string(s.firstRoot)}}
}

func (s *simulator) follow() *follower {
	s.t.Helper()
	f := &follower{s: s, now: epoch.Add(time.Hour)}
	c, err := trust.New(trust.Options{Authority: s.authority(), Clock: func() time.Time { return f.now }})
	s.must(err)
	f.Client = c
	return f
}

// refresh refreshes, and keeps what a registry would keep.
func (f *follower) refresh() error {
	f.s.t.Helper()
	f.s.asked = nil
	state, err := f.Refresh(context.Background(), f.s, f.state)
	if err == nil || state != nil {
		f.state = state
	}
	return err
}

func (f *follower) accepts() *verify.TUFState {
	f.s.t.Helper()
	if err := f.refresh(); err != nil {
		f.s.t.Fatalf("refused: %v", err)
	}
	return f.state
}

// refuses refreshes and expects a failure of a kind, told in a sentence, that leaves what is in force as it was.
func (f *follower) refuses(kind error) {
	f.s.t.Helper()
	var before verify.TUFState
	if f.state != nil {
		before = *f.state
	}
	err := f.refresh()
	if !errors.Is(err, kind) {
		f.s.t.Fatalf("got the error %v, want: %v", err, kind)
	}
	if told, ok := errors.AsType[*trust.Error](err); !ok || len(told.Message) < 20 || len(told.Message) > 600 {
		f.s.t.Errorf("%v does not tell a sentence", err)
	}
	if f.state != nil && (f.state.Revision != before.Revision || !slices.Equal(f.state.Pins, before.Pins) || f.state.Timestamp != before.Timestamp || !f.state.Expires.Equal(before.Expires)) {
		f.s.t.Errorf("a failed refresh changed what is in force")
	}
}

// pins are the pinned targets with the roles that signed them.
func (f *follower) pins() map[string]string {
	all := map[string]string{}
	for _, p := range f.state.Pins {
		all[p.Target()] = p.Role
	}
	return all
}

func (f *follower) wantPins(want map[string]string) {
	f.s.t.Helper()
	if got := f.pins(); !maps.Equal(got, want) {
		f.s.t.Errorf("pinned %v, want %v", got, want)
	}
}

// wantProblem expects that the state tells of something.
func (f *follower) wantProblem(words string) {
	f.s.t.Helper()
	if !slices.ContainsFunc(f.state.Problems, func(p string) bool { return strings.Contains(p, words) }) {
		f.s.t.Errorf("the problems %q say nothing of %q", f.state.Problems, words)
	}
}

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
