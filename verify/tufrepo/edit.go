package tufrepo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify/trust"
)

// RoleKeys are the keys of a role and how many of them must sign.
type RoleKeys struct {
	Keys      []*Key
	Threshold int // 0 means 1
}

// Init makes a repository with staged versions of root and targets, which nobody has signed yet. Each of the four top-level roles has its keys. Errors: CodeConflict
// where there is something already, CodeInvalid for a plan that cannot be kept.
func Init(o Options, roles map[string]RoleKeys, config Config) (*Repository, error) {
	for _, name := range []string{configFile, strings.TrimSuffix(metaDir, "/"), strings.TrimSuffix(stagedDir, "/")} {
		if _, err := fs.Stat(o.Dir, name); !errors.Is(err, fs.ErrNotExist) {
			return nil, conflict("there is a repository in this directory already (%s); choose another directory", name)
		}
	}
	r := &Repository{Config: config, dir: o.Dir, now: o.Now, folder: metaDir, consistent: true, committed: map[string]*document{}, staged: map[string]*document{}}
	for role, text := range config.Expires {
		if _, err := ParsePeriod(text); err != nil {
			return nil, err
		}
		if !topLevel(role) {
			return nil, invalid("%q is no role of a new repository; they are root, targets, snapshot and timestamp", role)
		}
	}
	root := &document{role: Root, root: metadata.Root(r.deadline(Root))}
	for _, role := range []string{Root, Targets, Snapshot, Timestamp} {
		au := authority{keys: root.root.Signed.Keys}
		if err := au.change(role, roles[role].Keys, nil, max(roles[role].Threshold, 1)); err != nil {
			return nil, err
		}
		root.root.Signed.Roles[role] = &metadata.Role{KeyIDs: au.ids, Threshold: au.threshold}
	}
	if err := separate(root.root); err != nil {
		return nil, err
	}
	targets := &document{role: Targets, targets: metadata.Targets(r.deadline(Targets))}
	for _, d := range []*document{root, targets} {
		if err := r.stage(d); err != nil {
			return nil, err
		}
	}
	return r, r.SaveConfig()
}

// change adds and removes keys and sets the threshold, where it is not 0.
func (au *authority) change(role string, add []*Key, remove []string, threshold int) error {
	for _, prefix := range remove {
		i := slices.IndexFunc(au.ids, func(id string) bool { return len(prefix) >= 8 && strings.HasPrefix(id, prefix) })
		if i < 0 {
			return missing("the role %s has no key %q; assay tuf status lists the keys (at least 8 digits name one)", role, prefix)
		}
		au.ids = slices.Delete(slices.Clone(au.ids), i, i+1)
	}
	for _, k := range add {
		for _, id := range au.ids {
			if print, err := fingerprint(au.keys[id]); err == nil && print == k.print {
				return conflict("the key %s is one of %s already", short(k.ID), role)
			}
		}
		au.ids = append(slices.Clone(au.ids), k.ID)
		au.keys[k.ID] = k.tuf
	}
	if threshold != 0 {
		au.threshold = threshold
	}
	switch n := len(au.ids); {
	case n == 0:
		return invalid("the role %s needs a key", role)
	case n > maxKeys:
		return invalid("the role %s has %d keys, and %d are the most", role, n, maxKeys)
	case au.threshold < 1 || au.threshold > n:
		return invalid("the threshold of %s is %d, and the role has %s; choose one from 1 to %d", role, au.threshold, plural(n, "key"), n)
	}
	return nil
}

// separate refuses a root key with a second use: it would have to be online.
func separate(root *metadata.Metadata[metadata.RootType]) error {
	offline := map[string]bool{}
	for _, id := range root.Signed.Roles[Root].KeyIDs {
		if print, err := fingerprint(root.Signed.Keys[id]); err == nil {
			offline[print] = true
		}
	}
	for _, role := range []string{Targets, Snapshot, Timestamp} {
		for _, id := range root.Signed.Roles[role].KeyIDs {
			if print, err := fingerprint(root.Signed.Keys[id]); err == nil && offline[print] {
				return invalid("the key %s is for root and for %s; a root key stays offline: use another for %s", short(id), role, role)
			}
		}
	}
	return nil
}

// ChangeKeys stages a new version of the role's delegator, with other keys or another threshold (0 leaves it). Keys are removed by ID, or the first 8 digits of it or
// more. Where the role's metadata then lacks signatures, a new version of it is staged too. Errors: CodeInvalid, CodeNotFound, CodeConflict.
func (r *Repository) ChangeKeys(role string, add []*Key, remove []string, threshold int) error {
	parent, err := r.parent(role)
	if err != nil {
		return err
	}
	d, err := r.edit(parent)
	if err != nil {
		return err
	}
	au, ok := d.authorityOf(role)
	if !ok {
		return missing("nobody delegates to the role %s", role)
	}
	if err := au.change(role, add, remove, threshold); err != nil {
		return err
	}
	if d.root != nil {
		d.root.Signed.Roles[role].KeyIDs, d.root.Signed.Roles[role].Threshold = au.ids, au.threshold
		if err := separate(d.root); err != nil {
			return err
		}
	} else {
		entry := &d.targets.Signed.Delegations.Roles[d.delegation(role)]
		entry.KeyIDs, entry.Threshold = au.ids, au.threshold
	}
	d.forget()
	if err := r.stage(d); err != nil {
		return err
	}
	if online := role == Snapshot || role == Timestamp; role == Root || online || r.staged[role] != nil || need(r.doc(parent), parent, r.doc(role)).Met() {
		return nil // snapshot and timestamp are made anew by each commit
	}
	return r.Renew(role)
}

// forget drops keys that no role has.
func (d *document) forget() {
	used := func(id string) bool { return false }
	var keys map[string]*metadata.Key
	if d.root != nil {
		keys = d.root.Signed.Keys
		used = func(id string) bool {
			for _, r := range d.root.Signed.Roles {
				if slices.Contains(r.KeyIDs, id) {
					return true
				}
			}
			return false
		}
	} else if del := d.targets.Signed.Delegations; del != nil {
		keys = del.Keys
		used = func(id string) bool {
			return slices.ContainsFunc(del.Roles, func(r metadata.DelegatedRole) bool { return slices.Contains(r.KeyIDs, id) })
		}
	}
	for id := range keys {
		if !used(id) {
			delete(keys, id)
		}
	}
}

// Renew stages a new version of a role that differs in its number and its end alone.
func (r *Repository) Renew(role string) error {
	if role == Snapshot || role == Timestamp {
		return invalid("%s is made anew by assay tuf refresh, without being staged", role)
	}
	d, err := r.edit(role)
	if err != nil {
		return err
	}
	return r.stage(d)
}

// Delegation says who speaks for which targets.
type Delegation struct {
	Role, Parent string   // Parent "" is targets
	Paths        []string // patterns: '*', '?' and '[...]' match within one component between slashes
	RoleKeys
	Terminating bool // what it does not have, no later role has
}

// Delegate stages a delegation and the first version of its role. Errors: CodeInvalid, CodeNotFound, CodeConflict.
func (r *Repository) Delegate(g Delegation) error {
	if g.Parent == "" {
		g.Parent = Targets
	}
	if !validRole(g.Role) || topLevel(g.Role) {
		return invalid("%q is no name of a delegated role; use up to 64 letters, digits, '.', '_' and '-', and none of the top-level roles", g.Role)
	}
	if _, err := r.parent(g.Role); err == nil {
		return conflict("there is a role %s already", g.Role)
	}
	if g.Parent == Root || g.Parent == Snapshot || g.Parent == Timestamp {
		return invalid("%s delegates no targets; use targets or one of its roles", g.Parent)
	}
	depth := 1
	for role := g.Parent; role != Targets; depth++ {
		var err error
		if role, err = r.parent(role); err != nil {
			return err
		}
	}
	if depth > trust.MaxDepth {
		return invalid("%s is delegated to over %d roles already, and clients follow no further; delegate from a role nearer to targets", g.Parent, depth-1)
	}
	if len(g.Paths) == 0 {
		return invalid("a delegation needs the paths that it is for, such as 'acme/app/*'")
	}
	for _, p := range g.Paths {
		if err := checkPattern(p); err != nil {
			return err
		}
	}
	parent, err := r.edit(g.Parent)
	if err != nil {
		return err
	}
	del := parent.targets.Signed.Delegations
	if del == nil || del.Keys == nil {
		del = &metadata.Delegations{Keys: map[string]*metadata.Key{}}
	}
	au := authority{keys: del.Keys}
	if err := au.change(g.Role, g.Keys, nil, max(g.Threshold, 1)); err != nil {
		return err
	}
	del.Roles = append(del.Roles, metadata.DelegatedRole{Name: g.Role, KeyIDs: au.ids, Threshold: au.threshold, Terminating: g.Terminating, Paths: g.Paths})
	parent.targets.Signed.Delegations = del
	role := &document{role: g.Role, targets: metadata.Targets(time.Time{})}
	role.targets.Signed.Version = r.last(g.Role) + 1
	if err := r.stage(role); err != nil {
		return err
	}
	return r.stage(parent)
}

// last is the newest version of a role that a snapshot ever named: versions go up even for a role that was gone for a while.
func (r *Repository) last(role string) int64 {
	if s := r.committed[Snapshot]; s != nil && s.snapshot.Signed.Meta[role+".json"] != nil {
		return s.snapshot.Signed.Meta[role+".json"].Version
	}
	return 0
}

// Undelegate stages the end of a delegation. Errors: CodeNotFound.
func (r *Repository) Undelegate(role string) error {
	if topLevel(role) {
		return invalid("%s is a top-level role; it cannot be removed", role)
	}
	parent, err := r.parent(role)
	if err != nil {
		return err
	}
	d, err := r.edit(parent)
	if err != nil {
		return err
	}
	del := d.targets.Signed.Delegations
	if del.Roles = slices.Delete(del.Roles, d.delegation(role), d.delegation(role)+1); len(del.Roles) == 0 {
		d.targets.Signed.Delegations = nil
	}
	d.forget()
	if err := r.stage(d); err != nil {
		return err
	}
	return r.orphans()
}

// Target is what a target's path stands for: content, or a manifest that is elsewhere, which is named by its digest and length.
type Target struct {
	Content []byte // nil: Digest and Length say it
	Digest  store.Digest
	Length  int64
}

// Add stages a target in a role ("" is targets); changed is false if it is there already as it is. Errors: CodeInvalid where the role may not speak for the path.
func (r *Repository) Add(role, name string, t Target) (changed bool, err error) {
	if role == "" {
		role = Targets
	}
	if err := checkPath(name); err != nil {
		return false, err
	}
	if err := r.mayHold(role, name); err != nil {
		return false, err
	}
	sum, length := sha256.Sum256(t.Content), int64(len(t.Content))
	if t.Content == nil {
		d, err := store.ParseDigest(string(t.Digest))
		if err != nil || d.Algorithm() != "sha256" || t.Length < 1 || t.Length > store.MaxManifest {
			return false, invalid("a target needs the sha256 digest of the manifest and its length, from 1 to %d bytes", store.MaxManifest)
		}
		if _, ok := pin(name); !ok {
			return false, invalid("%q does not name a tag; a target without content is <repository>/<tag>, such as acme/app/v1", name)
		}
		length = t.Length
		if _, err := hex.Decode(sum[:], []byte(d.Encoded())); err != nil {
			return false, err
		}
	} else if limit := contentLimit(name); len(t.Content) > limit {
		return false, invalid("%s has more than %d MiB, which is the most for such a target", name, limit>>20)
	}
	d, err := r.edit(role)
	if err != nil {
		return false, err
	}
	target := &metadata.TargetFiles{Length: length, Hashes: metadata.Hashes{"sha256": sum[:]}, Path: name}
	if old := d.targets.Signed.Targets[name]; old != nil && old.Equal(*target) {
		return false, nil
	}
	if t.Content != nil {
		if err := r.dir.Write(contentName(name, sum[:]), t.Content); err != nil {
			return false, err
		}
	}
	if d.targets.Signed.Targets == nil {
		d.targets.Signed.Targets = map[string]*metadata.TargetFiles{}
	}
	d.targets.Signed.Targets[name] = target
	return true, r.stage(d)
}

// Drop stages the end of a target. Its content stays in targets/ for whoever reads an earlier version. Errors: CodeNotFound.
func (r *Repository) Drop(role, name string) error {
	if role == "" {
		role = Targets
	}
	if _, err := r.parent(role); err != nil {
		return err
	}
	d, err := r.edit(role)
	if err != nil {
		return err
	}
	if d.targets == nil || d.targets.Signed.Targets[name] == nil {
		return missing("the role %s has no target %q; assay tuf status --targets lists them", role, name)
	}
	delete(d.targets.Signed.Targets, name)
	return r.stage(d)
}

// mayHold refuses a target that clients would never look for in that role.
func (r *Repository) mayHold(role, name string) error {
	if role != Targets && topLevel(role) {
		return invalid("%s holds no targets; use targets or a delegated role", role)
	}
	for role != Targets {
		parent, err := r.parent(role)
		if err != nil {
			return err
		}
		d := r.doc(parent)
		entry := d.targets.Signed.Delegations.Roles[d.delegation(role)]
		if ok, err := entry.IsDelegatedPath(name); err != nil || !ok {
			return invalid("%s does not delegate %q to %s: its paths are %s", parent, name, role, strings.Join(entry.Paths, " "))
		}
		role = parent
	}
	return nil
}

// pin reads a target's path as <repository>/<tag>.
func pin(name string) (store.Name, bool) {
	if isMaterial(name) {
		return "", false // always content
	}
	repo, tag := path.Split(name)
	n, err := store.ParseName(strings.TrimSuffix(repo, "/"))
	return n, err == nil && store.ValidTag(tag)
}

// contentLimit is what clients read of a target: trust material and policies are small.
func contentLimit(name string) int {
	if isMaterial(name) {
		return trust.MaxFile
	}
	return MaxContent
}

// isMaterial tells trust material and policies by their path.
func isMaterial(name string) bool {
	return strings.HasPrefix(name, "trust/") || strings.HasPrefix(name, "policies/")
}

// contentName is where content is kept and published: under consistent snapshots its digest stands before its name.
func contentName(name string, sum []byte) string {
	dir, base := path.Split(name)
	return fmt.Sprintf("%s%s%x.%s", targetsDir, dir, sum, base)
}

func checkPath(name string) error {
	if len(name) > maxPath || !fs.ValidPath(name) || name == "." || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }) {
		return invalid("%q is no path of a target; write it relative, with slashes, without '.' and '..', in at most %d bytes", name, maxPath)
	}
	return nil
}

// checkPattern refuses patterns that do not mean what they look like.
func checkPattern(p string) error {
	if err := checkPath(p); err != nil {
		return err
	}
	for part := range strings.SplitSeq(p, "/") {
		if strings.Contains(part, "**") {
			return invalid("the pattern %q has '**', which TUF does not know: '*' ends at a slash. Write one pattern per depth, such as %q", p, strings.ReplaceAll(p, "**", "*/*"))
		}
		if _, err := path.Match(part, ""); err != nil {
			return invalid("the pattern %q is malformed: '*', '?' and '[...]' within one part between slashes", p)
		}
	}
	return nil
}
