package vulns

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/assay-registry/assay/sbom/advisory"
	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// session is an import on its way: a generation that nobody sees until its head commit.
type session struct {
	x        *Matcher
	info     Info
	kind     string
	old      *Database // nil: the first of its name
	now      Database
	removing bool
	count    int  // of records read
	same     bool // nothing differs from what is installed

	state    state
	raw      []byte            // of state
	writes   map[string][]byte // staged values of cells; nil deletes
	links    map[string]bool   // keys of identifiers: true are written, false are looked at when it is settled
	weight   int
	evaluate map[ecosystem.Key]bool // names to be evaluated again
	versions map[uint32]bool        // whose findings differ
	out      delivery
}

// within runs an import from its beginning to its head commit, and tidies up, whatever happens.
func (x *Matcher) within(ctx context.Context, info Info, kind string, read func(context.Context, *session) error) (Delta, error) {
	err := info.check()
	if err == nil && !info.removal {
		err = info.made(x.local.Now())
	}
	if err != nil {
		return Delta{}, err
	}
	x.importing.Lock()
	defer x.importing.Unlock()
	if err := x.settle(ctx); err != nil {
		return Delta{}, err
	}
	s, err := x.begin(ctx, info, kind)
	if err != nil || s.same {
		return s.unchanged(), err
	}
	err = read(ctx, s)
	if err == nil {
		err = s.finish(ctx)
	}
	if errors.Is(err, errMoved) {
		err = store.Errorf(store.CodeConflict, "another import began meanwhile; nothing was changed, try again: %w", err)
	}
	// Whether it came through or not: what readers do not see goes away. A failure here is made good by the next import or start.
	if failed := x.settle(context.WithoutCancel(ctx)); failed != nil {
		x.log.Error("what an import of vulnerabilities left could not be tidied up; it is tried again", "database", info.Name, "error", failed)
	}
	x.Wake()
	if err != nil {
		return Delta{}, err
	}
	return s.delta(ctx)
}

// begin takes a generation for an import.
func (x *Matcher) begin(ctx context.Context, info Info, kind string) (*session, error) {
	s := &session{x: x, info: info, kind: kind, writes: map[string][]byte{}, links: map[string]bool{}, evaluate: map[ecosystem.Key]bool{}, versions: map[uint32]bool{}}
	var before []byte
	taken := map[uint16]bool{}
	if err := x.local.View(ctx, func(snap store.Snapshot) error {
		r := snap.Space(space)
		before = bytes.Clone(r.Get(keyState))
		var err error
		if s.state, err = decodeState(nilIfEmpty(before)); err != nil {
			return err
		}
		all, err := reading{s: r}.databases()
		if err != nil {
			return err
		}
		for i := range all {
			taken[all[i].number] = true
			if all[i].Name == info.Name {
				s.old = &all[i]
			} else if kind != KindOSV && all[i].Kind == kind {
				return store.Errorf(store.CodeConflict, "the database %s of the kind %s is installed, and there is one of that kind; import under its name, or remove it", all[i].Name, kind)
			}
		}
		if s.old == nil && len(all) >= maxDatabases {
			return store.Errorf(store.CodeInvalid, "there are %d databases, which is the limit; remove one", len(all))
		}
		return info.replaces(s.old, kind)
	}); err != nil {
		return s, err
	}
	s.now = Database{Name: info.Name, Kind: kind, Built: info.Built.UTC(), Imported: x.local.Now().UTC(), Digest: info.Digest, Revision: info.Revision, compiler: advisory.Compiler, Ecosystems: map[string]int{}, Sources: info.sources()}
	if s.old != nil {
		if s.same = info.Digest != "" && info.Digest == s.old.Digest && info.Built.Unix() == s.old.Built.Unix() && s.old.compiler == advisory.Compiler; s.same {
			return s, nil
		}
		s.now.number = s.old.number
		for name, n := range s.old.Ecosystems {
			s.now.Ecosystems[name] = n
		}
	} else {
		s.now.number = free(taken)
	}
	s.state.last++
	s.state.stage = s.state.last
	s.raw = s.state.encode()
	return s, x.commit(ctx, guarded{string(keyState): before}, map[string][]byte{string(keyState): s.raw})
}

// free is the lowest number that no database has. Of one that had it, nothing is left: what a removal or a failure leaves is settled before an import begins.
func free(taken map[uint16]bool) uint16 {
	n := uint16(1) // there are at most maxDatabases
	for taken[n] {
		n++
	}
	return n
}

// mark changes the state, and has the commits after it expect that.
func (s *session) mark(ctx context.Context, change func(*state)) error {
	before := s.raw
	change(&s.state)
	s.raw = s.state.encode()
	return s.x.commit(ctx, guarded{string(keyState): before}, map[string][]byte{string(keyState): s.raw})
}

// stage puts a value into a cell of the new generation, soon.
func (s *session) stage(ctx context.Context, key []byte, value []byte) error {
	s.writes[string(key)] = value
	s.weight += len(key) + len(value)
	return s.flushIf(ctx)
}

func (s *session) link(ctx context.Context, key []byte, write bool) error {
	s.links[string(key)] = s.links[string(key)] || write
	s.weight += len(key)
	return s.flushIf(ctx)
}

func (s *session) flushIf(ctx context.Context) error {
	if len(s.writes)+len(s.links) < commitKeys && s.weight < commitBytes {
		return nil
	}
	return s.flush(ctx)
}

// flush commits what is staged, and the record of the journal that names it.
func (s *session) flush(ctx context.Context) error {
	if len(s.writes)+len(s.links) == 0 {
		return nil
	}
	writes, journal := map[string][]byte{}, pack.Writer{}
	journal.Number(uint64(len(s.writes) + len(s.links)))
	if err := s.x.local.View(ctx, func(snap store.Snapshot) error {
		r := snap.Space(space)
		for key, value := range s.writes {
			cell, err := rewritten(r.Get([]byte(key)), s.state.head, s.state.stage, value)
			if err != nil {
				return err
			}
			writes[key] = cell
			journal.Text(key)
		}
		return nil
	}); err != nil {
		return err
	}
	for key, write := range s.links {
		if write {
			writes[key] = []byte{pack.FormPlain}
		}
		journal.Text(key)
	}
	writes[string(sequenceKey('j', s.state.journal))] = journal.Record()
	before := s.raw
	s.state.journal++
	s.raw = s.state.encode()
	writes[string(keyState)] = s.raw
	clear(s.writes)
	clear(s.links)
	s.weight = 0
	return s.x.commit(ctx, guarded{string(keyState): before}, writes)
}

// What one evaluation reads in one snapshot: names, and package versions in all.
const (
	evaluateNames = 512
	versionPage   = 4096
)

// finish evaluates what has to be and moves the head.
func (s *session) finish(ctx context.Context) error {
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.x.writing.Lock()
	defer s.x.writing.Unlock()
	if err := s.mark(ctx, func(st *state) { st.evaluating = true }); err != nil {
		return err
	}
	names := make([]ecosystem.Key, 0, len(s.evaluate))
	for k := range s.evaluate {
		names = append(names, k)
	}
	slices.SortFunc(names, func(a, b ecosystem.Key) int { return strings.Compare(a.Base+"\x00"+a.Name, b.Base+"\x00"+b.Name) })
	s.out.names = len(names)
	e, from := newEvaluator(reading{}), []byte(nil)
	for len(names) > 0 {
		n, rest, err := s.reevaluate(ctx, e, names, from)
		if err != nil {
			return err
		}
		names, from = names[n:], rest
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	return s.publish(ctx)
}

// reevaluate evaluates the first of the names, the very first of them from a key on, as many as fit a snapshot, and stages what was found. It answers how many names are done, and from where the next goes
// on. A name may have any number of versions.
func (s *session) reevaluate(ctx context.Context, e *evaluator, names []ecosystem.Key, from []byte) (n int, rest []byte, err error) {
	staged := stagedFindings{of: map[uint32][]byte{}, max: s.x.page}
	if err := s.x.local.View(ctx, func(snap store.Snapshot) error {
		e.at(reading{snap.Space(space), s.state.stage})
		for n < len(names) && n < evaluateNames && !staged.full() {
			prefix := namePrefix(names[n], 'v')
			if from == nil {
				from = prefix
			}
			page := e.s.Scan(from, upTo(prefix), s.x.page)
			for i, p := range page {
				if staged.full() {
					page = page[:i]
					break
				}
				if len(p.Key) != len(prefix)+4 {
					return pack.Damaged("record of a package version")
				}
				if err := s.version(e, names[n], tail4(p.Key), p.Value, &staged); err != nil {
					return err
				}
				from = append(bytes.Clone(p.Key), 0)
			}
			if len(page) < s.x.page && !staged.full() {
				n, from = n+1, nil
			}
		}
		rest = from
		return nil
	}); err != nil {
		return 0, nil, err
	}
	for id, value := range staged.of {
		if err := s.stage(ctx, versionKey('f', id), value); err != nil {
			return 0, nil, err
		}
	}
	return n, rest, s.flush(ctx) // what is read in the next snapshot is there
}

// stagedFindings are those that one evaluation found to differ, as they are to be.
type stagedFindings struct {
	of         map[uint32][]byte
	seen, size int // versions looked at, bytes
	max        int // versions
}

func (f *stagedFindings) full() bool {
	return len(f.of) >= commitKeys || f.size >= commitBytes || f.seen >= f.max
}

// version evaluates one package version under one of its names.
func (s *session) version(e *evaluator, k ecosystem.Key, id uint32, record []byte, staged *stagedFindings) error {
	staged.seen++
	part, sought, err := decodeSought(k, record)
	if err != nil {
		return err
	}
	cell := e.s.Get(versionKey('f', id))
	before, err := visible(cell, s.state.head)
	if err != nil {
		return err
	}
	now, again := staged.of[id]
	if !again {
		v, err := visible(cell, s.state.stage)
		if err != nil {
			return err
		}
		now = v.bytes
	}
	all, err := e.changed(now, id, part, sought)
	if err != nil {
		return err
	}
	value := encodeMatches(all)
	if bytes.Equal(value, now) {
		return nil
	}
	staged.of[id] = value
	staged.size += len(value)
	if bytes.Equal(value, before.bytes) {
		delete(s.versions, id)
	} else {
		s.versions[id] = true
	}
	return nil
}

// changed is what is found for a package version once one of its names is matched again, where now was found before.
func (e *evaluator) changed(now []byte, id uint32, part int, sought ecosystem.Sought) ([]advisory.Match, error) {
	all, many, err := decodeMatches(now)
	if err != nil {
		return nil, err
	}
	if many { // what is found by the other name was not kept either
		names, _, err := decodeMatched(e.s.Get(versionKey('p', id)))
		if err != nil {
			return nil, err
		}
		return e.findAll(names)
	}
	found, err := e.find(part, sought)
	return replaced(all, byte(part), found), err
}

// publish moves the head: from here on, readers see the new database with its findings.
func (s *session) publish(ctx context.Context) error {
	writes, g := map[string][]byte{}, guarded{string(keyState): s.raw}
	s.out.narrowed, s.out.widened = s.narrows(), s.widens()
	changed := len(s.versions) > 0 || s.out.added+s.out.removed+s.out.changed > 0 || s.removing || s.out.narrowed || s.out.widened
	if err := s.x.local.View(ctx, func(snap store.Snapshot) error {
		raw := bytes.Clone(snap.Space(space).Get(keyCursor))
		g[string(keyCursor)] = raw
		c, err := decodeCursor(nilIfEmpty(raw))
		if err != nil {
			return err
		}
		if changed {
			s.out.database, s.out.generation = s.info.Name, s.state.stage
			s.out.versions = sortedIDs(s.versions)
			d := s.out
			d.put(&c, writes)
			writes[string(keyCursor)] = c.encode()
		}
		return nil
	}); err != nil {
		return err
	}
	after := s.state
	if after.evaluating = false; changed {
		after.head = after.stage
	}
	after.stage = 0
	s.out.generation = after.head
	writes[string(keyState)] = after.encode()
	if writes[string(databaseKey(s.info.Name))] = s.now.encode(); s.removing {
		writes[string(databaseKey(s.info.Name))] = nil
	}
	return s.x.commit(ctx, g, writes)
}

func sortedIDs(m map[uint32]bool) []uint32 {
	list := make([]uint32, 0, len(m))
	for id := range m {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// delta is what the import brought.
func (s *session) delta(ctx context.Context) (out Delta, err error) {
	s.out.database = s.info.Name
	err = s.x.local.View(ctx, func(snap store.Snapshot) error {
		out, err = s.out.delta(snap.Records)
		return err
	})
	return out, err
}

// unchanged is the delta of an import that was not needed.
func (s *session) unchanged() Delta {
	d := delivery{database: s.info.Name, generation: s.state.head}
	out, _ := d.delta(store.Records{})
	return out
}

// touch has the names of an advisory evaluated again.
func (s *session) touch(a *advisory.Known) {
	for _, k := range a.Keys {
		s.evaluate[k.Key] = true
	}
}
