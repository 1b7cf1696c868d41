package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"

	"github.com/assay-registry/assay/store"
)

// maxDocument is the most bytes of a document of administration.
const maxDocument = 1 << 20

// decode reads exactly one JSON document of known fields. The type is required because a browser sends others across origins unasked.
func (c *call) decode(v any) error { return c.decodeUpTo(v, maxDocument) }

// decodeUpTo is decode for documents of another size.
func (c *call) decodeUpTo(v any, most int64) error {
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return &store.Error{Code: store.CodeMediaType, Message: "the document's Content-Type must be application/json"}
	}
	if err := c.identityOnly(); err != nil {
		return err
	}
	content, err := io.ReadAll(io.LimitReader(c.r.Body, most+1))
	if err != nil {
		return &store.Error{Code: store.CodeInvalid, Message: "the document could not be read to its end", Cause: err}
	}
	if int64(len(content)) > most {
		return store.Errorf(store.CodeManifestTooBig, "a document of administration has at most %d bytes", most)
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return store.Errorf(store.CodeInvalid, "the document is not what is expected here: %s", explainJSON(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return store.Errorf(store.CodeInvalid, "the document is followed by something else")
	}
	return nil
}

// explainJSON names what is wrong, never a value: it could be a secret.
func explainJSON(err error) string {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return "the field " + t.Field + " has another type"
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return "it is not JSON"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return "it has a field that is not known, or a value of the wrong form"
}
