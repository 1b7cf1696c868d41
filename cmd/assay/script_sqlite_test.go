package main_test

import (
	"database/sql"
	"errors"
	"net/url"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // makes databases of grype's form for the worker; nothing that ships beside it links the driver
)

// cmdSQLite makes a database, or changes one, by the statements of files:
//
//	sqlite DATABASE FILE...
func cmdSQLite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sqlite DATABASE FILE...")
	}
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(ts.MkAbs(args[0])))
	ts.Check(err)
	for _, file := range args[1:] {
		if _, failed := db.Exec(ts.ReadFile(file)); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	ts.Check(errors.Join(err, db.Close()))
}
