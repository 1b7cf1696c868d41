package vulns

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// Open makes a source of a file.
func Open(name string, r io.ReaderAt, size int64) (Source, error) { return nil, nil }

// Stream makes a source of a stream.
func Stream(name string, r io.Reader) (Source, error) { return nil, nil }

// Tree makes a source of a directory.
func Tree(files fs.FS) Source { return nil }

// Join makes one source of several.
func Join(sources ...Source) Source { return nil }

// Info says what a database is.
type Info struct {
	Name      string
	Built     time.Time
	Digest    store.Digest
	Revision  string
	Count     int
	MayShrink bool
}

// Delta says what a change brought.
type Delta struct {
	Database                string
	Generation              uint64
	Added, Removed, Changed int
	IDs                     []string
	Names                   int
	Packages                []index.ID
	Images                  *roaring.Bitmap
	Queued                  []store.Item
}

// Listener is told of changes.
type Listener func(ctx context.Context, d Delta) error

// Matcher writes.
type Matcher struct{}

// New returns.
func New(local *store.Local, log *slog.Logger, listen Listener) *Matcher { return nil }

// Import imports.
func (x *Matcher) Import(ctx context.Context, info Info, source Source) (Delta, error) {
	return Delta{}, nil
}

// ImportEPSS imports.
func (x *Matcher) ImportEPSS(ctx context.Context, info Info, r io.Reader) (Delta, error) {
	return Delta{}, nil
}

// ImportKEV imports.
func (x *Matcher) ImportKEV(ctx context.Context, info Info, r io.Reader) (Delta, error) {
	return Delta{}, nil
}

// Remove removes.
func (x *Matcher) Remove(ctx context.Context, name string) (Delta, error) { return Delta{}, nil }

// Match matches.
func (x *Matcher) Match(ctx context.Context) (int, error) { return 0, nil }

// Deliver delivers.
func (x *Matcher) Deliver(ctx context.Context) (int, error) { return 0, nil }

// Run runs.
func (x *Matcher) Run(ctx context.Context) {}

// Wake wakes.
func (x *Matcher) Wake() {}

// Reset empties.
func (x *Matcher) Reset(ctx context.Context) error { return nil }

// Database is an installed one.
type Database struct {
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Built      time.Time      `json:"built"`
	Imported   time.Time      `json:"imported"`
	Digest     store.Digest   `json:"digest,omitempty"`
	Revision   string         `json:"revision,omitempty"`
	Advisories int            `json:"advisories"`
	Ecosystems map[string]int `json:"ecosystems,omitempty"`
}

// Report is what is known of an image.
type Report struct {
	Image      store.Item `json:"-"`
	Generation uint64     `json:"generation"`
	Databases  []Database `json:"databases"`
	Pending    int        `json:"pending,omitempty"`
	Uncovered  []string   `json:"uncovered,omitempty"`
	Findings   []Finding  `json:"findings"`
}

// Finding is one vulnerability of one package version.
type Finding struct {
	ID         string               `json:"id"`
	Aliases    []string             `json:"aliases,omitempty"`
	Advisories []Reference          `json:"advisories"`
	Summary    string               `json:"summary,omitempty"`
	State      string               `json:"state"`
	Reason     string               `json:"reason,omitempty"`
	Severity   Severity             `json:"severity"`
	Score      float64              `json:"score,omitempty"`
	Vector     string               `json:"vector,omitempty"`
	EPSS       *EPSS                `json:"epss,omitempty"`
	KEV        *KEV                 `json:"kev,omitempty"`
	Published  time.Time            `json:"published,omitzero"`
	Modified   time.Time            `json:"modified,omitzero"`
	Package    index.PackageVersion `json:"package"`
	Fixed      []string             `json:"fixed,omitempty"`
	VEX        *Applied             `json:"vex,omitempty"`
}

// Reference names an advisory.
type Reference struct {
	Database string `json:"database"`
	ID       string `json:"id"`
	URL      string `json:"url,omitempty"`
}

// EPSS is how likely exploitation is.
type EPSS struct {
	Score      float64 `json:"score"`
	Percentile float64 `json:"percentile"`
}

// KEV says that it is exploited.
type KEV struct {
	Added      time.Time `json:"added"`
	Due        time.Time `json:"due,omitzero"`
	Ransomware bool      `json:"ransomware,omitempty"`
}

// Applied is the statement that decides about a finding.
type Applied struct {
	Status        VEXStatus    `json:"status"`
	Suppressed    bool         `json:"suppressed"`
	Justification string       `json:"justification,omitempty"`
	Impact        string       `json:"impact,omitempty"`
	Action        string       `json:"action,omitempty"`
	Author        string       `json:"author,omitempty"`
	Authority     string       `json:"authority,omitempty"`
	Document      string       `json:"document,omitempty"`
	Evidence      store.Digest `json:"evidence,omitempty"`
	Timestamp     time.Time    `json:"timestamp,omitzero"`
}

// Counts counts.
type Counts struct {
	BySeverity map[string]int `json:"by_severity"`
	Fixable    map[string]int `json:"fixable"`
	Suppressed int            `json:"suppressed,omitempty"`
	Uncertain  int            `json:"uncertain,omitempty"`
	KEV        int            `json:"kev,omitempty"`
}

// Findings reads.
func Findings(r store.Records, image store.Item) (*Report, error) { return nil, nil }

// Evaluate evaluates.
func Evaluate(r store.Records, list []index.PackageVersion) (*Report, error) { return nil, nil }

// Count counts.
func Count(list []Finding) Counts { return Counts{} }

// AffectedPage is a page.
type AffectedPage struct {
	IDs     []string
	Images  []AffectedImage
	Next    string
	Pending int
}

// AffectedImage is one image.
type AffectedImage struct {
	Image    store.Item
	Packages []index.PackageVersion
}

// Affected lists.
func Affected(r store.Records, id string, may func(store.Item) bool, after string, limit int) (AffectedPage, error) {
	return AffectedPage{}, nil
}

// State is what is installed.
type State struct {
	Generation  uint64     `json:"generation"`
	Databases   []Database `json:"databases"`
	Packages    int
	Pending     int
	Undelivered int
}

// Status reads it.
func Status(r store.Records) (State, error) { return State{}, nil }

// Revision changes with the databases.
func Revision(r store.Records) uint64 { return 0 }

// VEXStatus is of VEX.
type VEXStatus string

// Statement is one of VEX.
type Statement struct {
	Vulnerability string
	Aliases       []string
	Products      []Product
	Status        VEXStatus
	Justification string
	Impact        string
	Action        string
	Timestamp     time.Time
	Author        string
	Document      string
	Rank          int
	Authority     string
	Evidence      store.Digest
}

// Product is what a statement is about.
type Product struct {
	ID            string
	Digests       []store.Digest
	Subcomponents []string
}

// ParseVEX reads.
func ParseVEX(mediaType string, b []byte) ([]Statement, error) { return nil, nil }

// Suppress marks.
func Suppress(image store.Item, also []store.Digest, list []Finding, statements []Statement) {}

// Check checks.
func Check(ctx context.Context, local *store.Local, limit int) ([]store.Problem, error) {
	return nil, nil
}

// DBTime is the oldest.
func (r *Report) DBTime() time.Time { return time.Time{} }

// ParseAdvisory reads.
func ParseAdvisory(b []byte) (*Advisory, error) { return nil, nil }
