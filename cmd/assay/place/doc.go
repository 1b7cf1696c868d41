// Package place is what a command finds on its own machine: the configuration, with its trust checked by the very engines that verify; the data directory, its lock, and the
// registry's own keys in it; and the files in which a server leaves word of how things stand.
package place
