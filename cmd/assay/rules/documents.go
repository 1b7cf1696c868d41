package rules

import (
	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/server"
)

// Documents are what the catalogue and the schemas of package policies say.
type Documents struct{}

// Schema implements server.Documents.
func (Documents) Schema(name string) ([]byte, bool) {
	switch name {
	case "policy.input.v1":
		return policies.InputSchema(), true
	case "policy.result.v1":
		return policies.ResultSchema(), true
	}
	return nil, false
}

// Code implements server.Documents.
func (Documents) Code(name string) (server.CodePage, bool) {
	for _, c := range policies.Catalogue() {
		if c.Name == name {
			page, _ := policies.Page(name)
			return server.CodePage{Code: c.Name, Meaning: c.Meaning, Remedy: c.Remedy, Page: page}, true
		}
	}
	return server.CodePage{}, false
}
