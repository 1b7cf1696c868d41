package vulns

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// Summary is what decisions read of a report. It is kept with the image, so that a decision costs the same whatever the image contains; what it costs to find out is paid when something
// changes.
type Summary struct {
	Coverage
	Advised bool           // a database of advisories is installed
	DBTime  time.Time      // see Report.DBTime
	Counts  map[string]int // findings by the names of severities; all are there
	Fixable map[string]int // those of them that a version fixes
	Total   int            // of findings
	Worst   []Known        // the first MaxWorst findings in the order of Worst
}

// Known is a finding as policies and statements read it.
type Known struct {
	ID        string
	Aliases   []string
	Severity  osv.Severity
	Uncertain bool // the state is unknown
	Exploited bool // KEV has it
	Published time.Time
	Fixed     string                // versions, divided by ", "
	Package   *index.PackageVersion // without distribution and licences; not to be changed, for it is that of other findings too
}

// KnownOf is what is kept of a finding.
func KnownOf(f *finding.Finding) Known {
	p := index.PackageVersion{Name: f.Package.Name, PURL: f.Package.PURL, Version: f.Package.Version, Type: f.Package.Type, Source: f.Package.Source, SourceVersion: f.Package.SourceVersion}
	return Known{ID: f.ID, Aliases: f.Aliases, Severity: f.Severity, Uncertain: f.State == finding.StateUnknown, Exploited: f.KEV != nil, Published: f.Published, Fixed: strings.Join(f.Fixed, ", "), Package: &p}
}

// Finding is as much of the finding as statements are compared with.
func (k *Known) Finding() finding.Finding {
	return finding.Finding{ID: k.ID, Aliases: k.Aliases, Severity: k.Severity, Published: k.Published, Package: *k.Package}
}

// MaxWorst is how many findings a summary names.
const MaxWorst = 100

// Worst orders findings as decisions name them: severity, id, name of the package.
func Worst(list []finding.Finding) {
	slices.SortStableFunc(list, func(f, g finding.Finding) int {
		return cmp.Or(int(g.Severity)-int(f.Severity), strings.Compare(f.ID, g.ID), strings.Compare(f.Package.Name, g.Package.Name))
	})
}

// Summarize reads what decisions rest on, as it is kept or, where something may have changed since, as it is found out and kept now; nil means that the image has no inventory. Errors: ErrTooMany,
// ErrWaits.
func Summarize(tx *store.Txn, image store.Item) (*Summary, error) {
	now, err := readStanding(tx.Records, image)
	if err != nil || now.stamp == "" {
		return nil, err
	}
	databases, err := now.databases()
	if err != nil {
		return nil, err
	}
	if k, err := decodeKept(now.s.Get(keptKey(image))); err == nil && k != nil && now.holds(k) { // a damaged one is found out again
		return k.summary(databases)
	}
	_, k, err := renew(tx, image, now)
	if err != nil || k == nil {
		return nil, err
	}
	return k.summary(databases)
}

// Renew finds out what is known of an image, without EPSS, and keeps what decisions read of it; nil means that it has no inventory. Errors: ErrTooMany, ErrWaits.
func Renew(tx *store.Txn, image store.Item) (*Report, error) {
	now, err := readStanding(tx.Records, image)
	if err != nil {
		return nil, err
	}
	report, k, err := renew(tx, image, now)
	if err == nil && k != nil {
		err = k.reason.err()
	}
	return report, err
}

// Forget takes away what is kept for an image.
func Forget(tx *store.Txn, image store.Item) { tx.Space(space).Delete(keptKey(image)) }

func renew(tx *store.Txn, image store.Item, now standing) (*Report, *kept, error) {
	report, err := Unscored(tx.Records, image)
	k := &kept{stamp: now.stamp, generation: now.generation, matched: now.cursor.matched, reason: reasonOf(err)}
	if err != nil && k.reason == reasonNone {
		return nil, nil, err
	}
	s := tx.Space(space)
	if report == nil && k.reason == reasonNone {
		s.Delete(keptKey(image))
		return nil, nil, nil
	}
	if report != nil {
		k.take(report)
		k.complete = report.Pending == 0 && !now.queued
	}
	switch b := k.encode(); {
	case len(b) > maxKept:
		s.Delete(keptKey(image))
	case !bytes.Equal(b, s.Get(keptKey(image))):
		s.Put(keptKey(image), b)
	}
	return report, k, nil
}

// standing is all that tells whether what is kept for an image is still true.
type standing struct {
	reading
	cursor cursor
	stamp  string // of the inventory
	queued bool   // it has no numbers yet
}

func readStanding(r store.Records, image store.Item) (n standing, err error) {
	if n.reading, err = readHead(r); err != nil {
		return n, err
	}
	if n.stamp, n.queued, err = index.Stamp(r, image); err != nil {
		return n, err
	}
	n.cursor, err = readCursor(r)
	return n, err
}

// holds reports whether what is kept is what finding it out now would give: of the same inventory, and by databases that found the same. What an import changes it tells (see Delta), and who is
// told has it found out again: once it was told, what is kept of package versions that are all matched is of the newest databases. Of others imports do not tell.
func (n *standing) holds(k *kept) bool {
	switch {
	case k.stamp != n.stamp:
		return false
	case k.complete:
		return k.generation == n.generation || n.told()
	}
	return k.generation == n.generation && (k.reason != reasonWaits || k.matched == n.cursor.matched)
}

// told reports whether the listener took what every import changed.
func (n *standing) told() bool {
	return n.cursor.imports == 0 || len(n.s.Scan([]byte("d"), sequenceKey('d', n.cursor.imports), 1)) == 0
}

// kept is a summary as it is kept. It says nothing of databases: what they speak of and how old they are changes with each import, and is read with it.
type kept struct {
	stamp      string
	generation uint64 // of the databases that it was made with
	matched    uint32 // how far matching was
	complete   bool   // each package version was matched
	reason     reason // why there is nothing else
	classes    map[string]int
	counts     [2][len(osv.SeverityNames)]int // findings, and those that a version fixes
	worst      []Known
}

// reason is why there is no report.
type reason byte

const (
	reasonNone reason = iota
	reasonTooMany
	reasonWaits
)

func reasonOf(err error) reason {
	switch err {
	case ErrTooMany:
		return reasonTooMany
	case ErrWaits:
		return reasonWaits
	}
	return reasonNone
}

func (r reason) err() error { return [...]error{nil, ErrTooMany, ErrWaits}[r] }

// take reads a report.
func (k *kept) take(r *Report) {
	k.classes = r.classes
	for i := range r.Findings {
		f := &r.Findings[i]
		k.counts[0][f.Severity]++
		k.counts[1][f.Severity] += side(len(f.Fixed) > 0)
	}
	list := slices.Clone(r.Findings)
	Worst(list)
	for i := range list[:min(len(list), MaxWorst)] {
		k.worst = append(k.worst, KnownOf(&list[i]))
	}
}

func (k *kept) summary(databases []Database) (*Summary, error) {
	if err := k.reason.err(); err != nil {
		return nil, err
	}
	r := Report{Databases: databases, classes: k.classes}
	r.cover()
	s := &Summary{Coverage: r.Coverage, DBTime: r.DBTime(), Counts: map[string]int{}, Fixable: map[string]int{}, Worst: k.worst}
	s.Advised = slices.ContainsFunc(databases, func(d Database) bool { return d.Kind == KindOSV })
	for n, name := range osv.SeverityNames {
		s.Counts[name], s.Fixable[name] = k.counts[0][n], k.counts[1][n]
		s.Total += k.counts[0][n]
	}
	return s, nil
}

const (
	keptForm = 1       // is raised whenever what a report says of the same records becomes something else
	maxKept  = 1 << 18 // bytes beyond which a summary is not kept
)

func keptKey(image store.Item) []byte {
	return append(append(append([]byte{'i'}, image.Repository...), 0), image.Digest...)
}

func (k *kept) encode() []byte {
	w := pack.Writer{B: make([]byte, 0, 512)}
	for _, n := range [...]uint64{keptForm, rules, k.generation, uint64(k.matched), uint64(side(k.complete)), uint64(k.reason)} {
		w.Number(n)
	}
	w.Text(k.stamp)
	w.Number(uint64(len(k.classes)))
	for _, class := range sortedKeys(k.classes) {
		w.Text(class)
		w.Number(uint64(k.classes[class]))
	}
	for _, list := range k.counts {
		for _, n := range list {
			w.Number(uint64(n))
		}
	}
	packages, places := []*index.PackageVersion(nil), map[keptPackage]int{}
	at := make([]int, len(k.worst))
	for i := range k.worst {
		p := k.worst[i].Package
		key := keptPackage{identityOf(p), p.Type}
		n, ok := places[key]
		if !ok {
			n = len(packages)
			places[key], packages = n, append(packages, p)
		}
		at[i] = n
	}
	w.Number(uint64(len(packages)))
	for _, p := range packages {
		for _, s := range keptTexts(p) {
			w.Text(*s)
		}
	}
	aliases := 0
	for i := range k.worst {
		aliases += len(k.worst[i].Aliases)
	}
	w.Number(uint64(len(k.worst)))
	w.Number(uint64(aliases))
	for i := range k.worst {
		f := &k.worst[i]
		w.Number(uint64(at[i]))
		w.Text(f.ID)
		w.Number(uint64(len(f.Aliases)))
		for _, alias := range f.Aliases {
			w.Text(alias)
		}
		w.Text(f.Fixed)
		w.Instant(f.Published)
		w.B = append(w.B, byte(f.Severity), byte(side(f.Exploited)+2*side(f.Uncertain)))
	}
	return w.Record()
}

// keptPackage tells apart the packages of a summary: one has many findings.
type keptPackage struct {
	identity
	kind string
}

func keptTexts(p *index.PackageVersion) [6]*string {
	return [...]*string{&p.Name, &p.PURL, &p.Version, &p.Type, &p.Source, &p.SourceVersion}
}

// decodeKept reads a record; nil is none, or one of another form.
func decodeKept(b []byte) (*kept, error) {
	if b == nil {
		return nil, nil
	}
	r := pack.Open(b).Share()
	if form, by := r.Number(), r.Number(); form != keptForm || by != rules {
		return nil, nil
	}
	k := &kept{generation: r.Number(), matched: r.Small(), complete: r.Number() == 1, reason: reason(r.Number())}
	if k.stamp = r.Text(); k.reason > reasonWaits {
		r.Fail()
	}
	n := r.Count()
	k.classes = make(map[string]int, min(n, maxClasses))
	for range n {
		class := r.Text()
		if k.classes[class] = int(r.Small()); class == "" {
			r.Fail()
		}
	}
	for i := range k.counts {
		for j := range k.counts[i] {
			k.counts[i][j] = int(r.Small())
		}
	}
	packages := make([]index.PackageVersion, min(r.Count(), MaxWorst))
	for i := range packages {
		for _, s := range keptTexts(&packages[i]) {
			*s = r.Text()
		}
	}
	k.worst = make([]Known, min(r.Count(), MaxWorst))
	aliases := make([]string, r.Count())
	for i := range k.worst {
		aliases = k.worst[i].read(r, packages, aliases)
	}
	if !r.Done() {
		return nil, pack.Damaged("summary of an image")
	}
	return k, nil
}

// read reads a finding of a record; it takes its aliases from the list that all have.
func (k *Known) read(r *pack.Reader, packages []index.PackageVersion, aliases []string) (rest []string) {
	n := r.Number()
	if n >= uint64(len(packages)) {
		r.Fail()
		return nil
	}
	k.Package, k.ID = &packages[n], r.Text()
	count := r.Count()
	if count > len(aliases) {
		r.Fail()
		return nil
	}
	k.Aliases, rest = aliases[:count:count], aliases[count:]
	for i := range k.Aliases {
		k.Aliases[i] = r.Text()
	}
	k.Fixed, k.Published = r.Text(), r.Instant()
	if k.Severity = osv.Severity(r.Byte()); int(k.Severity) >= len(osv.SeverityNames) {
		r.Fail()
	}
	marks := r.Byte()
	k.Exploited, k.Uncertain = marks&1 != 0, marks&2 != 0
	return rest
}
