// Package vsa is the registry's word for an admission: a SLSA verification summary ([Statement]) made of an input and the decision about it, as a pure function, signed as an in-toto
// attestation. [Options.Mark] names what one says apart from its times, and [Record] is what the store keeps, so that one is written again only where it would say something else.
//
// When that is done, and in which transaction, is the business of package policy.
package vsa
