package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
	"modernc.org/sqlite/vfs"
)

// grypeModel is the form of grype's database that is read (grype, "db/v6"): within it, tables and columns were added and none was taken away.
const grypeModel = 6

// grypeDB is an opened database. It is read through a file system of one file, so that SQLite opens nothing else: no journal, no attached database.
type grypeDB struct {
	limits  grypeLimits
	files   *vfs.FS
	pool    *sql.DB
	conn    *sql.Conn
	schema  string // such as 6.1.9
	built   time.Time
	columns map[string][]string // of the tables that are there
}

// needed are the columns without which there is nothing to convert, and those that may be absent from older or newer databases.
func needed() map[string][]string {
	return map[string][]string{
		"blobs": {"id", "value"}, "providers": {"id"}, "packages": {"id", "ecosystem", "name"},
		"operating_systems":        {"id", "name", "major_version", "minor_version"},
		"vulnerability_handles":    {"id", "name", "provider_id", "blob_id"},
		"affected_package_handles": {"id", "vulnerability_id", "operating_system_id", "package_id", "blob_id"},
	}
}

// openGrype opens a database that may be damaged, hostile, or another program's.
func openGrype(ctx context.Context, file *os.File, l grypeLimits) (d *grypeDB, err error) {
	d = &grypeDB{limits: l, columns: map[string][]string{}}
	defer func() {
		if err != nil {
			d.close()
			d, err = nil, explainSQLite(err)
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return d, err
	}
	if info.Size() > l.database {
		return d, refuse("the database has %d bytes; at most %d are read", info.Size(), l.database)
	}
	name, files, err := vfs.New(oneFile{file, info})
	if err != nil {
		return d, err
	}
	d.files = files
	if d.pool, err = sql.Open("sqlite", "file:"+databaseFile+"?mode=ro&immutable=1&_defensive=1&_query_only=1&_pragma=trusted_schema(0)&_pragma=cell_size_check(1)&_pragma=mmap_size(0)&_pragma=temp_store(2)&vfs="+name); err != nil {
		return d, err
	}
	if d.conn, err = d.pool.Conn(ctx); err != nil {
		return d, err
	}
	for _, limit := range []struct{ id, value int }{{sqlite3.SQLITE_LIMIT_LENGTH, max(l.blob, 1<<16)}, {sqlite3.SQLITE_LIMIT_ATTACHED, 0}, {sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0}} {
		if _, err := sqlite.Limit(d.conn, limit.id, limit.value); err != nil {
			return d, err
		}
	}
	return d, d.survey(ctx)
}

func (d *grypeDB) close() {
	if d.conn != nil {
		d.conn.Close()
	}
	if d.pool != nil {
		d.pool.Close()
	}
	if d.files != nil {
		d.files.Close()
	}
}

// survey finds out what the database is, and which tables and columns it has.
func (d *grypeDB) survey(ctx context.Context) error {
	if err := d.readColumns(ctx); err != nil {
		return err
	}
	if _, ok := d.columns["db_metadata"]; !ok {
		return refuse("this is a database of SQLite, and none of grype's: it has no table db_metadata%s", d.foreign())
	}
	var model int
	var revision, addition sql.NullInt64
	var built sql.NullString
	row := d.conn.QueryRowContext(ctx, "SELECT model, "+d.optional("db_metadata", "revision")+", "+d.optional("db_metadata", "addition")+", CAST("+d.optional("db_metadata", "build_timestamp")+" AS TEXT) FROM db_metadata LIMIT 1")
	if err := row.Scan(&model, &revision, &addition, &built); errors.Is(err, sql.ErrNoRows) {
		return refuse("the database does not say what it is: its table db_metadata is empty")
	} else if err != nil {
		return err
	}
	d.schema = fmt.Sprintf("%d.%d.%d", model, revision.Int64, addition.Int64)
	if model != grypeModel {
		return refuse("the database has grype's schema %s; schema %d is read: fetch one for a current grype", d.schema, grypeModel)
	}
	if d.built, _ = sqliteTime(built.String); d.built.IsZero() {
		return refuse("the database does not say when it was built")
	}
	var absent []string
	for table, columns := range needed() {
		for _, c := range columns {
			if !slices.Contains(d.columns[table], c) {
				absent = append(absent, table+"."+c)
			}
		}
	}
	if len(absent) > 0 {
		slices.Sort(absent)
		return refuse("the database has grype's schema %s, which is not read: it lacks %s", d.schema, strings.Join(absent, ", "))
	}
	return nil
}

// foreign names some tables of a database that is not grype's.
func (d *grypeDB) foreign() string {
	var names []string
	for name := range d.columns {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" (it has %.200s)", strings.Join(names[:min(len(names), 8)], ", "))
}

// maxTables is how many tables a database may have; grype's has about twenty.
const maxTables = 512

// readColumns lists the ordinary tables: a view or a virtual table by one of their names would run what somebody else wrote.
func (d *grypeDB) readColumns(ctx context.Context) error {
	rows, err := d.conn.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite_%' LIMIT ?", maxTables)
	if err != nil {
		return err
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return errors.Join(err, rows.Close())
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, table := range tables {
		if !plainName(table) {
			continue
		}
		columns, err := d.conn.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", table)
		if err != nil {
			return err
		}
		d.columns[table] = []string{}
		for columns.Next() {
			var name string
			if err := columns.Scan(&name); err != nil {
				return errors.Join(err, columns.Close())
			}
			d.columns[table] = append(d.columns[table], name)
		}
		if err := columns.Err(); err != nil {
			return err
		}
	}
	return nil
}

// plainName reports whether a table's name is one that could be grype's.
func plainName(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// has reports whether a table is there with all these columns.
func (d *grypeDB) has(table string, columns ...string) bool {
	for _, c := range columns {
		if !slices.Contains(d.columns[table], c) {
			return false
		}
	}
	return d.columns[table] != nil
}

// optional is a column, or NULL where the database was made before it was thought of.
func (d *grypeDB) optional(table, column string) string {
	if d.has(table, column) {
		return column
	}
	return "NULL"
}

// explainSQLite says of SQLite's errors what to do about them.
func explainSQLite(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FORMAT:
		return refuse("the database is damaged or cut short (%v); fetch it again", e)
	case sqlite3.SQLITE_TOOBIG:
		return refuse("the database holds a document that is larger than any of grype's")
	case sqlite3.SQLITE_NOMEM:
		return fmt.Errorf("there is not enough memory to read the database: %w", e)
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_SCHEMA:
		return refuse("the database is not as grype makes them: %v", e)
	}
	return err
}

// sqliteTime reads a time in any of the forms that databases have. The zero time is none.
func sqliteTime(s string) (time.Time, bool) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999-07:00", "2006-01-02 15:04:05.999999999 -0700 MST", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(form, strings.TrimSpace(s)); err == nil && t.Year() > 1 {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// oneFile is a file system of one file, whatever it is called; every open of it reads on its own.
type oneFile struct {
	file *os.File
	info fs.FileInfo
}

// Open is [fs.FS].
func (o oneFile) Open(name string) (fs.File, error) {
	if name != databaseFile {
		return nil, fs.ErrNotExist
	}
	return &section{io.NewSectionReader(o.file, 0, o.info.Size()), o.info}, nil
}

// section is one open of it.
type section struct {
	*io.SectionReader
	info fs.FileInfo
}

// Stat is [fs.File].
func (s *section) Stat() (fs.FileInfo, error) { return s.info, nil }

// Close is [fs.File].
func (s *section) Close() error { return nil }
