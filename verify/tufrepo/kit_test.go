package tufrepo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// memory is a directory in memory; after stop writes more, every write fails.
type memory struct {
	fstest.MapFS
	stop int
}

var errFull = errors.New("no space left")

func (m *memory) Write(name string, content []byte) error {
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: "write", Path: name, Err: fs.ErrInvalid}
	}
	if m.stop--; m.stop == 0 {
		return errFull
	}
	m.MapFS[name] = &fstest.MapFile{Data: content, Mode: 0o644}
	return nil
}

func (m *memory) Remove(name string) error {
	if m.MapFS[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.MapFS, name)
	return nil
}

// estate is a working directory, its keys and a clock.
type estate struct {
	t    *testing.T
	dir  *memory
	time time.Time
	keys map[string]*Key
	repo *Repository
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newKey(t *testing.T, kind string) *Key {
	t.Helper()
	private, public, err := Generate(rand.Reader, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := verify.ParseKeyPEM(public)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(private)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signer := parsed.(crypto.Signer)
	k, err := NewKey(pub, func(message []byte) ([]byte, error) {
		if _, ok := parsed.(*ecdsa.PrivateKey); ok {
			sum := sha256.Sum256(message)
			return signer.Sign(rand.Reader, sum[:], crypto.SHA256)
		}
		return signer.Sign(nil, message, crypto.Hash(0))
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newEstate has two root keys of which both must sign, and one online key for the rest. Nothing is signed.
func newEstate(t *testing.T) *estate {
	t.Helper()
	e := &estate{t: t, dir: &memory{MapFS: fstest.MapFS{}}, time: start, keys: map[string]*Key{}}
	for name, kind := range map[string]string{"alice": KindEd25519, "bob": KindP256, "carol": KindEd25519, "online": KindEd25519, "team": KindP256, "other": KindEd25519} {
		e.keys[name] = newKey(t, kind)
	}
	var err error
	e.repo, err = Init(e.options(), map[string]RoleKeys{
		Root: {e.of("alice", "bob"), 2}, Targets: {e.of("online"), 0}, Snapshot: {e.of("online"), 0}, Timestamp: {e.of("online"), 1},
	}, Config{Expires: map[string]string{Timestamp: "1d", Snapshot: "168h"}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *estate) options() Options { return Options{e.dir, func() time.Time { return e.time }} }

func (e *estate) of(names ...string) []*Key {
	var list []*Key
	for _, n := range names {
		list = append(list, e.keys[n])
	}
	return list
}

func (e *estate) ok(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// refuses demands an error of a code that says all of the words.
func refuses(t *testing.T, err error, code store.Code, words ...string) {
	t.Helper()
	if store.CodeOf(err) != code {
		t.Fatalf("%v, want %s", err, code)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v: %q is missing", err, w)
		}
	}
}

func (e *estate) sign(role string, names ...string) {
	e.t.Helper()
	for _, k := range e.of(names...) {
		e.ok(e.repo.Sign(role, k))
	}
}

func (e *estate) online(string) ([]*Key, error) { return e.of("online"), nil }

func (e *estate) commit() {
	e.t.Helper()
	_, err := e.repo.Commit(e.online, false)
	e.ok(err)
	e.reopen() // what counts is on the disk
}

func (e *estate) reopen() {
	e.t.Helper()
	var err error
	e.repo, err = Open(e.options())
	e.ok(err)
}

// first makes the estate's first committed state.
func (e *estate) first() {
	e.t.Helper()
	e.sign(Root, "alice", "bob")
	e.sign(Targets, "online")
	e.commit()
}

// published is a repository as clients fetch it.
type published map[string][]byte

func (e *estate) files() published {
	e.t.Helper()
	files, err := e.repo.Files()
	e.ok(err)
	p := published{}
	for _, f := range files {
		p[f.Name] = f.Content
	}
	return p
}

func (p published) read(name string) ([]byte, error) {
	if b, ok := p[name]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

// DownloadFile is go-tuf's fetcher.
func (p published) DownloadFile(url string, limit int64, _ time.Duration) ([]byte, error) {
	b, ok := p[strings.TrimPrefix(url, "http://tuf/")]
	if !ok {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: url}
	}
	if int64(len(b)) > limit {
		return nil, &metadata.ErrDownloadLengthMismatch{Msg: url}
	}
	return b, nil
}

// client is go-tuf's own, which knows the first root alone.
func (e *estate) client(p published, root []byte) (*updater.Updater, error) {
	e.t.Helper()
	c, err := config.New("http://tuf/", root)
	e.ok(err)
	c.Fetcher, c.DisableLocalCache = p, true
	u, err := updater.New(c)
	e.ok(err)
	u.UnsafeSetRefTime(e.time)
	return u, u.Refresh()
}

// follow is a client that must be content.
func (e *estate) follow(p published) *updater.Updater {
	e.t.Helper()
	u, err := e.client(p, p["1.root.json"])
	if err != nil {
		e.t.Fatalf("go-tuf's client refuses: %v", err)
	}
	return u
}
