package vulns

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// Info says what a database is that is imported.
type Info struct {
	Name      string       // under which it replaces an earlier one: lower-case letters, digits, ".", "_", "-", at most 64
	Built     time.Time    // when its maker made it; by it, an older one is known
	Digest    store.Digest // of its file or manifest; empty where there is none. The same one again is not read
	Revision  string       // the maker's own, at most 128 characters
	Count     int          // records that it has; 0 where nobody said. See Source.Whole
	MayShrink bool         // it may have less than half of the records of the installed one, or none
	Sources   []Source     // what it was made of, each with its own time; none: Built holds for all of it

	removal bool // of what is installed
}

// Source is a file that a database was made of. What it says is as old as it is, however young the others are.
type Source struct {
	Name       string    `json:"name"`
	Built      time.Time `json:"built"`
	Ecosystems []string  `json:"-"` // that it speaks of, as [Speaks] names them
}

const maxSources = 256

// The kinds of databases.
const (
	KindOSV  = "osv"
	KindEPSS = "epss"
	KindKEV  = "kev"
)

// Database is an installed one.
type Database struct {
	Name       string         `json:"name"`
	Kind       string         `json:"kind"` // osv, epss, kev
	Built      time.Time      `json:"built"`
	Imported   time.Time      `json:"imported"`
	Digest     store.Digest   `json:"digest,omitempty"`
	Revision   string         `json:"revision,omitempty"`
	Advisories int            `json:"advisories"`           // or entries
	Ecosystems map[string]int `json:"ecosystems,omitempty"` // what it says how much about: "npm", "Debian:12"
	Sources    []Source       `json:"sources,omitempty"`    // where it was made of several

	number   uint16
	compiler uint64
}

const (
	maxDatabases  = 1024
	maxEcosystems = 4096
	maxRevision   = 128
)

var databasePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func (i *Info) check() error {
	switch {
	case !databasePattern.MatchString(i.Name):
		return store.Errorf(store.CodeInvalid, "%.80q is no name of a database: up to 64 lower-case letters, digits, '.', '_' and '-'", i.Name)
	case i.Built.IsZero() || i.Built.Year() < 1990 || i.Built.Year() > 9999:
		return store.Errorf(store.CodeInvalid, "the database %s does not say when it was made; give the time, by which an older one is known", i.Name)
	case len(i.Revision) > maxRevision || strings.ContainsFunc(i.Revision, osv.Misleads):
		return store.Errorf(store.CodeInvalid, "the revision of %s is not one line of at most %d characters", i.Name, maxRevision)
	case i.Count < 0 || i.Count > osv.MaxRecords:
		return store.Errorf(store.CodeInvalid, "%s has %d records; at most %d make a database: import it in parts", i.Name, i.Count, osv.MaxRecords)
	case len(i.Sources) > maxSources:
		return store.Errorf(store.CodeInvalid, "%s was made of %d files; at most %d are taken", i.Name, len(i.Sources), maxSources)
	}
	for _, s := range i.Sources {
		if len(s.Ecosystems) > maxEcosystems {
			return store.Errorf(store.CodeInvalid, "a file of %s speaks of more than %d ecosystems and releases", i.Name, maxEcosystems)
		}
	}
	return nil
}

// maxAhead is how far the clock of who made a database may be ahead of this one's.
const maxAhead = 24 * time.Hour

// made refuses a time of the future: such a database would look young for ever, and no other could follow it.
func (i *Info) made(now time.Time) error {
	if i.Built.After(now.Add(maxAhead)) {
		return store.Errorf(store.CodeInvalid, "the database %s was made at %s, which is in the future; correct its time, or this machine's clock, which says %s",
			i.Name, i.Built.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

func (d *Database) encode() []byte {
	w := pack.Writer{}
	for _, s := range [...]string{d.Kind, string(d.Digest), d.Revision} {
		w.Text(s)
	}
	w.Instant(d.Built)
	w.Instant(d.Imported)
	for _, n := range [...]uint64{uint64(d.Advisories), uint64(d.number), d.compiler, uint64(len(d.Ecosystems))} {
		w.Number(n)
	}
	for _, name := range sortedKeys(d.Ecosystems) {
		w.Text(name)
		w.Number(uint64(d.Ecosystems[name]))
	}
	w.Number(uint64(len(d.Sources)))
	for _, s := range d.Sources {
		w.Text(s.Name)
		w.Instant(s.Built)
		w.Texts(s.Ecosystems)
	}
	return w.Record()
}

func decodeDatabase(name string, b []byte) (*Database, error) {
	r, d := pack.Open(b), &Database{Name: name}
	d.Kind, d.Digest, d.Revision = r.Text(), store.Digest(r.Text()), r.Text()
	d.Built, d.Imported = r.Instant(), r.Instant()
	d.Advisories = int(r.Small())
	number := r.Number()
	d.number, d.compiler = uint16(number), r.Number()
	n := r.Count()
	d.Ecosystems = make(map[string]int, n)
	for range n {
		name := r.Text()
		d.Ecosystems[name] = int(r.Small())
	}
	if len(r.B) > 0 { // older records have none
		for range r.Count() {
			d.Sources = append(d.Sources, Source{r.Text(), r.Instant(), r.Texts()})
		}
	}
	if !r.Done() || number > 1<<16-1 {
		return nil, pack.Damaged("record of a database")
	}
	return d, nil
}

func sortedKeys[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func databaseKey(name string) []byte { return append([]byte{'b'}, name...) }

// databases lists what is installed, by name.
func (r reading) databases() ([]Database, error) {
	var list []Database
	for _, p := range r.s.Scan([]byte("b"), []byte("c"), maxDatabases) {
		d, err := decodeDatabase(string(p.Key[1:]), p.Value)
		if err != nil {
			return nil, err
		}
		list = append(list, *d)
	}
	return list, nil
}

// replaces checks that an import may take the place of what is installed under its name.
func (i *Info) replaces(old *Database, kind string) error {
	switch {
	case old == nil:
		return nil
	case old.Kind != kind:
		return store.Errorf(store.CodeConflict, "the database %s is of the kind %s and not %s; choose another name", i.Name, old.Kind, kind)
	case i.Built.Unix() < old.Built.Unix(): // as kept
		return store.Errorf(store.CodeConflict, "the database %s was made at %s, which is older than the installed one of %s; remove that first if you want to go back",
			i.Name, i.Built.UTC().Format(time.RFC3339), old.Built.Format(time.RFC3339))
	}
	return nil
}

// whole checks that nothing is missing of what was read.
func (i *Info) whole(count int, proven bool, old *Database) error {
	switch {
	case i.Count > 0 && count != i.Count:
		return store.Errorf(store.CodeInvalid, "the database %s has %d records where %d were announced, so it is truncated or not the one that is meant; fetch it again", i.Name, count, i.Count)
	case i.Count == 0 && !proven:
		return store.Errorf(store.CodeInvalid, "nothing proves that the database %s is complete; say how many records it has, or pack it with gzip or zstd, as one file and not several joined", i.Name)
	case i.MayShrink:
		return nil
	case count == 0:
		return store.Errorf(store.CodeInvalid, "the database %s has no records, which would declare everything free of what it knew; remove it if that is what you want", i.Name)
	case old != nil && 2*count < old.Advisories:
		return store.Errorf(store.CodeInvalid, "the database %s has %d records where the installed one has %d; if it may shrink so much, say so", i.Name, count, old.Advisories)
	}
	return nil
}

// Remove takes a database away, of whichever kind. Errors: CodeNotFound.
func (x *Matcher) Remove(ctx context.Context, name string) (Delta, error) {
	var kind string
	if err := x.local.View(ctx, func(s store.Snapshot) error {
		b := s.Space(space).Get(databaseKey(name))
		if b == nil {
			return store.Errorf(store.CodeNotFound, "there is no database %.80q", name)
		}
		d, err := decodeDatabase(name, b)
		if err == nil {
			kind = d.Kind
		}
		return err
	}); err != nil {
		return Delta{}, err
	}
	return x.within(ctx, Info{Name: name, Built: time.Unix(1<<33, 0), MayShrink: true, removal: true}, kind, func(ctx context.Context, s *session) error {
		s.removing = true
		if kind != KindOSV {
			return s.pages(ctx, nil)
		}
		return s.records(ctx, osv.Join())
	})
}
