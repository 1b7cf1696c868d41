package document

import (
	_ "unsafe" // for linkname

	_ "github.com/anchore/syft/syft" // links them
)

// metadataName is syft's name for the type of a package's metadata; "" if it has none.
//
//go:linkname metadataName github.com/anchore/syft/internal/packagemetadata.JSONName
func metadataName(metadata any) string

// licenceID is the id on SPDX's list that an expression means, if it is a single one.
//
//go:linkname licenceID github.com/anchore/syft/internal/spdxlicense.ID
func licenceID(expression string) (string, bool)
