// Package storetest holds the conformance suites of the drivers of package store, and what breaks them on purpose.
//
// A driver or a decorator calls [TestKV], [TestBlobs] or [TestSweeper] from its own tests; every clause of the interfaces' comments is a subtest.
package storetest
