package verify

import (
	"time"

	"github.com/assay-registry/assay/store"
)

// TUFState is what one TUF repository says, after its metadata was verified from the authority's first root on. It is immutable; its maker is verify/trust,
// its keeper is policy, which puts it into force and stores it in one transaction.
type TUFState struct {
	Authority string `json:"authority"` // of kind tuf
	Root      int64  `json:"root"`      // versions of the top-level roles
	Timestamp int64  `json:"timestamp"`
	Snapshot  int64  `json:"snapshot"`
	Targets   int64  `json:"targets"`
	// Revision names everything that a verdict can depend on, "sha256:<64 hex>": pins, material and policies, not the versions and ends.
	Revision  string    `json:"revision"`
	Expires   time.Time `json:"expires"` // the earliest end of the metadata in use
	CheckedAt time.Time `json:"checked_at"`

	Pins []Pin `json:"pins,omitempty"` // ordered by repository and tag; one for each
	// Material is what targets trust/<authority>/trusted_root.json and trust/<authority>/keys/*.pem hold, by authority.
	Material map[string]Material `json:"material,omitempty"`
	// Policies are the targets policies/**.rego and policies/data.json by path, without the leading policies/.
	Policies map[string][]byte `json:"policies,omitempty"`

	// Problems are sentences about delegated roles and targets that could not be used, and pin nothing; at most 64.
	Problems []string `json:"problems,omitempty"`

	// Metadata is what the client needs to go on from here: opaque to everybody else.
	Metadata []byte `json:"metadata,omitempty"`
}

// Pin says that a tag of a repository means one manifest: a TUF target of the name <repository>/<tag>.
type Pin struct {
	Repository store.Name   `json:"repository"`
	Tag        string       `json:"tag"`
	Digest     store.Digest `json:"digest"`
	Length     int64        `json:"length"`  // bytes of the manifest
	Role       string       `json:"role"`    // that signed it
	Version    int64        `json:"version"` // of that role's metadata
}

// Target is the name of the TUF target.
func (p Pin) Target() string { return string(p.Repository) + "/" + p.Tag }

// Material is what a TUF repository supplies to another authority. Who may sign, and for which repositories, stays in the configuration.
type Material struct {
	TrustedRoot string `json:"trusted_root,omitempty"`
	Keys        []Key  `json:"keys,omitempty"`
}
