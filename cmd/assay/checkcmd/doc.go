// Package checkcmd is the commands that look whether things are as they should be: assay check, of what is stored, and assay config.
package checkcmd
