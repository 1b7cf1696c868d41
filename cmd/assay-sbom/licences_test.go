package main

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/google/licensecheck"
)

// update writes licences.zst again: `go test ./cmd/assay-sbom -run TestCompiledLicences -update`, after licensecheck changed.
var update = flag.Bool("update", false, "write generated files again")

// TestCompiledLicences holds the embedded form equal, field by field, to what licensecheck computes.
func TestCompiledLicences(t *testing.T) {
	made, err := licensecheck.NewScanner(licensecheck.BuiltinLicenses())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		b, err := storeLicences(made)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("licences.zst", b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile("licences.zst")
	if err != nil {
		t.Fatal(err)
	}
	restored, err := restoreLicences(stored)
	if err != nil {
		t.Fatalf("%v; run this test with -update", err)
	}
	if !reflect.DeepEqual(made, restored) {
		t.Error("the restored scanner is another one; run this test with -update")
	}
	if got := restored.Scan([]byte(mitText)); got.Percent < 75 || got.Match[0].ID != "MIT" {
		t.Errorf("%+v", got)
	}
}

// TestOtherLicences checks that a form of another version, or a damaged one, is not used.
func TestOtherLicences(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("x"), compiledLicences[:len(compiledLicences)/2], bytes.Repeat([]byte{0}, 100)} {
		if _, err := restoreLicences(b); err == nil {
			t.Errorf("%d bytes were taken for compiled licences", len(b))
		}
	}
}
