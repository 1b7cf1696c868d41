// Package outbox is what is to be done after a decision: work that is queued in the decision's own transaction, so that a crash loses none of it and no push or pull waits for it. It
// keeps the queue ([Work]) and delivers events to whoever is configured to be told ([Outbox.Run]), to each target by a worker of its own: one that does not answer holds up no other.
//
// What a decision entails is said to it; it knows neither policies nor verdicts.
package outbox
