// Package decisionlog is the log of verdicts and refusals. [Log.Record] never waits and never fails: events are counted in memory, within bounds for all and for each client, and
// written once a second to a journal. What there is no room for is counted, and told in the next line.
//
// It knows events, not why they came about, and not who may read them.
package decisionlog
