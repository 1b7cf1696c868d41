package tufrepo

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify/trust"
)

// File is one file of a published repository. Its name is relative to where clients look: "3.root.json", "timestamp.json", "targets/<dir>/<sha256>.<name>".
type File struct {
	Name    string
	Content []byte
}

// Files returns what clients need, after [Repository.Ready]: all roots, the metadata that the snapshot names, and content. The order is that in which a directory is written: what is
// named comes before what names it, and the timestamp is last. Content is in memory, 16 MiB at most for each target. Errors: CodeInvalid, CodeNotFound for missing content.
func (r *Repository) Files() ([]File, error) {
	if !r.consistent {
		_, err := r.edit(Root)
		return nil, err
	}
	if err := r.Ready(); err != nil {
		return nil, err
	}
	all, err := links(r.fromCommitted)
	if err != nil {
		return nil, err
	}
	var files, roles []File
	seen := map[string]bool{}
	for _, l := range all {
		d := r.committed[l.role]
		if seen[d.name()] {
			continue
		}
		seen[d.name()] = true
		roles = append(roles, File{d.name(), d.raw})
		for _, name := range slices.Sorted(maps.Keys(d.targets.Signed.Targets)) {
			f, err := r.content(name, d.targets.Signed.Targets[name])
			if err != nil {
				return nil, err
			}
			if f != nil && !seen[f.Name] {
				seen[f.Name] = true
				files = append(files, *f)
			}
		}
	}
	if err := material(files); err != nil {
		return nil, err
	}
	for _, d := range r.roots {
		files = append(files, File{versioned(Root, d.version()), d.raw})
	}
	files = append(files, roles...)
	for _, role := range []string{Snapshot, Timestamp} {
		files = append(files, File{r.committed[role].name(), r.committed[role].raw})
	}
	return files, nil
}

// material refuses more trust material and policies than clients read.
func material(files []File) error {
	n, total := 0, 0
	for _, f := range files {
		if isMaterial(strings.TrimPrefix(f.Name, targetsDir)) {
			n, total = n+1, total+len(f.Content)
		}
	}
	if n > trust.MaxFiles || total > trust.MaxTotal {
		return invalid("there are %d files of %d bytes under trust/ and policies/, and clients read %d of %d MiB; remove some", n, total, trust.MaxFiles, trust.MaxTotal>>20)
	}
	return nil
}

// content reads a target's content and checks it; nil for a target that names a manifest elsewhere.
func (r *Repository) content(name string, t *metadata.TargetFiles) (*File, error) {
	sum := t.Hashes["sha256"]
	if len(sum) != 32 {
		return nil, invalid("the target %s has no sha256; add it again", name)
	}
	file := contentName(name, sum)
	raw, err := read(r.dir, file, MaxContent)
	if errors.Is(err, fs.ErrNotExist) {
		if _, ok := pin(name); ok {
			return nil, nil
		}
		return nil, missing("the content of the target %s is missing (%s); add it again with --file, or remove the target", name, file)
	}
	if err != nil {
		return nil, err
	}
	if guarded(func() error { return t.VerifyLengthHashes(raw) }) != nil {
		return nil, invalid("the file %s is not what the target %s says; add it again with --file", file, name)
	}
	return &File{file, raw}, nil
}

// Follows refuses to replace what is published by something that clients of it would refuse: another repository, or an older state of this one. published
// returns a file by name, or an error that is [fs.ErrNotExist]. Errors: CodeConflict.
func (r *Repository) Follows(published func(name string) ([]byte, error)) error {
	theirs, err := published(plain(Timestamp))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d, err := parse(Timestamp, theirs)
	if err != nil {
		return conflict("something that is no TUF repository is published there (%w); publish elsewhere, or remove it first", err)
	}
	first := r.roots[0]
	switch root, err := published(first.name()); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil || !bytes.Equal(root, first.raw):
		return conflict("another TUF repository is published there: its root %d is not this one's; publish elsewhere, or remove it first", first.version())
	}
	newest := r.roots[len(r.roots)-1].version()
	if _, err := published(versioned(Root, newest+1)); err == nil {
		return conflict("root %d is published there, and this directory has %d; work on a copy of what is published", newest+1, newest)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch ours := r.committed[Timestamp]; {
	case d.version() > ours.version():
		return conflict("timestamp %d is published there, and this directory has %d: somebody published from another copy, which clients would not follow back", d.version(), ours.version())
	case d.version() == ours.version() && !bytes.Equal(theirs, ours.raw):
		return conflict("another timestamp %d is published there: somebody published from another copy; bring the copies together, then run assay tuf refresh", d.version())
	}
	return nil
}

// RoleStatus is one role as it is committed or staged.
type RoleStatus struct {
	Role        string   `json:"role"`
	Parent      string   `json:"parent,omitempty"`
	Version     int64    `json:"version"`
	Staged      bool     `json:"staged,omitempty"`
	Expires     string   `json:"expires"` // RFC 3339
	Expired     bool     `json:"expired,omitempty"`
	Keys        []string `json:"keys"` // IDs
	Threshold   int      `json:"threshold"`
	Paths       []string `json:"paths,omitempty"`
	Terminating bool     `json:"terminating,omitempty"`
	Targets     int      `json:"targets,omitempty"`
	Needs       []Need   `json:"needs"`
}

// Status is all roles, committed before staged, and what keeps the repository from being published.
type Status struct {
	Consistent bool           `json:"consistent_snapshot"`
	Roles      []RoleStatus   `json:"roles"`
	Targets    []TargetStatus `json:"targets"`
	Problem    string         `json:"problem,omitempty"`
}

// TargetStatus is one target as it will be after what is staged.
type TargetStatus struct {
	Path   string `json:"path"`
	Role   string `json:"role"`
	Digest string `json:"digest"`
	Length int64  `json:"length"`
}

// Status reports every role and target. A repository that no client would take has a status too.
func (r *Repository) Status() (*Status, error) {
	s := &Status{Consistent: r.consistent, Roles: []RoleStatus{}, Targets: []TargetStatus{}}
	committed, err := links(r.fromCommitted)
	if err != nil {
		return nil, err
	}
	order := append([]link{{Root, ""}}, committed...)
	order = append(order, link{Snapshot, Root}, link{Timestamp, Root})
	for _, l := range order {
		if err := r.addStatus(s, l, r.committed[l.role], r.fromCommitted, false); err != nil {
			return nil, err
		}
	}
	planned, err := links(r.doc)
	if err != nil {
		return nil, err
	}
	for _, l := range append([]link{{Root, ""}}, planned...) {
		if err := r.addStatus(s, l, r.staged[l.role], r.doc, true); err != nil {
			return nil, err
		}
		d := r.doc(l.role)
		if d == nil || d.targets == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(d.targets.Signed.Targets)) {
			t := d.targets.Signed.Targets[name]
			s.Targets = append(s.Targets, TargetStatus{name, l.role, string(store.Digest("sha256:" + hex.EncodeToString(t.Hashes["sha256"]))), t.Length})
		}
	}
	if err := r.Ready(); err != nil {
		s.Problem = sentence(err)
	}
	return s, nil
}

func sentence(err error) string {
	if e, ok := errors.AsType[*store.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

func (r *Repository) addStatus(s *Status, l link, d *document, doc func(string) *document, staged bool) error {
	if d == nil {
		return nil
	}
	line := RoleStatus{Role: l.role, Parent: l.parent, Version: d.version(), Staged: staged, Expires: d.expires().UTC().Format("2006-01-02T15:04:05Z"), Expired: !r.now().Before(d.expires())}
	by := d
	if l.parent != "" {
		by = doc(l.parent)
	}
	if au, ok := by.authorityOf(l.role); ok {
		line.Keys, line.Threshold = au.ids, au.threshold
	}
	if by.targets != nil && !topLevel(l.role) {
		entry := by.targets.Signed.Delegations.Roles[by.delegation(l.role)]
		line.Paths, line.Terminating = entry.Paths, entry.Terminating
	}
	if d.targets != nil {
		line.Targets = len(d.targets.Signed.Targets)
	}
	var err error
	if line.Needs, err = r.needs(d, doc); err != nil {
		return err
	}
	s.Roles = append(s.Roles, line)
	return nil
}

// metadataFile tells metadata from content by its published name.
func metadataFile(name string) bool { return !strings.HasPrefix(name, targetsDir) }
