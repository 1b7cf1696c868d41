// Package sbomcmd is assay sbom: documents are fetched, packages looked up in all images, images compared, and the generator looked at.
package sbomcmd
