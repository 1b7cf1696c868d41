// Package sight is how a manifest stands at some moment, and what of it a caller is shown: what every question about the registry has to ask first, and the refusals that all of them give.
//
// It looks up and compares; what is in doubt is decided above it.
package sight
