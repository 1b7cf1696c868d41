// Package bolt keeps metadata in one bbolt file: [KV] is a [store.KV].
//
// Writers are grouped: one goroutine takes everybody who waits, runs their checks and applies one after another in one transaction, commits it with
// two fdatasync calls (data pages, then the page that names them) and answers them all. There is no timer: a lone writer waits for nobody, and the
// slower the disk the larger the groups.
//
// A nil answer means that the change is on disk. When the disk is full before the commit was named, the change is dropped and the store goes on;
// after any other failure of a commit nobody knows what the disk holds, so [Options.Fatal] is called and the store refuses everything.
// store/fs/DESIGN.md explains both.
package bolt
