package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// refreshEvery is how old the directory may be: a change made outside of this process counts within it.
const refreshEvery = time.Second

// account is one user at one moment. It is immutable.
type account struct {
	name       string
	hash       string // bcrypt
	origin     string
	own        []access.Grant // of the user's document
	grants     []access.Grant // all: configuration, document, and what everybody has
	generation string         // changes with the hash
}

// snapshot is the directory at one moment. It is immutable: requests in flight keep theirs.
type snapshot struct {
	accounts  map[string]*account
	costs     []int          // the bcrypt costs in use, ascending; never empty
	anonymous []access.Grant // what everybody has
	at        time.Time
}

// directory holds who exists and what they were granted: the htpasswd file, the documents, the configuration.
type directory struct {
	docs  Docs
	clock func() time.Time
	log   *slog.Logger
	cost  int

	mu        sync.Mutex
	file      *htpasswd      // guarded by mu; nil without a file
	configure []access.Grant // guarded by mu
	anonymous access.Roles   // guarded by mu
	complaint string         // guarded by mu: the last problem that was logged

	now atomic.Pointer[snapshot]
}

func newDirectory(o Options) *directory {
	d := &directory{docs: o.Docs, clock: o.Clock, log: o.Log, cost: o.Cost, configure: slices.Clone(o.Grants), anonymous: o.Anonymous}
	if o.Htpasswd != "" {
		d.file = &htpasswd{files: o.Files, name: o.Htpasswd}
	}
	return d
}

// current is the directory, at most refreshEvery old. One caller refreshes, the others do not wait for it.
func (d *directory) current(ctx context.Context) (*snapshot, error) {
	s := d.now.Load()
	age := d.clock().Sub(s.at)
	if age >= 0 && age < refreshEvery {
		return s, nil
	}
	if !d.mu.TryLock() {
		return s, nil
	}
	defer d.mu.Unlock()
	return d.rebuild(ctx)
}

// reload refreshes at once. strict makes a bad htpasswd file an error: at start and on request, not in the middle of a login.
func (d *directory) reload(ctx context.Context, strict bool) (*snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if strict && d.file != nil {
		if _, err := d.file.load(d.clock()); err != nil {
			return nil, store.Errorf(store.CodeInvalid, "%w", err)
		}
	}
	return d.rebuild(ctx)
}

// rebuild makes a snapshot; mu is held.
func (d *directory) rebuild(ctx context.Context) (*snapshot, error) {
	s := &snapshot{accounts: make(map[string]*account), at: d.clock()}
	if d.anonymous != 0 {
		s.anonymous = []access.Grant{{Repositories: store.Globs{"**"}, Roles: d.anonymous}}
	}
	documents, err := d.documents(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range documents {
		s.accounts[a.name] = a
	}
	for name, hash := range d.fileUsers() { // the file wins: its users must not inherit a document's grants
		s.accounts[name] = &account{name: name, hash: hash, origin: access.OriginHtpasswd}
	}
	for _, a := range s.accounts {
		sum := sha256.Sum256([]byte(a.hash))
		a.generation = hex.EncodeToString(sum[:8])
		for _, g := range d.configure {
			if g.Who == a.name {
				a.grants = append(a.grants, g)
			}
		}
		a.grants = append(append(a.grants, a.own...), s.anonymous...)
		if c, err := costOf(a.hash); err == nil && !slices.Contains(s.costs, c) {
			s.costs = append(s.costs, c)
		}
	}
	if len(s.costs) == 0 {
		s.costs = []int{d.cost}
	}
	slices.Sort(s.costs)
	d.now.Store(s)
	return s, nil
}

// fileUsers are the users of the file; a problem is logged once.
func (d *directory) fileUsers() map[string]string {
	if d.file == nil {
		return nil
	}
	_, err := d.file.load(d.clock())
	switch {
	case err == nil:
		d.complaint = ""
	case err.Error() != d.complaint:
		d.complaint = err.Error()
		d.log.Error("users cannot be read", slog.Any("error", err))
	}
	return d.file.users
}

// set replaces the configured grants and the anonymous roles.
func (d *directory) set(ctx context.Context, grants []access.Grant, anonymous access.Roles) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.configure, d.anonymous = slices.Clone(grants), anonymous
	_, err := d.rebuild(ctx)
	return err
}
