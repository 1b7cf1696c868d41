// Package mem holds content and metadata in memory: [KV] is a [store.KV], [Blobs] is a [store.Blobs] and a [store.Sweeper].
//
// They are drivers like the others, not mocks: they pass the same conformance suites (store/storetest) and serve where nothing has to
// outlive the process, such as a registry for one CI job, an offline evaluation, or a test. Nothing here is durable: where an interface
// promises durability, these promise it until the process ends.
package mem
