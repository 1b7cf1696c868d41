// Package access says who may do what, as pure functions: [Principal] is who asks, with the roles of that moment; [Reads] is the reads table of the contract, whose every cell is a
// line of testdata/reads.golden.
//
// It knows no manifest and no store: what state a thing is in is found by the caller, in the transaction in which it matters. So the whole table is read, and tested, at once.
package access
