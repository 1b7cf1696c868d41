package sbom

import (
	"time"

	"github.com/assay-registry/assay/store"
)

// Inventory is what one document says that an image contains.
type Inventory struct {
	Format    string       `json:"format"` // spdx-2.3, cyclonedx-1.6, syft-16.0.1, ...
	Generator string       `json:"generator,omitempty"`
	Created   time.Time    `json:"created,omitzero"`
	Subject   store.Digest `json:"subject,omitempty"` // the manifest that the document itself names; empty where it names none
	Distro    Distro       `json:"distro,omitzero"`
	Packages  []Package    `json:"packages"`
}

// Distro is the distribution inside an image, by the names of os-release(5).
type Distro struct {
	ID      string `json:"id,omitempty"`
	Version string `json:"version,omitempty"`
}

// Package is one package in one version.
type Package struct {
	PURL     string   `json:"purl,omitempty"` // package URL in normal form; empty where the document has none
	Name     string   `json:"name"`
	Version  string   `json:"version,omitempty"`
	Type     string   `json:"type"`               // of the package URL (deb, npm, maven, ...), or "unknown"
	Licenses []string `json:"licenses,omitempty"` // SPDX expressions, or names where they are none
	// Source is the source package of a distribution's binary one, by which its advisories speak.
	Source        string     `json:"source,omitempty"`
	SourceVersion string     `json:"source_version,omitempty"`
	Locations     []Location `json:"locations,omitempty"`
	Requires      []int      `json:"requires,omitempty"` // places in Inventory.Packages
}

// Location is where a package was found.
type Location struct {
	Path  string       `json:"path"`
	Layer store.Digest `json:"layer,omitempty"` // diff ID or digest, as the document has it
}
