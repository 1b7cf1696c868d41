// Package advisory compiles advisories into the form in which versions are compared with them, writes and reads that form, and says which versions of a package an advisory concerns. It has no
// store: what it reads and writes are bytes.
package advisory
