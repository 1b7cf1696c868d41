// Package waiver is exceptions from policies: the signed document that somebody answers for ([Waiver], read strictly, because a member that is not understood could have been meant
// to narrow), and the one place where it has an effect ([Waive], pure, the same for a pull, a replay, a cluster and by hand).
//
// Whose signature counts, and where, is the business of the caller's trust. No answer and what is revoked cannot be waived; all codes at once can, for a day.
package waiver
