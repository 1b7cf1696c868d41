package sbom

import (
	"context"
	"errors"
	"time"

	"github.com/assay-registry/assay/store"
)

// Format names a document format.
type Format string

// The formats that the worker writes.
const (
	SPDX      Format = "spdx-json"      // SPDX 2.3
	CycloneDX Format = "cyclonedx-json" // CycloneDX 1.6
)

// ErrRetry marks a failure that another try may not meet: the worker was killed, ran out of memory or time, or the storage failed.
// The caller counts the tries.
var ErrRetry = errors.New("the SBOM generator did not finish")

// Request asks for the SBOM of one platform manifest.
type Request struct {
	Repository store.Name
	Subject    store.Descriptor
	Manifest   []byte
	Formats    []Format
	// Open opens a blob that the manifest references; the generator closes it.
	Open func(ctx context.Context, d store.Digest) (*store.Blob, error)
}

// Document is one generated SBOM.
type Document struct {
	Format Format `json:"format"`
	Bytes  []byte `json:"-"`
}

// Result is what a generator made.
type Result struct {
	Documents []Document
	Summary   Summary
}

// Summary is the part of an SBOM that policies read (input.sbom).
type Summary struct {
	Generator  string       `json:"generator"` // name and version
	Created    time.Time    `json:"created,omitzero"`
	Distro     string       `json:"distro,omitempty"`
	DistroVer  string       `json:"distro_version,omitempty"`
	Packages   int          `json:"packages"`
	ByType     store.Counts `json:"by_type,omitempty"`
	ByLicense  store.Counts `json:"by_license,omitempty"` // by SPDX expression; of what several expressions hold for, each counts it
	Unlicensed int          `json:"unlicensed,omitempty"` // packages of which no licence is known
	// DiffIDs is "match", "mismatch" or "unknown": the layers' uncompressed digests against the config's rootfs.diff_ids.
	DiffIDs string `json:"diff_ids,omitempty"`
}

// Generator makes SBOMs. Errors that are worth another try wrap ErrRetry; any other is final and its text is the reason shown.
type Generator interface {
	Generate(ctx context.Context, r Request) (*Result, error)
}
