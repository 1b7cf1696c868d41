// Package vulnscmd is the commands that count and list what is known of images: assay vulns, as a table or SARIF, and assay report.
package vulnscmd
