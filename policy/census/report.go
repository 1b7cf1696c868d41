package census

import (
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// Report is what the registry holds, in numbers: of what the caller could GET, each manifest as it stood when it was looked at, from At on.
type Report struct {
	At           time.Time `json:"at"`
	Repositories []Row     `json:"repositories"`
	// Total is of all repositories that were asked for, not of this page alone; it is on the first page only.
	Total     *Row             `json:"total,omitempty"`
	Licenses  []LicenseCount   `json:"licenses,omitempty"`  // the most frequent, with the total
	Databases []vulns.Database `json:"databases"`           // that the numbers of vulnerabilities rest on
	Partial   bool             `json:"partial,omitempty"`   // there was more than one answer looks at: the total is of what was looked at
	LookedAt  int              `json:"looked_at,omitempty"` // where it is partial: manifests, evidence among them
	Next      string           `json:"next,omitempty"`      // the parameter after of the next page
}

// Row is what one repository holds, or all of them. What several repositories hold is counted in each, and in the total; distinct versions are counted once.
type Row struct {
	Repository store.Name          `json:"repository,omitempty"`
	Images     int                 `json:"images"`  // of one platform
	Indexes    int                 `json:"indexes"` // of several
	Artifacts  int                 `json:"artifacts"`
	States     map[store.State]int `json:"states"`             // of the images
	Signed     int                 `json:"signed"`             // images with a signature that counts, of their own or of an admitted index above
	SBOM       map[string]int      `json:"sbom"`               // images by the origin of their SBOM: attested, generated, attached, none
	Packages   int                 `json:"packages"`           // of all images together
	Versions   int                 `json:"versions"`           // different ones
	Licenses   map[string]int      `json:"license_categories"` // those versions by what their licences ask for; one with several counts in each
	// Vulnerabilities is absent where no database is installed.
	Vulnerabilities *Findings `json:"vulnerabilities,omitempty"`
	Pending         int       `json:"pending,omitempty"` // images whose SBOM is not indexed yet
	Repos           int       `json:"repository_count,omitempty"`
	Partial         bool      `json:"partial,omitempty"` // one repository alone has more than one answer looks at
	versions        *roaring.Bitmap
}

// Findings counts findings of images, whatever statements say of them.
type Findings struct {
	Images   int `json:"images"`   // that were compared with the databases
	Affected int `json:"affected"` // of them, with findings
	// Uncovered are those of them with packages of a system or language that no installed database speaks of.
	Uncovered int            `json:"uncovered"`
	Counts    map[string]int `json:"counts"`  // findings by severity
	Fixable   map[string]int `json:"fixable"` // those of them that a version fixes
}

func newFindings() *Findings {
	f := &Findings{Counts: map[string]int{}, Fixable: map[string]int{}}
	for _, class := range findings.Classes() {
		f.Counts[class], f.Fixable[class] = 0, 0
	}
	return f
}

func (f *Findings) count(known *findings.Matched) {
	f.Images++
	if known.Affected {
		f.Affected++
	}
	if known.Uncovered {
		f.Uncovered++
	}
	for n, class := range findings.Classes() {
		f.Counts[class] += known.Counts[n]
		f.Fixable[class] += known.Fixable[n]
	}
}

func (f *Findings) add(other *Findings) {
	f.Images, f.Affected, f.Uncovered = f.Images+other.Images, f.Affected+other.Affected, f.Uncovered+other.Uncovered
	for class, n := range other.Counts {
		f.Counts[class] += n
		f.Fixable[class] += other.Fixable[class]
	}
}

// LicenseCount is how many package versions are under a licence.
type LicenseCount struct {
	License  string `json:"license"`
	Category string `json:"category"`
	Versions int    `json:"versions"`
}

// Query says which repositories are wanted.
type Query struct {
	Repositories store.Globs // empty: all
	After        string
	Limit        int // repositories of a page: 0 is 1000, which is the most
}

func (r *Row) add(other *Row) {
	r.Repos++
	r.Images, r.Indexes, r.Artifacts = r.Images+other.Images, r.Indexes+other.Indexes, r.Artifacts+other.Artifacts
	r.Signed, r.Packages, r.Pending = r.Signed+other.Signed, r.Packages+other.Packages, r.Pending+other.Pending
	for k, n := range other.States {
		r.States[k] += n
	}
	for k, n := range other.SBOM {
		r.SBOM[k] += n
	}
	r.versions.Or(other.versions)
	if r.Vulnerabilities != nil {
		r.Vulnerabilities.add(other.Vulnerabilities)
	}
}
