// Package tufdir keeps a TUF repository in a directory of the disk, from which no name leads out and which one editor holds at a time.
package tufdir
