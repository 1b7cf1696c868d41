package vulns

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"

	"github.com/assay-registry/assay/sbom/advisory"
	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// maxHeld is how many bytes one import may hold in memory until all is read: what it changes, once compiled, and the names and ids of it, with what a map takes for each of them.
const maxHeld = 1 << 30

// What maps and lists take beside texts, about: of an advisory that is known by its id, of a name, of what an advisory says about a name.
const (
	holdsID   = 192
	holdsName = 160
	holdsItem = 112
)

// hold accounts for bytes that are held until all is read. A database whose signature is good is not thereby of an honest size.
func (in *intake) hold(n int) error {
	if in.size += n; in.size > in.x.held && !in.removing { // what is there can always go
		return store.Errorf(store.CodeInvalid, "the database %s changes more than is taken in at once, which is %d MiB; import it in parts", in.info.Name, in.x.held>>20)
	}
	return nil
}

// key notes an entry that may differ.
func (in *intake) key(key ecosystem.Released) error {
	if in.keys[key] {
		return nil
	}
	in.keys[key] = true
	return in.hold(len(key.Base) + len(key.Name) + len(key.Release) + holdsName)
}

// Import replaces the database of a name by what a source has. Records whose bytes are installed already cost a sum; of the others, names whose entries differ are
// evaluated again, and readers see the new database with all its findings at once. Cut off at any point it changes nothing. The source is read once, to its end.
// Errors: CodeConflict for a database that is older than the installed one, or while another process imports; CodeInvalid for a source that is malformed, truncated, too
// large, or much smaller than what is installed.
func (x *Matcher) Import(ctx context.Context, info Info, source osv.Source) (Delta, error) {
	return x.within(ctx, info, KindOSV, func(ctx context.Context, s *session) error { return s.records(ctx, source) })
}

// intake is what one import of records learns.
type intake struct {
	*session
	installed map[[16]byte]string                          // sums of the installed records: ids
	seen      map[string]seenRecord                        // by id
	ids       map[string]bool                              // installed
	fresh     map[ecosystem.Released][]advisory.PackedItem // what changed records say
	gone      map[string]bool                              // records whose items in entries are replaced, or go
	keys      map[ecosystem.Released]bool                  // entries that may differ
	lent      map[string]bool                              // CVEs with a severity that may differ
	told      []string
	size      int
}

type seenRecord struct {
	sum      [16]byte
	modified int64
}

// records takes in a database of advisories.
func (s *session) records(ctx context.Context, source osv.Source) error {
	in := &intake{session: s, installed: map[[16]byte]string{}, seen: map[string]seenRecord{}, ids: map[string]bool{}, fresh: map[ecosystem.Released][]advisory.PackedItem{},
		gone: map[string]bool{}, keys: map[ecosystem.Released]bool{}, lent: map[string]bool{}}
	if s.old != nil {
		if err := in.load(ctx); err != nil {
			return err
		}
	}
	for {
		e, err := source.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = in.take(ctx, e)
		}
		if err != nil {
			return err
		}
	}
	if err := s.info.whole(in.count, source.Whole(), s.old); err != nil && !s.removing {
		return err
	}
	if err := in.leave(ctx); err != nil {
		return err
	}
	s.now.Advisories = len(in.seen)
	slices.Sort(in.told)
	s.out.ids = in.told[:min(len(in.told), maxIDsTold)]
	if err := in.entries(ctx); err != nil {
		return err
	}
	return in.borrowers(ctx)
}

// load reads the sums of what is installed.
func (in *intake) load(ctx context.Context) error {
	const page = 10_000
	prefix := advisoryKey(in.old.number, "")
	for from := prefix; from != nil; {
		if err := in.x.local.View(ctx, func(snap store.Snapshot) error {
			r := reading{snap.Space(space), in.state.head}
			list := r.s.Scan(from, upTo(prefix), page)
			for _, p := range list {
				v, err := visible(p.Value, r.generation)
				if err != nil {
					return err
				}
				if v.bytes == nil {
					continue
				}
				id := string(p.Key[len(prefix):])
				a, err := advisory.DecodeKnown(id, v.bytes)
				if err != nil {
					return err
				}
				in.ids[id] = true
				if err := in.hold(len(id) + holdsID); err != nil {
					return err
				}
				if in.old.compiler == advisory.Compiler {
					in.installed[a.Raw] = id
				}
			}
			if from = nil; len(list) == page {
				from = append(list[page-1].Key, 0)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// take reads one record.
func (in *intake) take(ctx context.Context, e osv.Entry) error {
	if in.count++; in.count > osv.MaxRecords {
		return store.Errorf(store.CodeInvalid, "the database %s has more than %d records; import it in parts", in.info.Name, osv.MaxRecords)
	}
	sum := sha256.Sum256(e.JSON)
	raw := [16]byte(sum[:])
	if id, ok := in.installed[raw]; ok {
		if _, again := in.seen[id]; !again {
			in.seen[id] = seenRecord{raw, 0}
			return nil
		}
	}
	a, err := osv.ParseAdvisory(e.JSON)
	if err != nil {
		return store.Errorf(store.CodeInvalid, "%s of the database %s cannot be taken in, and nothing was changed: %w", osv.Legible(e.Name, 200), in.info.Name, err)
	}
	if last, again := in.seen[a.ID]; again {
		if last.modified == 0 { // it is the installed one
			before, err := in.installedAdvisory(ctx, a.ID)
			if err != nil {
				return err
			}
			last.modified = before.Modified.Unix()
		}
		if last.sum == raw || last.modified > a.Modified.Unix() {
			return nil // several zips may hold the same record; the one that was changed last counts
		}
	} else if err := in.hold(len(a.ID) + holdsID); err != nil {
		return err
	}
	in.seen[a.ID] = seenRecord{raw, max(a.Modified.Unix(), 1)}
	return in.change(ctx, a, e.JSON)
}

// change takes in a record that is new, or not as it was.
func (in *intake) change(ctx context.Context, a *osv.Advisory, raw []byte) error {
	now, items := advisory.Compile(a, raw)
	var before *advisory.Known
	if in.ids[a.ID] {
		var err error
		if before, err = in.installedAdvisory(ctx, a.ID); err != nil {
			return err
		}
	}
	if !in.gone[a.ID] {
		in.gone[a.ID] = true
		if in.tell(a.ID); before == nil {
			in.out.added++
		} else {
			in.out.changed++
		}
	}
	for key, i := range items {
		w := pack.Writer{B: make([]byte, 0, 96)}
		i.Encode(&w)
		in.fresh[key] = append(in.fresh[key], advisory.PackedItem{ID: a.ID, Bytes: w.B, Of: now.Raw})
		if err := in.key(key); err != nil {
			return err
		}
		if err := in.hold(len(w.B) + holdsItem); err != nil {
			return err
		}
	}
	if err := in.replace(ctx, before, now); err != nil {
		return err
	}
	return in.stage(ctx, advisoryKey(in.now.number, a.ID), now.Encode())
}

func (in *intake) tell(id string) {
	if in.told = append(in.told, id); len(in.told) >= 64*maxIDsTold {
		slices.Sort(in.told)
		in.told = in.told[:maxIDsTold]
	}
}

func (in *intake) installedAdvisory(ctx context.Context, id string) (a *advisory.Known, err error) {
	err = in.x.local.View(ctx, func(snap store.Snapshot) error {
		a, err = reading{snap.Space(space), in.state.head}.advisory(advisory.ID{DB: in.now.number, ID: id})
		return err
	})
	return a, err
}

// replace notes what an advisory leaves behind and what it brings, beside items: identifiers, entries, severities that others borrow. Either may be nil.
func (in *intake) replace(ctx context.Context, before, now *advisory.Known) error {
	for _, a := range [...]*advisory.Known{before, now} {
		if a == nil {
			continue
		}
		for _, name := range a.Identifiers() {
			if err := in.link(ctx, linkKey(name, in.now.number, a.ID), a == now); err != nil {
				return err
			}
		}
		if len(a.CVEs) == 1 && (before == nil || now == nil || before.Lends() != now.Lends() || before.CVEs[0] != now.CVEs[0]) {
			in.lent[a.CVEs[0]] = true
			if err := in.hold(len(a.CVEs[0]) + holdsName); err != nil {
				return err
			}
		}
	}
	if before != nil {
		for _, key := range before.Keys {
			if err := in.key(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave takes out the records that the source has no more.
func (in *intake) leave(ctx context.Context) error {
	var list []string
	for id := range in.ids {
		if _, ok := in.seen[id]; !ok {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	for _, id := range list {
		before, err := in.installedAdvisory(ctx, id)
		if err != nil {
			return err
		}
		in.gone[id] = true
		in.out.removed++
		in.tell(id)
		if before == nil {
			continue
		}
		if err := in.replace(ctx, before, nil); err != nil {
			return err
		}
		if err := in.stage(ctx, advisoryKey(in.now.number, id), nil); err != nil {
			return err
		}
	}
	return nil
}

// entries writes the entries that differ, and has their names evaluated again.
func (in *intake) entries(ctx context.Context) error {
	keys := make([]ecosystem.Released, 0, len(in.keys))
	for key := range in.keys {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, advisory.CompareKeys)
	for page := range slices.Chunk(keys, 512) {
		values := make([][]byte, len(page))
		if err := in.x.local.View(ctx, func(snap store.Snapshot) error {
			r := reading{snap.Space(space), in.state.head}
			for n, key := range page {
				old, err := r.get(entryOf(key, in.now.number))
				if err == nil {
					values[n], err = in.entry(key, old)
				}
				if err != nil {
					return err
				}
				if bytes.Equal(values[n], old) {
					values[n] = unchangedEntry
				}
			}
			return nil
		}); err != nil {
			return err
		}
		for n, key := range page {
			if len(values[n]) == 1 { // no entry is so short
				continue
			}
			in.evaluate[key.Key] = true
			if err := in.stage(ctx, entryOf(key, in.now.number), values[n]); err != nil {
				return err
			}
		}
	}
	return nil
}

var unchangedEntry = []byte{0}

// entry is the new entry of a name: what unchanged records said, and what changed ones say.
func (in *intake) entry(key ecosystem.Released, old []byte) ([]byte, error) {
	// Of a record that a later one of the same id replaced, nothing stands.
	list := slices.DeleteFunc(slices.Clone(in.fresh[key]), func(p advisory.PackedItem) bool { return p.Of != in.seen[p.ID].sum })
	before, bad := 0, false
	if err := advisory.EachItem(old, func(b []byte) {
		r := pack.Reader{B: b}
		id := r.Text()
		bad = bad || r.Bad
		if before++; !in.gone[id] {
			list = append(list, advisory.PackedItem{ID: id, Bytes: b})
		}
	}); err != nil || bad {
		return nil, pack.Damaged("entry of a name")
	}
	name := key.Base
	if key.Release != ecosystem.AnyRelease {
		name += ":" + key.Release
	}
	if n := in.now.Ecosystems[name] + len(list) - before; n > 0 {
		in.now.Ecosystems[name] = n
	} else {
		delete(in.now.Ecosystems, name)
	}
	if len(in.now.Ecosystems) > maxEcosystems {
		return nil, store.Errorf(store.CodeInvalid, "the database %s speaks of more than %d ecosystems and releases", in.info.Name, maxEcosystems)
	}
	return advisory.EncodeEntry(list), nil
}

// borrowers has names evaluated again whose advisories borrow a severity that may differ.
func (in *intake) borrowers(ctx context.Context) error {
	if err := in.flush(ctx); err != nil {
		return err
	}
	for page := range slices.Chunk(sortedKeys(in.lent), 1024) {
		if err := in.x.local.View(ctx, func(snap store.Snapshot) error {
			r := reading{snap.Space(space), in.state.stage}
			for _, cve := range page {
				_, list, err := r.linked(cve)
				if err != nil {
					return err
				}
				for _, a := range list {
					if a.Severity == osv.Unknown {
						in.touch(a)
					}
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// Reset empties the space: databases, findings, deltas that nobody took. The way out of damage; the databases are imported again afterwards.
func (x *Matcher) Reset(ctx context.Context) error {
	for _, lock := range [...]interface{ Lock() }{&x.importing, &x.writing, &x.telling} {
		lock.Lock()
	}
	defer x.importing.Unlock()
	defer x.writing.Unlock()
	defer x.telling.Unlock()
	const page = 5000
	fresh := state{}
	for from := []byte{0}; from != nil; {
		writes := map[string][]byte{}
		if err := x.local.View(ctx, func(snap store.Snapshot) error {
			s := snap.Space(space)
			if st, err := decodeState(s.Get(keyState)); err == nil { // generations are not given twice
				fresh = state{head: st.last, last: st.last, journal: st.journal}
			}
			list := s.Scan(from, nil, page)
			for _, p := range list {
				writes[string(p.Key)] = nil
			}
			if from = nil; len(list) == page {
				from = append(list[page-1].Key, 0)
			}
			return nil
		}); err != nil {
			return err
		}
		writes[string(keyState)] = fresh.encode()
		if err := x.commit(ctx, nil, writes); err != nil {
			return err
		}
	}
	return nil
}
