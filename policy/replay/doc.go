// Package replay says what would change if another set of policies were in force: it goes through everything that is stored, indexes before what they list, and through what was asked lately, has
// both sets decide, and reports where they differ. Who decides is behind [Gate]; nothing is written.
package replay
