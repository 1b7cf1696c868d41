// Package pulls counts pulls, for one question: who would notice if this image were denied. A pull adds to a table in memory ([Counter.Count]), within bounds and without an
// allocation; whoever owns the counter has the table added to the store once a minute, so that a crash loses that minute. What there was no room for is told.
package pulls
