package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The form of an advisory (OSV schema 1.7, ossf.github.io/osv-schema), as far as grype's databases have something to say.
type osvAdvisory struct {
	ID               string         `json:"id"`
	Modified         string         `json:"modified"`
	Published        string         `json:"published,omitempty"`
	Withdrawn        string         `json:"withdrawn,omitempty"`
	Aliases          []string       `json:"aliases,omitempty"`
	Upstream         []string       `json:"upstream,omitempty"`
	Summary          string         `json:"summary,omitempty"`
	Severity         []osvSeverity  `json:"severity,omitempty"`
	Affected         []osvAffected  `json:"affected"`
	References       []osvReference `json:"references,omitempty"`
	DatabaseSpecific *osvSpecific   `json:"database_specific,omitempty"`
}

type osvSeverity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type osvAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Ranges   []osvRange   `json:"ranges,omitempty"`
	Versions []string     `json:"versions,omitempty"`
	Specific *osvSpecific `json:"database_specific,omitempty"`
}

type osvRange struct {
	Type   string              `json:"type"`
	Events []map[string]string `json:"events"`
}

type osvReference struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type osvSpecific struct {
	Severity string `json:"severity,omitempty"`
	Provider string `json:"provider,omitempty"` // grype's name of the source
	Module   string `json:"rpm_modularity,omitempty"`
}

// vulnerabilityBlob and packageBlob are grype's documents (grype, "db/v6", blobs), as far as they are used.
type vulnerabilityBlob struct {
	Description string   `json:"description"`
	Aliases     []string `json:"aliases"`
	References  []struct {
		URL string `json:"url"`
	} `json:"refs"`
	Severities []struct {
		Scheme string          `json:"scheme"`
		Value  json.RawMessage `json:"value"`
	} `json:"severities"`
}

type packageBlob struct {
	CVEs       []string `json:"cves"`
	Qualifiers *struct {
		Module    *string  `json:"rpm_modularity"`
		Platforms []string `json:"platform_cpes"`
		RootIO    *bool    `json:"rootio"`
	} `json:"qualifiers"`
	Ranges []grypeRange `json:"ranges"`
}

type grypeRange struct {
	Version struct {
		Constraint string `json:"constraint"`
	} `json:"version"`
	Fix *struct {
		Version string `json:"version"`
		State   string `json:"state"`
	} `json:"fix"`
}

// grypeWriter writes advisories.
type grypeWriter struct {
	limits grypeLimits
	tables *grypeTables
	blobs  *sql.Stmt
	out    io.Writer
	seen   map[string]bool // IDs
	last   *packageBlob    // the document that was read last
	lastID uint32
}

// gone reports whether the row no longer stands.
func (v *grypeVulnerability) gone() bool {
	_, withdrawn := sqliteTime(v.withdrawn)
	return withdrawn || v.status == "rejected"
}

// write makes one advisory of all rows that a provider has for one name: databases of distributions have one for each release. What is withdrawn for one release stands for the others, and
// it is as bad as in the worst of them.
func (w *grypeWriter) write(ctx context.Context, rows []grypeVulnerability) error {
	if slices.ContainsFunc(rows, func(v grypeVulnerability) bool { return !v.gone() }) {
		rows = slices.DeleteFunc(slices.Clone(rows), func(v grypeVulnerability) bool { return v.gone() })
	}
	a := osvAdvisory{ID: w.id(rows[0]), DatabaseSpecific: &osvSpecific{Provider: clipped(rows[0].provider, 100)}}
	if rows[0].name != a.ID {
		a.Upstream = append(a.Upstream, rows[0].name)
	}
	var merged merging
	for _, row := range rows {
		var b vulnerabilityBlob
		if err := w.document(ctx, row.blob, &b); err != nil {
			return err
		}
		worst := a.DatabaseSpecific.Severity
		a.DatabaseSpecific.Severity = ""
		if a.describe(row, &b); slices.Index(severityWords, worst) > slices.Index(severityWords, a.DatabaseSpecific.Severity) || a.DatabaseSpecific.Severity == "" {
			a.DatabaseSpecific.Severity = worst
		}
		if err := w.packages(ctx, row, &a, &merged); err != nil {
			return err
		}
	}
	if a.Affected = merged.list; len(a.Affected) == 0 {
		w.tables.report.LeftOut["about nothing that is matched here"]++
		return nil
	}
	a.tidy(w.tables.report.Built)
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if len(line) > w.limits.line {
		w.tables.report.LeftOut["too large"]++
		return nil
	}
	w.tables.report.Advisories++
	_, err = w.out.Write(append(line, '\n'))
	return err
}

// id is the name of an advisory, made unique: many providers speak of one CVE, each about its own packages. OSV's own exports put the source in front in the same way.
func (w *grypeWriter) id(v grypeVulnerability) string {
	id := clipped(v.name, 96)
	prefix := strings.ToUpper(clipped(v.provider, 24)) + "-"
	if strings.HasPrefix(id, "CVE-") && v.provider != "nvd" || w.seen[id] {
		id = prefix + id
	}
	for w.seen[id] {
		id += "-2" // rows that differ in letters alone which no name has
	}
	w.seen[id] = true
	return id
}

// describe takes over what one row says of the vulnerability itself. Rows of one name hardly differ; the first that says something counts.
func (a *osvAdvisory) describe(v grypeVulnerability, b *vulnerabilityBlob) {
	for to, text := range map[*string]string{&a.Published: v.published, &a.Withdrawn: v.withdrawn} {
		if t, ok := sqliteTime(text); ok && *to == "" {
			*to = t.Format(time.RFC3339)
		}
	}
	if t, ok := sqliteTime(v.modified); ok && t.Format(time.RFC3339) > a.Modified {
		a.Modified = t.Format(time.RFC3339)
	}
	if v.status == "rejected" && a.Withdrawn == "" {
		a.Withdrawn = firstText(a.Modified, a.Published)
	}
	if a.Summary == "" {
		first, _, _ := strings.Cut(strings.TrimSpace(b.Description), "\n")
		a.Summary = clipped(first, 300)
	}
	for _, alias := range b.Aliases {
		a.Aliases = append(a.Aliases, clipped(alias, 120))
	}
	for _, r := range b.References {
		if len(a.References) < 3 && len(r.URL) <= 2000 && strings.HasPrefix(r.URL, "http") {
			a.References = append(a.References, osvReference{"WEB", strings.ToValidUTF8(r.URL, "")})
		}
	}
	for _, s := range b.Severities {
		a.severity(s.Scheme, s.Value)
	}
}

// severityWords are grype's, as they are written, the least first.
var severityWords = []string{"NEGLIGIBLE", "LOW", "MEDIUM", "HIGH", "CRITICAL"}

// severity takes over a word, or a vector of CVSS.
func (a *osvAdvisory) severity(scheme string, value json.RawMessage) {
	var word string
	if json.Unmarshal(value, &word) == nil {
		if a.DatabaseSpecific.Severity == "" && scheme != "CVSS" {
			a.DatabaseSpecific.Severity = strings.ToUpper(clipped(word, 30))
		}
		return
	}
	var vector struct{ Vector, Version string }
	if json.Unmarshal(value, &vector) != nil || vector.Vector == "" || len(vector.Vector) > 300 {
		return
	}
	kind := ""
	switch {
	case strings.HasPrefix(vector.Vector, "CVSS:4"), strings.HasPrefix(vector.Version, "4"):
		kind = "CVSS_V4"
	case strings.HasPrefix(vector.Vector, "CVSS:3"), strings.HasPrefix(vector.Version, "3"):
		kind = "CVSS_V3"
	case strings.HasPrefix(vector.Version, "2"):
		kind = "CVSS_V2"
	}
	if kind == "" || slices.ContainsFunc(a.Severity, func(s osvSeverity) bool { return s.Type == kind }) {
		return
	}
	if kind != "CVSS_V2" && !strings.HasPrefix(vector.Vector, "CVSS:") {
		vector.Vector = "CVSS:" + vector.Version + "/" + vector.Vector
	}
	a.Severity = append(a.Severity, osvSeverity{kind, strings.ToValidUTF8(vector.Vector, "")})
}

// tidy brings what was gathered into order. An advisory without a date is as old as the database.
func (a *osvAdvisory) tidy(built time.Time) {
	a.Modified = firstText(a.Modified, a.Published, built.Format(time.RFC3339))
	if a.Published == "" {
		a.Published = a.Modified
	}
	for _, list := range []*[]string{&a.Aliases, &a.Upstream} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
		*list = slices.DeleteFunc(*list, func(s string) bool { return s == a.ID || s == "" })
	}
	a.Aliases = slices.DeleteFunc(a.Aliases, func(s string) bool { return slices.Contains(a.Upstream, s) })
	if a.Upstream != nil { // a distribution's record passes on what others found: none of them is the same record under another name
		a.Upstream = append(a.Upstream, a.Aliases...)
		slices.Sort(a.Upstream)
		a.Aliases = nil
	}
}

func firstText(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// clipped is text of at most n bytes without what is no text.
func clipped(s string, n int) string {
	if len(s) > n {
		s = s[:n]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
