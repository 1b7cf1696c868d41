// Package storetest holds the conformance suites of the drivers of package store, and what breaks them on purpose.
//
// A driver or a decorator calls [TestKV], [TestBlobs] or [TestSweeper] from its own tests; every clause of the interfaces' comments is a subtest.
//
// [Faults] wraps a [store.KV] or a [store.Blobs] and fails chosen writes, in both ways: without effect, and with it. [FaultFS] does the same one level
// lower, to the file system under store/fs, and [CrashFS] cuts the power there. [Strict] finds callers that keep what a transaction lent them.
package storetest
