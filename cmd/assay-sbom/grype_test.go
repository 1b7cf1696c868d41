package main

import (
	"archive/tar"
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/assay-registry/assay/sbom"
)

// grypeFixture makes a database of grype's tables and the rows in testdata, changed by more statements.
func grypeFixture(t testing.TB, more ...string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/grype.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), databaseFile)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append([]string{string(text)}, more...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%.80s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// grype runs the program's own binary, sandbox and all.
func grype(t testing.TB, args ...string) (out, errs string, code int) {
	t.Helper()
	cmd := exec.Command(worker(t), append([]string{"grypedb"}, args...)...)
	cmd.Env = []string{"TMPDIR=" + t.TempDir()}
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return o.String(), e.String(), exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), 0
}

func TestGrypeAdvisories(t *testing.T) {
	out, errs, code := grype(t, grypeFixture(t))
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	want := []string{
		`{"id":"DEBIAN-CVE-2026-0001","modified":"2026-02-03T00:00:00Z","published":"2026-01-02T00:00:00Z","upstream":["CVE-2026-0001"],"summary":"A hole in openssl.","affected":[` +
			`{"package":{"ecosystem":"Debian:12","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.11-1~deb12u2"}]}]},` +
			`{"package":{"ecosystem":"Debian:11","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}],` +
			`"references":[{"type":"WEB","url":"https://security-tracker.debian.org/tracker/CVE-2026-0001"}],"database_specific":{"severity":"HIGH","provider":"debian"}}`,
		`{"id":"GHSA-gone-gone-gone","modified":"2024-02-01T00:00:00Z","published":"2024-01-01T00:00:00Z","withdrawn":"2024-02-01T00:00:00Z","summary":"Withdrawn","affected":[` +
			`{"package":{"ecosystem":"npm","name":"left-pad"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.3.0"}]}]}],"database_specific":{"severity":"LOW","provider":"github"}}`,
		`{"id":"GHSA-jfh8-c2jp-5v3q","modified":"2025-05-09T13:13:16Z","published":"2021-12-10T00:40:56Z","aliases":["CVE-2021-44228"],"summary":"Remote code injection in Log4j",` +
			`"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}],"affected":[` +
			`{"package":{"ecosystem":"Maven","name":"org.apache.logging.log4j:log4j-core"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"2.13.0"},{"fixed":"2.15.0"}]}]},` +
			`{"package":{"ecosystem":"Maven","name":"org.apache.logging.log4j:log4j-core"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"2.0-beta9"},{"fixed":"2.3.1"}]}],"versions":["2.12.0"]}],` +
			`"database_specific":{"severity":"CRITICAL","provider":"github"}}`,
		`{"id":"RHEL-CVE-2026-0002","modified":"2026-07-20T04:12:33Z","published":"2026-07-20T04:12:33Z","upstream":["CVE-2026-0002"],"severity":[{"type":"CVSS_V2","score":"AV:N/AC:L/Au:N/C:P/I:P/A:P"}],"affected":[` +
			`{"package":{"ecosystem":"Red Hat:9","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:3.0.7-25.el9_3"}]}]},` +
			`{"package":{"ecosystem":"Red Hat:9","name":"nodejs"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"1:18"},{"fixed":"1:18.19.0-1.module+el9"}]}],"database_specific":{"rpm_modularity":"nodejs:18"}}],` +
			`"database_specific":{"severity":"MEDIUM","provider":"rhel"}}`,
		`{"id":"UBUNTU-CVE-2026-0001","modified":"2026-07-20T04:12:33Z","published":"2026-07-20T04:12:33Z","upstream":["CVE-2026-0001"],"summary":"A hole in openssl.","affected":[` +
			`{"package":{"ecosystem":"Ubuntu:22.04:LTS","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.11-1~deb12u2"}]}]}],` +
			`"references":[{"type":"WEB","url":"https://security-tracker.debian.org/tracker/CVE-2026-0001"}],"database_specific":{"severity":"HIGH","provider":"ubuntu"}}`,
	}
	have := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	for i := range max(len(want), len(have)) {
		if i >= len(want) || i >= len(have) || want[i] != have[i] {
			t.Errorf("line %d:\n%s\nis not\n%s", i, at(have, i), at(want, i))
		}
	}
	var r sbom.GrypeReport
	if err := json.Unmarshal([]byte(errs), &r); err != nil || r.Schema != "6.1.9" || r.Advisories != 5 || len(r.Providers) != 5 || r.Built.Format("2006-01-02") != "2026-07-20" || r.Checked != "" {
		t.Errorf("%v %+v", err, r)
	}
	for reason, n := range map[string]int{"without a package (CPE only)": 1, "of a minor release, whose major release is there": 1, "of a channel of longer support": 1, "about another platform": 1,
		"of an operating system that is not matched": 1, "about nothing that is matched here": 1, "of an ecosystem that is not matched (msrc-kb)": 1} {
		if r.LeftOut[reason] != n {
			t.Errorf("%d were left out as %s, not %d", r.LeftOut[reason], reason, n)
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(nothing)"
}

func TestGrypeSideFiles(t *testing.T) {
	path := grypeFixture(t)
	out, errs, code := grype(t, "--part", "epss", path)
	if want := "#model_version:grype,score_date:2026-07-19T00:00:00+0000\ncve,epss,percentile\nCVE-2021-44228,0.94358,0.99957\nCVE-2026-0001,0.00100,0.20000\n"; code != exitOK || out != want {
		t.Errorf("exit %d %s: %s", code, errs, out)
	}
	out, errs, code = grype(t, "--part", "kev", path)
	if want := `"count":1,"vulnerabilities":[{"cveID":"CVE-2021-44228","dateAdded":"2021-12-10","dueDate":"2021-12-24","knownRansomwareCampaignUse":"Known"}]`; code != exitOK || !strings.Contains(out, want) {
		t.Errorf("exit %d %s: %s", code, errs, out)
	}
	if _, errs, code = grype(t, "--part", "everything", path); code != exitUsage || !strings.Contains(errs, "usage") {
		t.Errorf("exit %d %s", code, errs)
	}
}

// An older database of schema 6 lacks tables and columns that came later.
func TestGrypeOlderSchema(t *testing.T) {
	path := grypeFixture(t, "DROP TABLE unaffected_package_handles", "DROP TABLE epss_handles", "DROP TABLE epss_metadata", "DROP TABLE known_exploited_vulnerability_handles",
		"ALTER TABLE operating_systems DROP COLUMN channel", "ALTER TABLE operating_systems DROP COLUMN eol_date", "UPDATE db_metadata SET revision = 0, addition = 0")
	out, errs, code := grype(t, path)
	if code != exitOK || strings.Count(out, "\n") != 5 || !strings.Contains(errs, `"schema":"6.0.0"`) {
		t.Errorf("exit %d %s: %s", code, errs, out)
	}
	for _, part := range []string{"epss", "kev"} {
		if out, errs, code := grype(t, "--part", part, path); code != exitOK || out != "" {
			t.Errorf("%s: exit %d %s: %s", part, code, errs, out)
		}
	}
}

// archive packs files as grype's databases are distributed.
func archive(t testing.TB, files map[string][]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vulnerability-db.tar.zst")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, name := range []string{importFile, databaseFile, "other"} {
		b, ok := files[name]
		if !ok {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Name: "./" + name, Mode: 0o644, Size: int64(len(b))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func importText(db []byte) []byte {
	h := xxhash.New()
	h.Write(db)
	return fmt.Appendf(nil, `{"digest":"xxh64:%s","source":"https://grype.example/db.tar.zst","client_version":"6.1.9"}`, hex.EncodeToString(h.Sum(nil)))
}

func TestGrypeArchive(t *testing.T) {
	db, err := os.ReadFile(grypeFixture(t))
	if err != nil {
		t.Fatal(err)
	}
	want, _, _ := grype(t, grypeFixture(t))
	out, errs, code := grype(t, archive(t, map[string][]byte{databaseFile: db, importFile: importText(db)}))
	if code != exitOK || out != want || !strings.Contains(errs, `"checked":"import.json (xxh64:`) {
		t.Errorf("exit %d: %s", code, errs)
	}
	if out, errs, code = grype(t, archive(t, map[string][]byte{databaseFile: db})); code != exitOK || out != want || strings.Contains(errs, "checked") {
		t.Errorf("without %s: exit %d: %s", importFile, code, errs)
	}
	// Installed: beside the database.
	dir := t.TempDir()
	for name, b := range map[string][]byte{databaseFile: db, importFile: importText(db)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, errs, code = grype(t, filepath.Join(dir, databaseFile)); code != exitOK || out != want || !strings.Contains(errs, "checked") {
		t.Errorf("installed: exit %d: %s", code, errs)
	}
}

// What is no database, not the one that was meant, or was made to harm, ends with a sentence, in bounded time and memory.
func TestGrypeBadInput(t *testing.T) {
	db, err := os.ReadFile(grypeFixture(t))
	if err != nil {
		t.Fatal(err)
	}
	file := func(b []byte) string {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	page := bytes.Clone(db)
	for i := 4096; i < len(page); i += 97 {
		page[i] ^= 0x5a
	}
	whole, err := os.ReadFile(archive(t, map[string][]byte{databaseFile: db}))
	if err != nil {
		t.Fatal(err)
	}
	recursive := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, 'CVE-' || i AS name, 'nvd' AS provider_id, 1 AS blob_id FROM n"
	for name, c := range map[string]struct{ path, says string }{
		"empty":             {file(nil), "is empty"},
		"text":              {file([]byte("not a database of any kind, but long enough to be looked at")), "neither a database of grype"},
		"xz":                {file([]byte("\xfd7zXZ\x00 and so on")), "xz are not read"},
		"cut short":         {file(db[:len(db)/2]), "damaged or cut short"},
		"header alone":      {file(db[:100]), "damaged or cut short"},
		"damaged pages":     {file(page), "database"},
		"archive cut short": {file(whole[:len(whole)/2]), "archive is damaged"},
		"archive without":   {archive(t, map[string][]byte{"other": db}), "no vulnerability.db in the archive"},
		"another digest":    {archive(t, map[string][]byte{databaseFile: db, importFile: importText(db[1:])}), "not the one that its import.json describes"},
		"another sum":       {archive(t, map[string][]byte{databaseFile: db, importFile: []byte(`{"digest":"md5:00"}`)}), "only xxh64 is known"},
		"foreign":           {grypeFixture(t, "DROP TABLE db_metadata"), "none of grype's"},
		"schema 5":          {grypeFixture(t, "UPDATE db_metadata SET model = 5"), "schema 6 is read"},
		"schema 7":          {grypeFixture(t, "UPDATE db_metadata SET model = 7"), "schema 6 is read"},
		"no metadata":       {grypeFixture(t, "DELETE FROM db_metadata"), "does not say what it is"},
		"no time":           {grypeFixture(t, "UPDATE db_metadata SET build_timestamp = 'yesterday'"), "does not say when"},
		"a column gone":     {grypeFixture(t, "ALTER TABLE packages RENAME COLUMN name TO title"), "lacks packages.name"},
		"a view":            {grypeFixture(t, "DROP TABLE vulnerability_handles", "CREATE VIEW vulnerability_handles AS "+recursive), "lacks vulnerability_handles.blob_id"},
		"text for numbers":  {grypeFixture(t, "UPDATE affected_package_handles SET package_id = 'x'"), "not as grype makes them"},
		"negative":          {grypeFixture(t, "UPDATE affected_package_handles SET package_id = -1"), "row number of -1"},
		"document gone":     {grypeFixture(t, "DELETE FROM blobs WHERE id = 4"), "cut short: its document 4"},
		"document not JSON": {grypeFixture(t, "UPDATE blobs SET value = '{' WHERE id = 5"), "document 5 is not readable"},
		"huge document":     {grypeFixture(t, "UPDATE blobs SET value = hex(zeroblob(4000000)) WHERE id = 5"), "larger than any"},
		"unpacks to much":   {archive(t, map[string][]byte{databaseFile: make([]byte, 3<<20)}), "at most 2097152"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{c.path}
			if name == "unpacks to much" {
				args = []string{"--scratch", "2097152", c.path}
			}
			if out, errs, code := grype(t, args...); code != exitRefused || !strings.Contains(errs, c.says) || strings.Contains(errs, "goroutine") {
				t.Errorf("exit %d: %.600s %.100s", code, errs, out)
			}
		})
	}
	if _, errs, code := grype(t, "--timeout", "1ns", grypeFixture(t)); code == exitOK || !strings.Contains(errs, "longer than 1ns") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestGrypeRowsAreBounded(t *testing.T) {
	f, err := os.Open(grypeFixture(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, l := range map[string]grypeLimits{
		"vulnerability_handles":    {database: 1 << 30, vulnerabilities: 7, handles: 100, names: 100, blob: 1 << 20, affected: 100, line: 1 << 20},
		"affected_package_handles": {database: 1 << 30, vulnerabilities: 100, handles: 14, names: 100, blob: 1 << 20, affected: 100, line: 1 << 20},
		"packages":                 {database: 1 << 30, vulnerabilities: 100, handles: 100, names: 6, blob: 1 << 20, affected: 100, line: 1 << 20},
		"about more than 1":        {database: 1 << 30, vulnerabilities: 100, handles: 100, names: 100, blob: 1 << 20, affected: 1, line: 1 << 20},
	} {
		var out bytes.Buffer
		if _, err := grypePart(context.Background(), partAdvisories, grypeFiles{file: f}, l, &out); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var out bytes.Buffer
	l := defaultGrypeLimits(1 << 30)
	l.line = 500
	report, err := grypePart(context.Background(), partAdvisories, grypeFiles{file: f}, l, &out)
	if err != nil || report.LeftOut["too large"] != 3 || report.Advisories != 2 {
		t.Errorf("%v %+v", err, report)
	}
}

func TestConstraints(t *testing.T) {
	for _, c := range []struct{ text, fixed, want string }{
		{"< 1.2.3", "1.2.3", `[{"introduced":"0"},{"fixed":"1.2.3"}]`},
		{">=1.0,<1.2", "", `[{"introduced":"1.0"},{"fixed":"1.2"}]`},
		{">= 1.0, <= 1.2", "", `[{"introduced":"1.0"},{"last_affected":"1.2"}]`},
		{"<=1.2", "1.3", `[{"introduced":"0"},{"fixed":"1.3"}]`},
		{"> 1.0 < 2", "", `[{"introduced":"1.0"},{"fixed":"2"}]`},
		{"", "", `[{"introduced":"0"}]`},
		{"none (unknown)", "", `[{"introduced":"0"}]`},
		{"< 0", "", `null`},
		{"= 1.5", "", `null ["1.5"]`},
		{"1.5", "", `null ["1.5"]`},
	} {
		events, versions := constraint(c.text, c.fixed)
		b, err := json.Marshal(events)
		have := string(b)
		if len(versions) > 0 {
			v, _ := json.Marshal(versions)
			have += " " + string(v)
		}
		if err != nil || have != c.want {
			t.Errorf("%q: %s, want %s", c.text, have, c.want)
		}
	}
}

func FuzzConstraint(f *testing.F) {
	f.Add(">=1.0,<1.2 || = 3", "1.2")
	f.Fuzz(func(t *testing.T, text, fixed string) {
		events, versions := constraint(text, fixed)
		if len(events) > 2 || len(versions) > len(text) {
			t.Errorf("%q: %v %v", text, events, versions)
		}
		if b, err := json.Marshal(events); err != nil || !json.Valid(b) {
			t.Error(err)
		}
	})
}

// The parent's half: package sbom runs the child, and what it says reaches whoever asked.
func TestGrypeWorker(t *testing.T) {
	w, scratch := newWorker(t, sbom.WorkerOptions{Memory: grypeMemory})
	var out bytes.Buffer
	r, err := w.Grype(t.Context(), grypeFixture(t), sbom.GrypeAdvisories, &out)
	if err != nil || r.Advisories != 5 || bytes.Count(out.Bytes(), []byte("\n")) != 5 {
		t.Errorf("%v %+v", err, r)
	}
	if _, err := w.Grype(t.Context(), grypeFixture(t, "UPDATE db_metadata SET model = 5"), sbom.GrypeAdvisories, &out); err == nil || errors.Is(err, sbom.ErrRetry) || !strings.Contains(err.Error(), "schema 6 is read") {
		t.Error(err)
	}
	if _, err := w.Grype(t.Context(), filepath.Join(t.TempDir(), "absent"), sbom.GrypeAdvisories, &out); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	left(t, scratch)
	w, scratch = newWorker(t, sbom.WorkerOptions{Memory: grypeMemory, MaxOutput: 1000})
	if _, err := w.Grype(t.Context(), grypeFixture(t), sbom.GrypeAdvisories, &out); err == nil || !strings.Contains(err.Error(), "more than 1000 bytes") {
		t.Error(err)
	}
	left(t, scratch)
}

// BenchmarkGrype converts a database with the shape of a real one, smaller: every advisory is about a package of six releases.
func BenchmarkGrype(b *testing.B) {
	const n = 50_000
	path := grypeFixture(b, fmt.Sprintf(`
WITH RECURSIVE i(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM i WHERE n < 1000 + %d)
INSERT INTO vulnerability_handles (id, name, status, published_date, modified_date, provider_id, blob_id) SELECT n, 'CVE-2030-' || n, 'active', '2026-01-02 00:00:00+00:00', '2026-01-03 00:00:00+00:00', 'debian', 1 FROM i`, n), fmt.Sprintf(`
WITH RECURSIVE i(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM i WHERE n < 1000 + %d)
INSERT INTO blobs (id, value) SELECT n, '{"ranges":[{"version":{"type":"dpkg","constraint":"< 1.' || n || '"},"fix":{"version":"1.' || n || '","state":"fixed"}}]}' FROM i`, n), fmt.Sprintf(`
WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 6 * %d)
INSERT INTO affected_package_handles (vulnerability_id, operating_system_id, package_id, blob_id) SELECT 1000 + n / 6, 1 + n %% 6, 1, 1000 + n / 6 FROM i`, n))
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		report, err := grypePart(b.Context(), partAdvisories, grypeFiles{file: f}, defaultGrypeLimits(1<<30), io.Discard)
		if err != nil || report.Advisories < n {
			b.Fatal(err, report)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "advisories/s")
}

// Distributions have a row for each release: what is withdrawn for one, or harmless there, is neither for another.
func TestGrypeRowsOfReleases(t *testing.T) {
	advisory := func(changes ...string) string {
		out, errs, code := grype(t, grypeFixture(t, changes...))
		if code != exitOK {
			t.Fatalf("exit %d: %s", code, errs)
		}
		for line := range strings.Lines(out) {
			if strings.Contains(line, `"id":"DEBIAN-CVE-2026-0001"`) {
				return line
			}
		}
		t.Fatal(out)
		return ""
	}
	const bullseye = "UPDATE vulnerability_handles SET status = 'rejected', withdrawn_date = '2026-03-01 00:00:00+00:00' WHERE id = 6"
	if line := advisory(bullseye); strings.Contains(line, "withdrawn") || !strings.Contains(line, "Debian:12") || strings.Contains(line, "Debian:11") {
		t.Errorf("withdrawn for bullseye: %s", line)
	}
	if line := advisory(bullseye, "UPDATE vulnerability_handles SET status = 'rejected' WHERE id = 1"); !strings.Contains(line, `"withdrawn":"2026-03-01`) && !strings.Contains(line, `"withdrawn":"2026-01-03`) {
		t.Errorf("withdrawn for all: %s", line)
	}
	if line := advisory(`UPDATE blobs SET value = replace(value, '"high"', '"low"') WHERE id = 1`, `UPDATE blobs SET value = replace(value, '"low"', '"critical"') WHERE id = 17`); !strings.Contains(line, `"severity":"CRITICAL"`) {
		t.Errorf("worse for bullseye: %s", line)
	}
}

// What has more ranges than are read is affected in all versions: those beyond would be free of it.
func TestGrypeManyRanges(t *testing.T) {
	var b packageBlob
	for n := range maxRanges + 1 {
		r := grypeRange{}
		r.Version.Constraint = fmt.Sprintf(">=%d.0,<%d.5", n, n)
		b.Ranges = append(b.Ranges, r)
	}
	a, ok := b.affected("npm", "x")
	if got, err := json.Marshal(a.Ranges); err != nil || !ok || string(got) != `[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]` || a.Versions != nil {
		t.Errorf("%d ranges: %.200s", len(a.Ranges), got)
	}
}
