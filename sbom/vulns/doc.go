// Package vulns matches advisories with the packages of all images, offline.
//
// Its state is kept per package version, never per image: a new database is compared with the installed one, the names that differ are evaluated again, and the
// postings of sbom/index say which images that concerns. It lives in a key space of the store. See DESIGN.md.
package vulns
