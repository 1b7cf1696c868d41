// Package pins is what a TUF repository says, ready for look-ups: which manifest a tag means, and which tags mean a manifest, without a scan, whatever their number. A [Set] is
// immutable; whether its word counts, and for whom, is the business of the caller's trust.
package pins
