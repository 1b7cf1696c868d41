// Package fs keeps content in files: [Blobs] is a [store.Blobs] and a [store.Sweeper].
//
//	<root>/lock                       held by the one process that may write
//	<root>/blobs/sha256/ab/abcd...    content, named by its digest, complete and durable from the moment the name exists
//	<root>/uploads/<id>               what a session received
//	<root>/uploads/<id>.json          the session: scope, size, state of the running hash
//
// Content arrives in one pass: read, written, hashed. Seal syncs the file, renames it to its digest and syncs the directory, in that order, so
// that a name never stands for less than its content. Up to store.InlineLimit bytes stay in memory and go to the caller.
//
// A full disk is an answer (CodeStorageFull) after which the session continues where it was. A failed sync is not: [Options.Fatal] is called, because nobody
// knows what the disk holds. DESIGN.md has the reasons.
package fs
