// Package settings reads a file of settings strictly into one structure, whose tags say everything: every problem is noted with its place and its remedy, and the same tags make the schema
// for editors and the listing of what is in force.
package settings
