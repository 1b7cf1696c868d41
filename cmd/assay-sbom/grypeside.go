package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/assay-registry/assay/sbom"
)

// What a database of grype also holds, and how it is written: in the form in which it is published.
const (
	partAdvisories = sbom.GrypeAdvisories
	partEPSS       = sbom.GrypeEPSS // CSV of FIRST: cve,epss,percentile
	partKEV        = sbom.GrypeKEV  // JSON of CISA
)

// likelihoods writes the scores of EPSS. A database from before they were in it has none.
func (d *grypeDB) likelihoods(ctx context.Context, out io.Writer) (*sbom.GrypeReport, error) {
	report := d.report()
	if !d.has("epss_handles", "cve", "epss", "percentile") {
		return report, nil
	}
	var date, cve sql.NullString
	if d.has("epss_metadata", "date") {
		if err := d.each(ctx, "epss_metadata", 1, "SELECT CAST(max(date) AS TEXT) FROM epss_metadata", []any{&date}, func() error { return nil }); err != nil {
			return nil, err
		}
	}
	at, ok := sqliteTime(date.String)
	if !ok {
		at = d.built
	}
	w := bufio.NewWriter(out)
	if _, err := fmt.Fprintf(w, "#model_version:grype,score_date:%s\ncve,epss,percentile\n", at.Format("2006-01-02T15:04:05+0000")); err != nil {
		return nil, err
	}
	var score, percentile sql.NullFloat64
	err := d.each(ctx, "epss_handles", d.limits.names, "SELECT cve, epss, percentile FROM epss_handles ORDER BY cve", []any{&cve, &score, &percentile}, func() error {
		id := strings.ToUpper(cve.String)
		if !plainID(id) || score.Float64 < 0 || score.Float64 > 1 || percentile.Float64 < 0 || percentile.Float64 > 1 {
			report.LeftOut["no score of a CVE"]++
			return nil
		}
		report.Advisories++
		_, err := fmt.Fprintf(w, "%s,%.5f,%.5f\n", id, score.Float64, percentile.Float64)
		return err
	})
	if err != nil {
		return nil, err
	}
	return report, w.Flush()
}

// plainID reports whether s can be a CVE: letters, digits and hyphens.
func plainID(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}

// exploited writes the CVEs that are known to be exploited.
func (d *grypeDB) exploited(ctx context.Context, out io.Writer) (*sbom.GrypeReport, error) {
	const table = "known_exploited_vulnerability_handles"
	report := d.report()
	if !d.has(table, "cve", "blob_id") {
		return report, nil
	}
	type entry struct {
		ID         string `json:"cveID"`
		Added      string `json:"dateAdded,omitempty"`
		Due        string `json:"dueDate,omitempty"`
		Ransomware string `json:"knownRansomwareCampaignUse,omitempty"`
	}
	catalogue := struct {
		Title    string  `json:"title"`
		Released string  `json:"dateReleased"`
		Count    int     `json:"count"`
		List     []entry `json:"vulnerabilities"`
	}{Title: "known exploited vulnerabilities of a database of grype", Released: d.built.Format("2006-01-02T15:04:05.000Z"), List: []entry{}}
	var cve, text sql.NullString
	err := d.each(ctx, table, 1<<20, "SELECT k.cve, b.value FROM "+table+" k LEFT JOIN blobs b ON b.id = k.blob_id ORDER BY k.cve, k.id", []any{&cve, &text}, func() error {
		var b struct {
			Added      string `json:"date_added"`
			Due        string `json:"due_date"`
			Ransomware string `json:"known_ransomware_campaign_use"`
		}
		if text.Valid && json.Unmarshal([]byte(text.String), &b) != nil {
			return refuse("the database is not as grype makes them: its document about %.40q is not readable", cve.String)
		}
		e := entry{ID: strings.ToUpper(cve.String), Ransomware: clipped(b.Ransomware, 20)}
		if last := len(catalogue.List) - 1; !plainID(e.ID) || last >= 0 && catalogue.List[last].ID == e.ID {
			report.LeftOut["no CVE of its own"]++
			return nil
		}
		for to, date := range map[*string]string{&e.Added: b.Added, &e.Due: b.Due} {
			if t, ok := sqliteTime(date); ok {
				*to = t.Format("2006-01-02")
			}
		}
		catalogue.List = append(catalogue.List, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	catalogue.Count = len(catalogue.List)
	report.Advisories = catalogue.Count
	if catalogue.Count == 0 {
		return report, nil
	}
	return report, json.NewEncoder(out).Encode(catalogue)
}
