// Package imagecmd is the commands that say how it stands with an image and why: assay tree, verify, explain, decision, obligations and repo. assay verify works without a
// registry of ours, too: on any registry, or an OCI layout on the disk.
package imagecmd
