// Package trust is what verdicts depend on beside the evidence: who is trusted for what, what administrators withdrew, what TUF repositories say, and which verdicts all
// of that put in doubt. A [Snapshot] never changes once it was sealed; a change of trust is a copy with the next sequence, which commits with the record of it.
//
// It verifies nothing and decides nothing. Waivers, which authorities sign too, are kept beside it, by whoever puts both into force.
package trust
