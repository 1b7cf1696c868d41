// Package imagecmd is the commands that say how it stands with an image and why: assay tree, verify, explain, decision, obligations and repo. What verifies without
// a registry of ours is in package verifyhere.
package imagecmd
