package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/sbom/vulndb"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

// databaseRecord is what is remembered of a database beside its advisories: where it came from, and who vouched for it.
type databaseRecord struct {
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

// keptDatabases are the databases in a store, and what is remembered of them.
type keptDatabases struct {
	local    *store.Local
	importer vulndb.Importer
	clock    func() time.Time
}

// records are what is remembered, by name.
func (k keptDatabases) records(ctx context.Context) (map[string]databaseRecord, error) {
	docs, err := k.local.Docs(ctx, classDatabase)
	if err != nil {
		return nil, err
	}
	all := map[string]databaseRecord{}
	for name, text := range docs {
		var r databaseRecord
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the record of the database %s is damaged; run assay check: %w", name, err)
		}
		all[name] = r
	}
	return all, nil
}

// installed are the databases that findings come from, by name.
func (k keptDatabases) installed(ctx context.Context) (map[string]vulns.Database, error) {
	all := map[string]vulns.Database{}
	return all, k.local.View(ctx, func(s store.Snapshot) error {
		state, err := vulns.Status(s.Records)
		for _, d := range state.Databases {
			all[d.Name] = d
		}
		return err
	})
}

// last is what is installed under a name now; the zero record where nothing is.
func (k keptDatabases) last(ctx context.Context, name string) (r databaseRecord, there map[string]vulns.Database, err error) {
	if there, err = k.installed(ctx); err != nil {
		return r, nil, err
	}
	all, err := k.records(ctx)
	if err != nil {
		return r, nil, err
	}
	if !slices.ContainsFunc(vulndb.Names(name), func(n string) bool { return there[n].Digest == all[name].Digest && all[name].Digest != "" }) {
		return r, there, nil // removed, or lost with the space of all findings
	}
	return all[name], there, nil
}

// install puts an artifact into the place of the one of the same name, unless it is older. What was remembered of a database is told after its content changed: a crash between the two leaves
// a record that the next try replaces.
func (k keptDatabases) install(ctx context.Context, a vulndb.Artifact, r databaseRecord) (vulns.Delta, error) {
	last, there, err := k.last(ctx, r.Name)
	if err != nil {
		return vulns.Delta{}, err
	}
	if err := a.Description.Succeeds(last.Revision, last.Digest, a.Digest); err != nil {
		return vulns.Delta{}, err
	}
	delta, err := vulndb.Install(ctx, k.importer, a, r.Name, func(name string) bool { _, ok := there[name]; return ok })
	if err != nil {
		return delta, err
	}
	d := a.Description
	r.Digest, r.Revision, r.Built, r.Count, r.Scores, r.Exploits, r.Sources, r.At = a.Digest, d.Revision, d.Built, d.Count, d.Scores, d.Exploits, d.Sources, k.clock().UTC()
	text, err := json.Marshal(r)
	if err != nil {
		return delta, err
	}
	actor, by := r.ImportedBy, "imported by "+r.ImportedBy
	if r.SignedBy != "" {
		actor, by = "system", "from "+r.Artifact+", signed by "+r.SignedBy
	}
	err = errors.Join(k.local.PutDoc(ctx, classDatabase, r.Name, text), k.audit(ctx, policy.AuditRecord{Actor: actor, Digest: a.Digest,
		Reason: fmt.Sprintf("the database %s has revision %d of %s, %s: %d advisories, %d of them new, %d changed, %d gone", r.Name, r.Revision, moment(r.Built), by, r.Count, delta.Added, delta.Changed, delta.Removed)}))
	return delta, err
}

// remove takes a database and its side files away. Errors: CodeNotFound.
func (k keptDatabases) remove(ctx context.Context, name, by string) error {
	there, err := k.installed(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, n := range vulndb.Names(name) {
		if _, ok := there[n]; ok {
			found = true
			if _, err := k.importer.Remove(ctx, n); err != nil {
				return err
			}
		}
	}
	if !found {
		return store.Errorf(store.CodeNotFound, "there is no database %.80q; assay vulndb status shows what there is", name)
	}
	return errors.Join(k.local.DeleteDoc(ctx, classDatabase, name), k.audit(ctx, policy.AuditRecord{Actor: by, Reason: "the database " + name + " was removed"}))
}

func (k keptDatabases) audit(ctx context.Context, r policy.AuditRecord) error {
	r.At, r.Action = k.clock().UTC(), "vulndb"
	return auditor(k.local)(ctx, r)
}

// statuses is what is installed, ordered by name. Side files are told with the database that they came with.
func (k keptDatabases) statuses(ctx context.Context) (map[string]server.DatabaseStatus, error) {
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
		base, _, _ := strings.Cut(name, ".")
		s := all[base]
		s.Name = base
		if s.Built.IsZero() || d.Built.Before(s.Built) {
			s.Built = d.Built
		}
		switch d.Kind {
		case "epss":
			s.Scores = d.Advisories
		case "kev":
			s.Exploited = d.Advisories
		default:
			s.Advisories = d.Advisories
		}
		if r := records[base]; r.Digest == d.Digest {
			s.Revision, s.Digest, s.Sources, s.SignedBy, s.ImportedBy, s.ImportedAt = r.Revision, r.Digest, r.Sources, r.SignedBy, r.ImportedBy, r.At
		} else {
			s.Digest, s.ImportedAt = d.Digest, d.Imported
		}
		all[base] = s
	}
	return all, nil
}
