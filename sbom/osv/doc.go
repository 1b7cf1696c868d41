// Package osv reads databases of advisories in the schema of OSV (1.0 to 1.7), as their publishers distribute them: zip files, directories, lists and lines, packed or plain. Everything has
// a limit, and what is damaged or cut off is an error: an advisory that is missing would leave a version looking clean.
package osv
