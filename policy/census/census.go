package census

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/turns"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Limits of one answer.
const (
	maxPage     = 1000             // repositories of a page
	maxEstate   = 1_000_000        // manifests that are looked at, evidence among them
	maxCounting = 40 * time.Second // from when a caller's turn begins; clients wait a minute
	topLicenses = 20

	partManifests = 256  // that are looked at in one view: some 20 ms
	partVersions  = 4096 // package versions

	maxReports     = 64 // callers that wait
	maxReportsEach = 2  // for each principal
)

// Options are what a Counter is made of.
type Options struct {
	Local *store.Local
	Trust func() *trust.Snapshot // in force now
	// Borrowed is what is known of a manifest by the evidence that another repository keeps about it, by evidence, in the snapshot of a part.
	Borrowed func(s store.Snapshot, repo store.Name, d store.Digest) map[store.Digest]*proof.Known
	Clock    func() time.Time
}

// Counter counts what the registry holds, for one caller at a time.
type Counter struct {
	o        Options
	waiting  turns.Waiters // and the one that is counted for
	counting chan struct{} // holds a value while somebody counts
}

// New makes a Counter.
func New(o Options) *Counter { return &Counter{o: o, counting: make(chan struct{}, 1)} }

func (n *Counter) now() time.Time { return n.o.Clock().UTC() }

// Count counts. One caller counts at a time: it is work for seconds in a large registry. Errors: CodeUnauthorized, CodeInvalid, CodeTooManyRequests.
func (n *Counter) Count(ctx context.Context, p access.Principal, q Query) (e *Report, err error) {
	if err := sight.MayAsk(p); err != nil {
		return nil, err
	}
	if q.Limit < 0 || q.Limit > maxPage {
		return nil, store.Errorf(store.CodeInvalid, "limit is a number of repositories from 1 to %d", maxPage)
	}
	if !n.waiting.Enter(p.Name, maxReports, maxReportsEach) {
		return nil, store.Errorf(store.CodeTooManyRequests, "a report is being made for you, or for very many; ask again when it is there")
	}
	defer n.waiting.Leave(p.Name)
	select {
	case n.counting <- struct{}{}:
		defer func() { <-n.counting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c := &census{n: n, ctx: ctx, now: n.now(), p: p, left: maxEstate, known: map[index.ID]*license{}}
	var status vulns.State
	if err := c.part(func() error {
		status, err = vulns.Status(c.s.Records)
		return err
	}); err != nil {
		return nil, err
	}
	c.matched = slices.ContainsFunc(status.Databases, func(d vulns.Database) bool { return d.Kind == "osv" })
	if e, err = c.all(q); err != nil {
		return nil, err
	}
	if e.Databases = append([]vulns.Database{}, status.Databases...); e.Partial {
		e.LookedAt = maxEstate - c.left
	}
	return e, nil
}

// census is one count. It reads in parts, each in a view of its own: a view that is held keeps the store from using again what is freed meanwhile, so that its file grows.
type census struct {
	n    *Counter
	ctx  context.Context
	s    store.Snapshot  // of this part
	t    *trust.Snapshot // of this part, from before its snapshot
	now  time.Time
	p    access.Principal
	left int // manifests that may still be looked at

	known   map[index.ID]*license // numbers of versions are never given twice
	matched bool                  // there are databases
}

// part reads a part. Nothing that it saw of the snapshot is used after it.
func (c *census) part(read func() error) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.t = c.n.o.Trust()
	return c.n.o.Local.View(c.ctx, func(s store.Snapshot) error {
		c.s = s
		return read()
	})
}

// spent reports whether the count looked at all that one answer looks at, or for as long.
func (c *census) spent() bool { return c.left <= 0 || c.n.now().Sub(c.now) > maxCounting }

// license is what the licences of a package version come to.
type license struct {
	licenses   []string
	categories []string
}

func (c *census) all(q Query) (*Report, error) {
	limit := cmp.Or(q.Limit, maxPage)
	e := &Report{At: c.now, Repositories: []Row{}}
	total := c.row("")
	for after := q.After; ; {
		var names []store.Name
		if err := c.part(func() error {
			names = c.s.RepositoryPage(after, maxPage)
			return nil
		}); err != nil {
			return nil, err
		}
		for _, name := range names {
			before := after
			after = string(name)
			roles := c.p.Roles(name)
			if len(q.Repositories) > 0 && !q.Repositories.Match(name) || !roles.Has(access.RolesReading|access.RolePush) || !c.p.Allows(name, access.ActionPull) {
				continue
			}
			row, err := c.repository(name, roles)
			if err != nil {
				return nil, err
			}
			if row.Partial && before != q.After {
				e.Partial, e.Next = true, cmp.Or(e.Next, before) // the next page counts it whole
				return e, c.finish(e, total, q.After == "")
			}
			if row.Images+row.Indexes+row.Artifacts == 0 && !row.Partial {
				continue // as good as absent to this caller
			}
			if len(e.Repositories) < limit {
				e.Repositories = append(e.Repositories, *row)
			} else if e.Next = string(e.Repositories[limit-1].Repository); q.After != "" {
				return e, nil
			}
			total.add(row)
			if row.Partial || c.spent() {
				e.Partial, e.Next = true, cmp.Or(e.Next, after)
				return e, c.finish(e, total, q.After == "")
			}
		}
		if len(names) < maxPage {
			return e, c.finish(e, total, q.After == "")
		}
	}
}

func (c *census) finish(e *Report, total *Row, first bool) error {
	if !first {
		return nil
	}
	perLicense := map[string]int{}
	if err := c.licenses(total, perLicense); err != nil {
		return err
	}
	e.Total = total
	for name, n := range perLicense {
		e.Licenses = append(e.Licenses, LicenseCount{name, sbom.LicenseCategory(name), n})
	}
	slices.SortFunc(e.Licenses, func(x, y LicenseCount) int {
		return cmp.Or(y.Versions-x.Versions, strings.Compare(x.License, y.License))
	})
	e.Licenses = e.Licenses[:min(len(e.Licenses), topLicenses)]
	return nil
}

func (c *census) row(name store.Name) *Row {
	r := &Row{Repository: name, States: map[store.State]int{}, SBOM: map[string]int{}, Licenses: map[string]int{}, versions: roaring.New()}
	if c.matched {
		r.Vulnerabilities = newFindings()
	}
	return r
}

// repository counts what one repository shows the caller.
func (c *census) repository(name store.Name, roles access.Roles) (*Row, error) {
	row, signed := c.row(name), map[store.Digest]bool{}
	after := &store.Item{Repository: name}
	for after != nil {
		if row.Partial = c.spent(); row.Partial {
			break
		}
		if err := c.part(func() (err error) {
			after, err = c.manifests(row, after, roles, signed)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return row, c.licenses(row, nil)
}

// manifests counts a part of a repository's, after one, and returns the last where there may be more.
func (c *census) manifests(row *Row, after *store.Item, roles access.Roles, signed map[store.Digest]bool) (*store.Item, error) {
	page := c.s.ManifestPage(after, min(partManifests, c.left))
	full := len(page) == min(partManifests, c.left)
	for n := range page {
		if page[n].Repository != row.Repository {
			return nil, nil
		}
		c.left--
		if err := c.manifest(row, page[n], roles, signed); err != nil {
			return nil, err
		}
	}
	if !full {
		return nil, nil
	}
	return &page[len(page)-1], nil
}

func (c *census) manifest(row *Row, i store.Item, roles access.Roles, signed map[store.Digest]bool) error {
	rec, err := c.s.Manifest(i.Repository, i.Digest)
	if err != nil || rec == nil || rec.State == store.StateEvidence || rec.State == store.StateTombstoned {
		return err
	}
	state := sight.Standing(c.s, c.t, c.now, i.Repository, rec)
	q := access.Question{Roles: roles, State: state, What: access.Manifest, ByDigest: true}
	if q.Uploader = access.Reads(q) != access.Granted && sight.Uploaded(c.p, rec); access.Reads(q) != access.Granted {
		return nil
	}
	switch rec.Kind {
	case store.KindIndex:
		row.Indexes++
		return nil
	case store.KindImage:
		return c.image(row, i, state, signed)
	case store.KindArtifact:
		row.Artifacts++
	}
	return nil
}

func (c *census) image(row *Row, i store.Item, state store.State, signed map[store.Digest]bool) error {
	row.Images++
	row.States[state]++
	if ok, err := c.signed(i, signed, proof.MaxDepth); err != nil {
		return err
	} else if ok {
		row.Signed++
	}
	origin, waits, err := inventory.Origin(c.s.Records, i)
	if err != nil {
		return err
	}
	if waits {
		row.Pending++
	}
	row.SBOM[cmp.Or(origin, "none")]++
	ids, err := index.IDs(c.s.Records, i)
	if err != nil {
		return err
	}
	row.Packages += len(ids)
	for _, id := range ids {
		row.versions.Add(uint32(id))
	}
	if row.Vulnerabilities == nil {
		return nil
	}
	known, err := findings.Count(c.s.Records, i)
	if err == nil && known != nil {
		row.Vulnerabilities.count(known)
	}
	return err
}

// signed reports whether a signature counts for a manifest: its own, or one of an admitted index above. seen remembers the answers of a repository.
func (c *census) signed(i store.Item, seen map[store.Digest]bool, depth int) (bool, error) {
	if is, ok := seen[i.Digest]; ok || depth == 0 {
		return is, nil
	}
	covering := c.t.Covering(i.Repository)
	is := false
	proves := func(k *proof.Known) bool {
		return slices.ContainsFunc(k.Told(covering, c.now), func(f verify.Fact) bool {
			return f.Verified && f.Kind == verify.KindSignature && f.Authority != verify.ReservedAuthority
		})
	}
	for evidence, b := range c.s.Facts(i.Repository, i.Digest) {
		if is || !bytes.Contains(b, []byte(verify.KindSignature)) || c.s.Verdict(i.Repository, evidence).State != store.StateEvidence || c.t.Revocation(i.Repository, evidence) != nil {
			continue
		}
		k, err := proof.Decode(evidence, b)
		if err != nil {
			return false, err
		}
		is = proves(k)
	}
	for _, k := range c.n.o.Borrowed(c.s, i.Repository, i.Digest) {
		is = is || proves(k)
	}
	for _, parent := range c.s.Parents(i.Repository, i.Digest) {
		if is || c.s.Verdict(i.Repository, parent).State != store.StateAdmitted {
			continue
		}
		above, err := c.signed(store.Item{Repository: i.Repository, Digest: parent}, seen, depth-1)
		if err != nil {
			return false, err
		}
		is = is || above
	}
	seen[i.Digest] = is
	return is, nil
}

// licenses counts the different versions of a row by what their licences ask for, and by licence.
func (c *census) licenses(row *Row, perLicense map[string]int) error {
	row.Versions = int(row.versions.GetCardinality())
	for it := row.versions.ManyIterator(); ; {
		ids := make([]uint32, partVersions)
		if ids = ids[:it.NextMany(ids)]; len(ids) == 0 {
			return nil
		}
		if err := c.part(func() error { return c.licensesOf(row, ids, perLicense) }); err != nil {
			return err
		}
	}
}

func (c *census) licensesOf(row *Row, ids []uint32, perLicense map[string]int) error {
	for _, id := range ids {
		v, err := c.version(index.ID(id))
		if err != nil {
			return err
		}
		for _, category := range v.categories {
			row.Licenses[category]++
		}
		if perLicense != nil {
			for _, l := range v.licenses {
				perLicense[l]++
			}
		}
	}
	return nil
}

func (c *census) version(id index.ID) (*license, error) {
	if v := c.known[id]; v != nil {
		return v, nil
	}
	pv, err := index.Version(c.s.Records, id)
	if err != nil {
		return nil, err
	}
	v := &license{categories: []string{"none"}}
	if pv != nil {
		found := map[string]bool{}
		for _, expression := range pv.Licenses {
			for _, l := range sbom.Identifiers(expression) {
				if !slices.Contains(v.licenses, l) {
					v.licenses = append(v.licenses, l)
					found[sbom.LicenseCategory(l)] = true
				}
			}
		}
		if len(found) > 0 {
			v.categories = slices.Sorted(maps.Keys(found))
		}
	}
	c.known[id] = v
	return v, nil
}
