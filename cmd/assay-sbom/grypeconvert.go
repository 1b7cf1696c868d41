package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/assay-registry/assay/sbom"
)

// grypePackage is a row of packages.
type grypePackage struct{ ecosystem, name string }

// grypeHandle says that a vulnerability is about a package of an operating system; os is 0 for none. A range of versions is in the blob.
type grypeHandle struct{ vulnerability, pkg, os, blob uint32 }

// grypeVulnerability is a row of vulnerability_handles. Times are as they stand in the row.
type grypeVulnerability struct {
	id, blob                       uint32
	name, provider, status         string
	published, modified, withdrawn string
}

// grypeTables is what is held of a database while its advisories are written one by one.
type grypeTables struct {
	packages   map[uint32]grypePackage
	systems    map[uint32]grypeSystem
	affected   []grypeHandle // by vulnerability
	unaffected []grypeHandle // by vulnerability
	report     *sbom.GrypeReport
}

func (d *grypeDB) report() *sbom.GrypeReport {
	return &sbom.GrypeReport{Schema: d.schema, Built: d.built, LeftOut: map[string]int{}}
}

// each runs a query and calls fn after each row was scanned into dest, at most max times.
func (d *grypeDB) each(ctx context.Context, what string, most int, query string, dest []any, fn func() error) error {
	rows, err := d.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for n := 0; rows.Next(); n++ {
		if n >= most {
			return refuse("the database has more than %d rows in %s", most, what)
		}
		if err := rows.Scan(dest...); err != nil {
			return refuse("the database is not as grype makes them: %s: %v", what, err)
		}
		if err := fn(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// short is the number of a row. Rows that count on from 1 never come near its end.
func short(n sql.NullInt64) (uint32, error) {
	if n.Int64 < 0 || n.Int64 > math.MaxUint32 {
		return 0, refuse("the database has a row number of %d, which grype's never have", n.Int64)
	}
	return uint32(n.Int64), nil
}

// convert writes all advisories in the order of provider and name.
func (d *grypeDB) convert(ctx context.Context, out io.Writer) (*sbom.GrypeReport, error) {
	t, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	vulnerabilities, err := d.vulnerabilities(ctx, t)
	if err != nil {
		return nil, err
	}
	w := &grypeWriter{limits: d.limits, tables: t, out: out, seen: map[string]bool{}}
	if w.blobs, err = d.conn.PrepareContext(ctx, "SELECT value FROM blobs WHERE id = ?"); err != nil {
		return nil, err
	}
	defer w.blobs.Close()
	for len(vulnerabilities) > 0 {
		n := 1
		for n < len(vulnerabilities) && vulnerabilities[n].name == vulnerabilities[0].name && vulnerabilities[n].provider == vulnerabilities[0].provider {
			n++
		}
		if err := w.write(ctx, vulnerabilities[:n]); err != nil {
			return nil, err
		}
		vulnerabilities = vulnerabilities[n:]
	}
	return t.report, nil
}

// load reads everything but the vulnerabilities and the documents.
func (d *grypeDB) load(ctx context.Context) (*grypeTables, error) {
	t := &grypeTables{packages: map[uint32]grypePackage{}, systems: map[uint32]grypeSystem{}, report: d.report()}
	var err error
	for _, step := range []func(context.Context, *grypeTables) error{d.loadPackages, d.loadSystems, d.loadProviders} {
		if err := step(ctx, t); err != nil {
			return nil, err
		}
	}
	if t.affected, err = d.handles(ctx, "affected_package_handles"); err != nil {
		return nil, err
	}
	if d.has("unaffected_package_handles", "vulnerability_id", "operating_system_id", "package_id", "blob_id") {
		if t.unaffected, err = d.handles(ctx, "unaffected_package_handles"); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (d *grypeDB) loadPackages(ctx context.Context, t *grypeTables) error {
	var id sql.NullInt64
	var ecosystem, name sql.NullString
	return d.each(ctx, "packages", d.limits.names, "SELECT id, ecosystem, name FROM packages", []any{&id, &ecosystem, &name}, func() error {
		n, err := short(id)
		t.packages[n] = grypePackage{strings.ToLower(ecosystem.String), name.String}
		return err
	})
}

func (d *grypeDB) loadSystems(ctx context.Context, t *grypeTables) error {
	const table = "operating_systems"
	var id sql.NullInt64
	var name, release, major, minor, label, channel sql.NullString
	query := "SELECT id, name, " + d.optional(table, "release_id") + ", major_version, minor_version, " + d.optional(table, "label_version") + ", " + d.optional(table, "channel") + " FROM " + table
	return d.each(ctx, table, 100_000, query, []any{&id, &name, &release, &major, &minor, &label, &channel}, func() error {
		n, err := short(id)
		t.systems[n] = newGrypeSystem(name.String, release.String, major.String, minor.String, label.String, channel.String)
		return err
	})
}

func (d *grypeDB) loadProviders(ctx context.Context, t *grypeTables) error {
	var id sql.NullString
	return d.each(ctx, "providers", 10_000, "SELECT id FROM providers ORDER BY id", []any{&id}, func() error {
		t.report.Providers = append(t.report.Providers, clipped(id.String, 100))
		return nil
	})
}

// handles reads a table of handles, ordered by vulnerability.
func (d *grypeDB) handles(ctx context.Context, table string) ([]grypeHandle, error) {
	var list []grypeHandle
	var vulnerability, system, pkg, blob sql.NullInt64
	err := d.each(ctx, table, d.limits.handles, "SELECT vulnerability_id, operating_system_id, package_id, blob_id FROM "+table, []any{&vulnerability, &system, &pkg, &blob}, func() error {
		var h grypeHandle
		var errs [4]error
		h.vulnerability, errs[0] = short(vulnerability)
		h.os, errs[1] = short(system)
		h.pkg, errs[2] = short(pkg)
		h.blob, errs[3] = short(blob)
		list = append(list, h)
		return errors.Join(errs[:]...)
	})
	slices.SortFunc(list, func(a, b grypeHandle) int {
		return cmp.Or(cmp.Compare(a.vulnerability, b.vulnerability), cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.os, b.os), cmp.Compare(a.blob, b.blob))
	})
	return list, err
}

// of are the handles of one vulnerability.
func of(list []grypeHandle, vulnerability uint32) []grypeHandle {
	from, _ := slices.BinarySearchFunc(list, vulnerability, func(h grypeHandle, v uint32) int { return cmp.Compare(h.vulnerability, v) })
	to := from
	for to < len(list) && list[to].vulnerability == vulnerability {
		to++
	}
	return list[from:to]
}

// vulnerabilities lists those that are about packages, ordered by provider and name. Those of the NVD are about products by their CPE, which no package has for certain.
func (d *grypeDB) vulnerabilities(ctx context.Context, t *grypeTables) ([]grypeVulnerability, error) {
	const table = "vulnerability_handles"
	var list []grypeVulnerability
	text := func(column string) string { return "CAST(" + d.optional(table, column) + " AS TEXT)" }
	query := "SELECT id, name, provider_id, blob_id, " + d.optional(table, "status") + ", " + text("published_date") + ", " + text("modified_date") + ", " + text("withdrawn_date") + " FROM " + table
	var id, blob sql.NullInt64
	var name, provider, status, published, modified, withdrawn sql.NullString
	providers := map[string]string{} // one string for all rows of a provider
	err := d.each(ctx, table, d.limits.vulnerabilities, query, []any{&id, &name, &provider, &blob, &status, &published, &modified, &withdrawn}, func() error {
		v := grypeVulnerability{name: name.String, published: published.String, modified: modified.String, withdrawn: withdrawn.String}
		var errs [2]error
		v.id, errs[0] = short(id)
		v.blob, errs[1] = short(blob)
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		if len(of(t.affected, v.id)) == 0 {
			t.report.LeftOut["without a package (CPE only)"]++
			return nil
		}
		if _, ok := providers[provider.String]; !ok {
			providers[provider.String] = strings.ToLower(provider.String)
		}
		v.provider = providers[provider.String]
		if v.status = "active"; strings.EqualFold(status.String, "rejected") {
			v.status = "rejected"
		}
		list = append(list, v)
		return nil
	})
	slices.SortFunc(list, func(a, b grypeVulnerability) int {
		return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
	})
	return list, err
}

// document reads a blob; nothing where there is none.
func (w *grypeWriter) document(ctx context.Context, id uint32, v any) error {
	if id == 0 {
		return nil
	}
	var text sql.RawBytes
	rows, err := w.blobs.QueryContext(ctx, id)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return refuse("the database is cut short: its document %d is not there", id)
	}
	if err := rows.Scan(&text); err != nil {
		return refuse("the database is not as grype makes them: blobs: %v", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return refuse("the database is not as grype makes them: its document %d is not readable: %v", id, err)
	}
	return nil
}
