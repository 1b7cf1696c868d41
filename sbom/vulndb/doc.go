// Package vulndb is the form in which databases of vulnerabilities travel: an OCI artifact, in a registry or as an image layout in a tar archive.
//
//	config   application/vnd.assay.vulndb.v1.config+json     [Description]: name, time, revision, what it was made of
//	layer    application/vnd.assay.vulndb.v1.osv+jsonl+zstd   advisories, OSV's JSON, one a line
//	layer    application/vnd.assay.vulndb.v1.epss+csv+zstd    scores of EPSS, as FIRST publishes them
//	layer    application/vnd.assay.vulndb.v1.kev+json+zstd    what is known to be exploited, as CISA publishes it
//
// At least one layer is there, and none twice. The artifact is made of files as their publishers distribute them, with the same bytes each time. Its signature covers the manifest, and with it
// name, revision and every layer; who may sign is the caller's question. See DESIGN.md beside sbom/vulns for what becomes of the content.
package vulndb
