// Package estate is a private Sigstore instance in memory, for tests: a certificate authority as Fulcio is one, a certificate log, transparency logs as
// Rekor 1 and 2 keep them, timestamping authorities (RFC 3161), the trusted root that describes them, and signers that write every form in which a
// signature of a manifest is kept. [Estate.Handler] serves it to real clients.
//
// Keys come from a seed and times from a clock that is passed in, so that two runs sign alike. Nothing that ships may import it: whoever knows the seed
// can sign. Functions panic where a library refuses the estate's own values, which is a bug of the estate; what clients send is answered with an error.
package estate
