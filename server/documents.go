package server

import (
	"net/http"

	"github.com/assay-registry/assay/store"
)

// Documents are the same for everybody who may ask anything: what policies read and write, and what codes mean.
type Documents interface {
	// Schema is a JSON Schema by its name, such as policy.input.v1; ok is false for any other.
	Schema(name string) (schema []byte, ok bool)
	// Code is what there is to say about a reason code; ok is false for one that is not in the catalogue.
	Code(name string) (page CodePage, ok bool)
}

// CodePage is a page of the catalogue of reason codes.
type CodePage struct {
	Code    string `json:"code"`
	Meaning string `json:"meaning"` // one sentence
	Remedy  string `json:"remedy"`
	Page    string `json:"page,omitempty"` // Markdown; absent in lists
}

// explained answers a schema, or the page of a code.
func (c *call) explained() error {
	if d := c.h.options.Documents; d != nil && c.route.Endpoint == EndpointSchema {
		if schema, ok := d.Schema(c.route.Arg); ok {
			return c.document(http.StatusOK, []string{"application/schema+json"}, schema)
		}
	} else if d != nil {
		if page, ok := d.Code(c.route.Arg); ok {
			return c.json(http.StatusOK, page)
		}
	}
	return store.Errorf(store.CodeNotFound, "there is no such document here; policies of your own may use codes that are in no catalogue")
}
