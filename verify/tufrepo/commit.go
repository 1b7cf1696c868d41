package tufrepo

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Commit moves the staged versions that have their signatures to metadata/ and makes a new timestamp, and a new snapshot where something changed or half of its time is
// over, signed with what keys hands out for the two roles. Where signatures are missing it does nothing, unless leave says that those versions may wait, and what
// remains is consistent without them. It returns the roles that have a new version. Errors: CodeInvalid with what is missing.
func (r *Repository) Commit(keys func(role string) ([]*Key, error), leave bool) ([]string, error) {
	if !r.consistent {
		_, err := r.edit(Root)
		return nil, err
	}
	next := maps.Clone(r.committed)
	var changed []*document
	for _, role := range r.Staged() {
		switch d := r.staged[role]; {
		case r.met(d):
			next[role] = d
			changed = append(changed, d)
		case !leave:
			return nil, r.waits(d)
		}
	}
	doc := func(role string) *document { return next[role] }
	if err := r.checkRoles(doc); err != nil {
		return nil, err
	}
	snapshot, err := r.snapshot(doc)
	if err != nil {
		return nil, err
	}
	if snapshot != nil {
		if err := r.signOnline(snapshot, doc(Root), keys); err != nil {
			return nil, err
		}
		next[Snapshot] = snapshot
		changed = append(changed, snapshot)
	}
	timestamp := r.timestamp(next[Snapshot])
	if err := r.signOnline(timestamp, doc(Root), keys); err != nil {
		return nil, err
	}
	changed = append(changed, timestamp)
	return r.write(changed)
}

// waits is the error for a staged role that lacks signatures.
func (r *Repository) waits(d *document) error {
	list, err := r.needs(d, r.doc)
	if err != nil {
		return err
	}
	for _, n := range list {
		if !n.Met() {
			return invalid("%s; sign it with assay tuf sign, or let it wait with --leave-staged", n)
		}
	}
	return nil
}

// checkRoles holds root, targets and every delegated role against who delegates to it, and against the clock.
func (r *Repository) checkRoles(doc func(string) *document) error {
	root := doc(Root)
	if root == nil {
		return invalid("root has no version with all its signatures yet; sign it with assay tuf sign DIR root")
	}
	by, err := r.delegators(root, doc)
	if err != nil {
		return err
	}
	for _, p := range by {
		if err := verified(p, root); err != nil {
			return err
		}
	}
	if err := r.alive(root); err != nil {
		return err
	}
	all, err := links(doc)
	if err != nil {
		return err
	}
	for _, l := range all {
		d := doc(l.role)
		if d == nil {
			return invalid("the role %s, to which %s delegates, has no version with all its signatures yet; sign it with assay tuf sign", l.role, l.parent)
		}
		if err := verified(doc(l.parent), d); err != nil {
			return err
		}
		if err := r.alive(d); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) alive(d *document) error {
	if r.now().Before(d.expires()) {
		return nil
	}
	remedy := "assay tuf refresh --renew " + d.role
	if d.role == Snapshot || d.role == Timestamp {
		remedy = "assay tuf refresh"
	}
	return invalid("%s %d expired on %s, and no client takes it; renew it with %s", d.role, d.version(), stamp(d.expires()), remedy)
}

func describe(d *document) (int64, metadata.Hashes) {
	sum := sha256.Sum256(d.raw)
	return int64(len(d.raw)), metadata.Hashes{"sha256": sum[:]}
}

// snapshot makes the next one, or nil where the last still serves. What an earlier one named stays named: clients take a missing name for an attack.
func (r *Repository) snapshot(doc func(string) *document) (*document, error) {
	old := r.committed[Snapshot]
	meta := map[string]*metadata.MetaFiles{}
	if old != nil {
		maps.Copy(meta, old.snapshot.Signed.Meta)
	}
	all, err := links(doc)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		d := doc(l.role)
		m := &metadata.MetaFiles{Version: d.version()}
		m.Length, m.Hashes = describe(d)
		if o := meta[l.role+".json"]; o != nil && o.Version > m.Version {
			return nil, conflict("%s would go back from version %d to %d, which clients take for an attack", l.role, o.Version, m.Version)
		}
		meta[l.role+".json"] = m
	}
	if old != nil {
		same := maps.EqualFunc(meta, old.snapshot.Signed.Meta, func(a, b *metadata.MetaFiles) bool {
			return a.Version == b.Version && a.Length == b.Length && maps.EqualFunc(a.Hashes, b.Hashes, func(x, y metadata.HexBytes) bool { return bytes.Equal(x, y) })
		})
		if same && old.expires().Sub(r.now()) > r.period(Snapshot)/2 && verified(doc(Root), old) == nil {
			return nil, nil
		}
	}
	d := &document{role: Snapshot, snapshot: metadata.Snapshot(r.deadline(Snapshot))}
	d.snapshot.Signed.Meta, d.snapshot.Signed.Version = meta, 1
	if old != nil {
		d.snapshot.Signed.Version = old.version() + 1
	} else if t := r.committed[Timestamp]; t != nil {
		d.snapshot.Signed.Version = t.timestamp.Signed.Meta[plain(Snapshot)].Version + 1 // its file is lost, its number is not
	}
	return d, nil
}

// timestamp makes the next one. The snapshot's bytes are final.
func (r *Repository) timestamp(snapshot *document) *document {
	d := &document{role: Timestamp, timestamp: metadata.Timestamp(r.deadline(Timestamp))}
	m := &metadata.MetaFiles{Version: snapshot.version()}
	m.Length, m.Hashes = describe(snapshot)
	d.timestamp.Signed.Meta, d.timestamp.Signed.Version = map[string]*metadata.MetaFiles{plain(Snapshot): m}, 1
	if old := r.committed[Timestamp]; old != nil {
		d.timestamp.Signed.Version = old.version() + 1
	}
	return d
}

// signOnline signs with every key at hand that the role has.
func (r *Repository) signOnline(d, root *document, keys func(string) ([]*Key, error)) error {
	have, err := keys(d.role)
	if err != nil {
		return err
	}
	au, _ := root.authorityOf(d.role)
	payload, err := d.payload()
	if err != nil {
		return err
	}
	for _, k := range have {
		for _, id := range au.ids {
			if print, err := fingerprint(au.keys[id]); err != nil || print != k.print || k.Sign == nil {
				continue
			}
			sig, err := k.Sign(payload)
			if err != nil {
				return err
			}
			put(d.head().signatures, metadata.Signature{KeyID: id, Signature: sig})
		}
	}
	if err := d.encode(); err != nil {
		return err
	}
	if n := need(root, Root, d); !n.Met() {
		return invalid("%s; name the file of its private key with --key", n)
	}
	return verified(root, d)
}

// write makes changed documents the committed ones. The timestamp is last: until it is there, the previous state is the committed one, but for root, which
// stands on its own.
func (r *Repository) write(changed []*document) ([]string, error) {
	var roles []string
	for _, d := range changed {
		if err := r.dir.Write(r.folder+d.name(), d.raw); err != nil {
			return nil, err
		}
		roles = append(roles, fmt.Sprintf("%s %d", d.role, d.version()))
	}
	previous := r.committed[Snapshot]
	for _, d := range changed {
		if d.role == Root {
			r.roots = append(r.roots, d)
		}
		r.committed[d.role] = d
		if r.staged[d.role] == nil {
			continue
		}
		delete(r.staged, d.role)
		if err := r.dir.Remove(stagedDir + plain(d.role)); err != nil {
			return nil, err
		}
	}
	if previous == nil || previous == r.committed[Snapshot] {
		return roles, nil
	}
	// A client in the middle of a refresh may still ask for the previous snapshot, nobody for the one before it.
	if err := r.dir.Remove(r.folder + versioned(Snapshot, previous.version()-1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return roles, nil
}

// Ready says why a repository would not be accepted by clients: roots that do not follow each other, missing signatures, expired or missing metadata, a snapshot or
// timestamp that does not fit. Staged versions do not count. Errors: CodeInvalid.
func (r *Repository) Ready() error {
	if len(r.roots) == 0 {
		return invalid("nothing is committed yet; sign what is staged and run assay tuf refresh")
	}
	for i, d := range r.roots {
		if i > 0 && d.version() != r.roots[i-1].version()+1 {
			return invalid("root %d is missing, and clients do not skip a version", r.roots[i-1].version()+1)
		}
		for _, p := range r.roots[max(i-1, 0) : i+1] {
			if err := verified(p, d); err != nil {
				return err
			}
		}
	}
	if err := r.checkRoles(r.fromCommitted); err != nil {
		return err
	}
	for _, role := range []string{Snapshot, Timestamp} {
		d := r.committed[role]
		if d == nil {
			return invalid("there is no %s yet; make one with assay tuf refresh", role)
		}
		if err := verified(r.committed[Root], d); err != nil {
			return err
		}
		if err := r.alive(d); err != nil {
			return err
		}
	}
	return r.fits()
}

// fits holds the metadata against the versions, lengths and hashes in snapshot and timestamp.
func (r *Repository) fits() error {
	snapshot := r.committed[Snapshot]
	list := []struct {
		meta *metadata.MetaFiles
		d    *document
	}{{r.committed[Timestamp].timestamp.Signed.Meta[plain(Snapshot)], snapshot}}
	all, err := links(r.fromCommitted)
	if err != nil {
		return err
	}
	for _, l := range all {
		meta := snapshot.snapshot.Signed.Meta[l.role+".json"]
		if meta == nil {
			return invalid("the snapshot does not name %s; run assay tuf refresh", l.role)
		}
		list = append(list, struct {
			meta *metadata.MetaFiles
			d    *document
		}{meta, r.committed[l.role]})
	}
	for _, e := range list {
		if e.meta.Version != e.d.version() || guarded(func() error { return e.meta.VerifyLengthHashes(e.d.raw) }) != nil {
			return invalid("%s is not what snapshot and timestamp say (version %d of another content); restore it, or run assay tuf refresh", strings.TrimSuffix(e.d.name(), ".json"), e.meta.Version)
		}
	}
	return nil
}

// Pending reports whether a commit would change anything but the timestamp's number: something is staged with all its signatures, or nothing was committed yet.
func (r *Repository) Pending() bool {
	return r.committed[Timestamp] == nil || slices.ContainsFunc(r.Staged(), func(role string) bool { return r.met(r.staged[role]) })
}
