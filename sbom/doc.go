// Package sbom makes, attaches and reads software bills of materials.
//
// The generator itself (syft) is a program of its own, cmd/assay-sbom: this package speaks to it as a child process with limits,
// and turns what it made into referrers that no client can take for a signature on the image.
package sbom
