// Package inventory knows which SBOM speaks for an image and what it says: by whose word one goes before another, what the registry remembers of the documents that it read, which are still to be
// read, and what of it policies are told. It decides nothing, and looks at nobody's verdict.
package inventory
