// Package ecosystem knows how the ecosystems of packages name things: under which name and release an advisory and a package version find each other, and whose rules order
// their versions. It is a function of texts: no store, no databases.
package ecosystem
