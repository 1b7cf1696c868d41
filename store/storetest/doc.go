// Package storetest holds the conformance suites of the drivers of package store, and what breaks them on purpose.
//
// A driver or a decorator calls [TestKV] from its own tests; every clause of the interface's comment is a subtest.
package storetest
