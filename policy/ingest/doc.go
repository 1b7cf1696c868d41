// Package ingest reads the documents that SBOMs are: those that are to be indexed, for the index; and, from the index and the document behind it, what policies ask of packages. Which document
// counts for an image is the inventory's to say.
package ingest
