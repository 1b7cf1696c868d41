package tufrepo

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify/trust"
)

// Options open a working directory.
type Options struct {
	Dir Dir
	Now func() time.Time
}

// Config is tuf.json.
type Config struct {
	// Expires is how long a version of a role is valid, such as "8760h". Roles that are not named: a year for root and targets, a week for snapshot and
	// timestamp; delegated roles as targets.
	Expires map[string]string `json:"expires,omitempty"`
	// Keys are the files of the private keys that are at hand, by role: those of root are never among them.
	Keys map[string][]string `json:"keys,omitempty"`
}

// Repository is an open working directory. It is for one goroutine, and one process: whoever opens it for changes holds a lock.
type Repository struct {
	Config Config

	dir        Dir
	now        func() time.Time
	folder     string // of committed metadata: "metadata/", or "" for a flat repository by another implementation
	consistent bool
	roots      []*document          // committed, in order
	committed  map[string]*document // by role; root is the newest
	staged     map[string]*document
}

const (
	configFile = "tuf.json"
	stagedDir  = "staged/"
	metaDir    = "metadata/"
	targetsDir = "targets/"
)

// Open reads a working directory, or the metadata of a repository that another implementation made: with or without consistent snapshots, in the folder
// metadata/ or flat. Errors: CodeNotFound where there is no repository, CodeInvalid for one that cannot be read.
func Open(o Options) (*Repository, error) {
	r := &Repository{dir: o.Dir, now: o.Now, committed: map[string]*document{}, staged: map[string]*document{}, consistent: true}
	if info, err := fs.Stat(r.dir, strings.TrimSuffix(metaDir, "/")); err == nil && info.IsDir() {
		r.folder = metaDir
	} else if _, err := fs.Stat(r.dir, strings.TrimSuffix(stagedDir, "/")); err == nil {
		r.folder = metaDir // nothing committed yet
	}
	if err := r.readConfig(); err != nil {
		return nil, err
	}
	if err := r.readRoots(); err != nil {
		return nil, err
	}
	if err := r.readCommitted(); err != nil {
		return nil, err
	}
	if err := r.readStaged(); err != nil {
		return nil, err
	}
	if r.doc(Root) == nil {
		return nil, missing("there is no TUF repository in this directory: no root metadata; make one with assay tuf init")
	}
	return r, nil
}

// read reads a whole file of at most limit bytes.
func read(dir fs.FS, name string, limit int) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > limit {
		return nil, invalid("%s has more than %d bytes, which is the most", name, limit)
	}
	return raw, nil
}

func (r *Repository) readConfig() error {
	raw, err := read(r.dir, configFile, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := store.DecodeJSON(raw, &r.Config); err != nil {
		return invalid("%s is not read: %w", configFile, err)
	}
	for role, text := range r.Config.Expires {
		if _, err := ParsePeriod(text); err != nil {
			return invalid("%s: expires of %s: %w", configFile, role, err)
		}
	}
	return nil
}

// SaveConfig writes tuf.json.
func (r *Repository) SaveConfig() error {
	raw, err := json.MarshalIndent(r.Config, "", "  ")
	if err != nil {
		return err
	}
	return r.dir.Write(configFile, append(raw, '\n'))
}

// ParsePeriod reads how long metadata is valid: a duration of Go, such as 8760h, or days, such as 90d; from a minute to ten years.
func ParsePeriod(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < time.Minute || d > maxPeriod {
		return 0, invalid("%q is no period of validity; write such as 90d or 2160h, from a minute to ten years", s)
	}
	return d, nil
}

// period is how long a new version of a role is valid.
func (r *Repository) period(role string) time.Duration {
	for _, name := range []string{role, Targets} {
		if d, err := ParsePeriod(r.Config.Expires[name]); err == nil {
			return d
		}
		if topLevel(role) {
			break
		}
	}
	if role == Snapshot || role == Timestamp {
		return defaultOnline
	}
	return defaultOffline
}

// deadline is when a version that is made now expires. TUF knows whole seconds.
func (r *Repository) deadline(role string) time.Time {
	return r.now().UTC().Add(r.period(role)).Truncate(time.Second)
}

// readRoots reads the chain of roots as it is numbered; which of them sign which is judged by verification.
func (r *Repository) readRoots() error {
	entries, err := fs.ReadDir(r.dir, path.Clean(r.folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var versions []int64
	for _, e := range entries {
		text, ok := strings.CutSuffix(e.Name(), ".root.json")
		if n, err := strconv.ParseInt(text, 10, 64); ok && err == nil && n > 0 && versioned(Root, n) == e.Name() {
			versions = append(versions, n)
		}
	}
	slices.Sort(versions)
	names := []string{plain(Root)}
	if len(versions) > 0 {
		names = nil
		for _, n := range versions {
			names = append(names, versioned(Root, n))
		}
	}
	if len(names) > trust.MaxRotations {
		return invalid("there are %d versions of root, and clients follow %d; make a new repository", len(names), trust.MaxRotations)
	}
	for i, name := range names {
		d, err := r.readMetadata(Root, name)
		if err != nil || d == nil {
			return err
		}
		if len(versions) > 0 && d.version() != versions[i] {
			return invalid("%s says that it is version %d", name, d.version())
		}
		r.roots, r.committed[Root], r.consistent = append(r.roots, d), d, d.root.Signed.ConsistentSnapshot
	}
	return nil
}

// readMetadata reads one committed file; nil where there is none.
func (r *Repository) readMetadata(role, name string) (*document, error) {
	raw, err := read(r.dir, r.folder+name, limitOf(role))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parse(role, raw)
}

// readCommitted follows timestamp and snapshot to the roles that they name. What they do not name was never committed.
func (r *Repository) readCommitted() error {
	timestamp, err := r.readMetadata(Timestamp, plain(Timestamp))
	if err != nil || timestamp == nil {
		return err
	}
	r.committed[Timestamp] = timestamp
	snapshot, err := r.readVersion(Snapshot, timestamp.timestamp.Signed.Meta[plain(Snapshot)].Version)
	if err != nil || snapshot == nil {
		return err
	}
	r.committed[Snapshot] = snapshot
	for i := 0; ; i++ {
		all, err := links(r.fromCommitted)
		if err != nil {
			return err
		}
		if i == len(all) {
			return nil
		}
		role := all[i].role
		meta := snapshot.snapshot.Signed.Meta[role+".json"]
		if meta == nil || r.committed[role] != nil {
			continue
		}
		d, err := r.readVersion(role, meta.Version)
		if err != nil {
			return err
		}
		if d != nil {
			r.committed[role] = d
		}
	}
}

func (r *Repository) readVersion(role string, version int64) (*document, error) {
	if !r.consistent {
		return r.readMetadata(role, plain(role))
	}
	return r.readMetadata(role, versioned(role, version))
}

// readStaged reads what is being edited. A version that was committed before the process ended is over.
func (r *Repository) readStaged() error {
	entries, err := fs.ReadDir(r.dir, strings.TrimSuffix(stagedDir, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		role, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || role == Snapshot || role == Timestamp || !validRole(role) {
			continue
		}
		raw, err := read(r.dir, stagedDir+e.Name(), limitOf(role))
		if err != nil {
			return err
		}
		d, err := parse(role, raw)
		if err != nil {
			return err
		}
		if old := r.committed[role]; old == nil || d.version() > old.version() {
			r.staged[role] = d
		}
	}
	return nil
}

// doc is a role as it will be: staged, else committed, else nil.
func (r *Repository) doc(role string) *document {
	if d := r.staged[role]; d != nil {
		return d
	}
	return r.committed[role]
}

func (r *Repository) fromCommitted(role string) *document { return r.committed[role] }

// parent names who delegates to a role first. Errors: CodeNotFound.
func (r *Repository) parent(role string) (string, error) {
	if topLevel(role) {
		return Root, nil
	}
	all, err := links(r.doc)
	if err != nil {
		return "", err
	}
	for _, l := range all {
		if l.role == role {
			return l.parent, nil
		}
	}
	return "", missing("there is no role %q; assay tuf status lists them, assay tuf delegate makes one", role)
}

// Staged lists the roles that have a version waiting, root first.
func (r *Repository) Staged() []string {
	order := map[string]int{Root: -2, Targets: -1}
	return slices.SortedFunc(maps.Keys(r.staged), func(a, b string) int {
		if order[a] != order[b] {
			return order[a] - order[b]
		}
		return strings.Compare(a, b)
	})
}

// stage keeps an edited version, which nobody has signed yet.
func (r *Repository) stage(d *document) error {
	h := d.head()
	*h.expires, *h.signatures = r.deadline(d.role), nil
	if err := d.encode(); err != nil {
		return err
	}
	return r.keep(d)
}

// keep writes a staged document.
func (r *Repository) keep(d *document) error {
	clean, err := parse(d.role, d.raw) // what is written is what will be read
	if err != nil {
		return err
	}
	if err := r.dir.Write(stagedDir+plain(d.role), d.raw); err != nil {
		return err
	}
	r.staged[d.role] = clean
	return nil
}

// edit is a copy of a role to be changed: of the version that is staged, else of a new one.
func (r *Repository) edit(role string) (*document, error) {
	if !r.consistent {
		return nil, invalid("the repository was made without consistent snapshots, and this program edits none of those; make a new one with assay tuf init")
	}
	if d := r.staged[role]; d != nil {
		return parse(role, bytes.Clone(d.raw))
	}
	d := r.committed[role]
	if d == nil {
		return nil, missing("there is no metadata of the role %q; assay tuf status lists the roles", role)
	}
	return d.next()
}
