package vulndbkeep

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/sbom/vulndb"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

// Record is what is remembered of a database beside its advisories: where it came from, and who vouched for it.
type Record struct {
	Name       string          `json:"name"`
	Artifact   string          `json:"artifact,omitempty"` // REPOSITORY:TAG, where it was followed
	Digest     store.Digest    `json:"digest"`
	Revision   uint64          `json:"revision"`
	Built      time.Time       `json:"built"`
	Count      int             `json:"count"`
	Scores     int             `json:"epss,omitempty"`
	Exploits   int             `json:"kev,omitempty"`
	Sources    []vulndb.Origin `json:"sources,omitempty"`
	SignedBy   string          `json:"signed_by,omitempty"`
	ImportedBy string          `json:"imported_by,omitempty"`
	At         time.Time       `json:"at"`
}

const classDatabase = "vulndb"

// Databases are the databases in a store, and what is remembered of them.
type Databases struct {
	Local    *store.Local
	Importer vulndb.Importer
	Clock    func() time.Time
}

// records are what is remembered, by name.
func (k Databases) records(ctx context.Context) (map[string]Record, error) {
	docs, err := k.Local.Docs(ctx, classDatabase)
	if err != nil {
		return nil, err
	}
	all := map[string]Record{}
	for name, text := range docs {
		var r Record
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the record of the database %s is damaged; run assay check: %w", name, err)
		}
		all[name] = r
	}
	return all, nil
}

// installed are the databases that findings come from, by name.
func (k Databases) installed(ctx context.Context) (map[string]vulns.Database, error) {
	all := map[string]vulns.Database{}
	return all, k.Local.View(ctx, func(s store.Snapshot) error {
		state, err := vulns.Status(s.Records)
		for _, d := range state.Databases {
			all[d.Name] = d
		}
		return err
	})
}

// Last is what is installed under a name now; the zero record where nothing is.
func (k Databases) Last(ctx context.Context, name string) (r Record, there map[string]vulns.Database, err error) {
	if there, err = k.installed(ctx); err != nil {
		return r, nil, err
	}
	all, err := k.records(ctx)
	if err != nil {
		return r, nil, err
	}
	if len(partsOf(all[name], there)) == 0 {
		return Record{}, there, nil // removed, or lost with the space of all findings
	}
	return all[name], there, nil
}

// partsOf are the names under which the parts of a database are installed.
func partsOf(r Record, there map[string]vulns.Database) (names []string) {
	for _, n := range []string{r.Name, vulndb.NameEPSS, vulndb.NameKEV} {
		if d, ok := there[n]; ok && r.Digest != "" && d.Digest == r.Digest {
			names = append(names, n)
		}
	}
	return names
}

// Install puts an artifact into the place of the one of the same name, unless it is older. What was remembered of a database is told after its content changed: a crash between the two leaves
// a record that the next try replaces.
func (k Databases) Install(ctx context.Context, a vulndb.Artifact, r Record) (vulns.Delta, error) {
	last, there, err := k.Last(ctx, r.Name)
	if err != nil {
		return vulns.Delta{}, err
	}
	if err := a.Description.Succeeds(last.Revision, last.Digest, a.Digest); err != nil {
		return vulns.Delta{}, err
	}
	owned := partsOf(last, there)
	delta, err := vulndb.Install(ctx, k.Importer, a, r.Name, func(name string) bool { return slices.Contains(owned, name) })
	if err != nil {
		return delta, err
	}
	d := a.Description
	r.Digest, r.Revision, r.Built, r.Count, r.Scores, r.Exploits, r.Sources, r.At = a.Digest, d.Revision, d.Built, d.Count, d.Scores, d.Exploits, d.Sources, k.Clock().UTC()
	text, err := json.Marshal(r)
	if err != nil {
		return delta, err
	}
	actor, by := r.ImportedBy, "imported by "+r.ImportedBy
	if r.SignedBy != "" {
		actor, by = "system", "from "+r.Artifact+", signed by "+r.SignedBy
	}
	err = cli.JoinErrors(k.Local.PutDoc(ctx, classDatabase, r.Name, text), k.Audit(ctx, policy.AuditRecord{Actor: actor, Repository: RepositoryOf(r.Artifact), Digest: a.Digest,
		Reason: fmt.Sprintf("the database %s has revision %d of %s, %s: %d advisories, %d of them new, %d changed, %d gone", r.Name, r.Revision, cli.Moment(r.Built), by, r.Count, delta.Added, delta.Changed, delta.Removed)}))
	return delta, err
}

// RepositoryOf is the repository of REPOSITORY:TAG; "" of nothing.
func RepositoryOf(artifact string) store.Name {
	repo, _, err := config.ParseOCI(artifact)
	if err != nil {
		return ""
	}
	return repo
}

// Remove takes a database and its side files away. Errors: CodeNotFound.
func (k Databases) Remove(ctx context.Context, name, by string) error {
	last, there, err := k.Last(ctx, name)
	if err != nil {
		return err
	}
	names := partsOf(last, there)
	if _, ok := there[name]; ok && !slices.Contains(names, name) && vulndb.CheckName(name) == nil {
		names = append(names, name) // nobody remembers where it came from
	}
	if len(names) == 0 {
		return store.Errorf(store.CodeNotFound, "there is no database %.80q; assay vulndb status shows what there is", name)
	}
	for _, n := range names {
		if _, err := k.Importer.Remove(ctx, n); err != nil {
			return err
		}
	}
	return cli.JoinErrors(k.Local.DeleteDoc(ctx, classDatabase, name), k.Audit(ctx, policy.AuditRecord{Actor: by, Reason: "the database " + name + " was removed"}))
}

// Audit writes a change of a database into the audit log.
func (k Databases) Audit(ctx context.Context, r policy.AuditRecord) error {
	r.At, r.Action = k.Clock().UTC(), "vulndb"
	return place.Auditor(k.Local)(ctx, r)
}

// Statuses is what is installed, ordered by name. Side files are told with the database that they came with.
func (k Databases) Statuses(ctx context.Context) (map[string]server.DatabaseStatus, error) {
	there, err := k.installed(ctx)
	if err != nil {
		return nil, err
	}
	records, err := k.records(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]server.DatabaseStatus{}
	for name, d := range there {
		if name != vulndb.NameEPSS && name != vulndb.NameKEV {
			all[name] = server.DatabaseStatus{Name: name, Built: d.Built, Oldest: cli.OldestFile(d), Advisories: d.Advisories, Digest: d.Digest, ImportedAt: d.Imported}
		}
	}
	for name, r := range records {
		parts := partsOf(r, there)
		if len(parts) == 0 {
			continue
		}
		s := server.DatabaseStatus{Name: name, Built: r.Built, Revision: r.Revision, Digest: r.Digest, Sources: r.Sources, SignedBy: r.SignedBy, ImportedBy: r.ImportedBy, ImportedAt: r.At}
		for _, n := range parts {
			switch n {
			case vulndb.NameEPSS:
				s.Scores = there[n].Advisories
			case vulndb.NameKEV:
				s.Exploited = there[n].Advisories
			default:
				s.Advisories, s.Oldest = there[n].Advisories, cli.OldestFile(there[n])
			}
		}
		all[name] = s
	}
	return all, nil
}
