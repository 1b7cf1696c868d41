// Package bounded has built-ins of OPA as policies may call them.
//
// No deadline can interrupt a single call, and a Go program cannot survive running out of memory: a built-in whose one call can make far more than it was given stands behind a check of what it would
// make. Calls are rewritten to go there while a policy is compiled ([Stage]). Plans have shorter ways for what is usual, and some take what they are given without having it made ([ForPlans], [Unread]);
// whatever is not usual is left to OPA, and tests hold both equal to the letter.
package bounded
