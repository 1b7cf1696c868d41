// Package store holds the vocabulary of a registry and its core.
//
// [Registry] is what clients speak to: a small interface whose values are local, remote or decorated.
// [Local] is the core: a [Blobs] driver for content and a [KV] driver for metadata, changed in serializable
// transactions. The package imports the standard library, go-digest and image-spec only.
//
// Terms are those of the OCI distribution specification 1.1 and the OCI image specification 1.1.
package store
