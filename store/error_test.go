package store

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
)

func TestError(t *testing.T) {
	err := fmt.Errorf("outer: %w", Errorf(CodeDenied, "no: %w", io.ErrUnexpectedEOF))
	if CodeOf(err) != CodeDenied || !errors.Is(err, &Error{Code: CodeDenied}) || errors.Is(err, &Error{Code: CodeUnauthorized}) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if CodeOf(nil) != "" || CodeOf(io.EOF) != CodeInternal {
		t.Fatal("CodeOf")
	}
	if e := Errorf(CodeDenied, "plain"); e.Cause != nil || e.Error() != "DENIED: plain" {
		t.Fatal(e)
	}
	unknown := &Error{Code: "NEW"}
	if unknown.Status() != http.StatusInternalServerError || unknown.Wire() != CodeUnsupported {
		t.Fatal("a code outside the catalogue")
	}
}

// TestCatalogue holds that every code that a client sees is one of the specification, and every status one that the security cases allow.
func TestCatalogue(t *testing.T) {
	standard := map[Code]bool{
		CodeBlobUnknown: true, CodeBlobUploadInvalid: true, CodeBlobUploadUnknown: true, CodeDigestInvalid: true, CodeManifestBlobUnknown: true, CodeManifestInvalid: true,
		CodeManifestUnknown: true, CodeNameInvalid: true, CodeNameUnknown: true, CodeSizeInvalid: true, CodeUnauthorized: true, CodeDenied: true, CodeUnsupported: true, CodeTooManyRequests: true,
	}
	for code, row := range catalogue {
		e := &Error{Code: code}
		if !standard[e.Wire()] || e.Status() != row.status || http.StatusText(row.status) == "" {
			t.Errorf("%s: %s %d", code, e.Wire(), e.Status())
		}
		if standard[code] && e.Wire() != code {
			t.Errorf("%s is standard and seen as %s", code, e.Wire())
		}
	}
}
