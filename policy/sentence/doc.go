// Package sentence makes what people are shown: one sentence of at most [Max] bytes with what happened, why, and what to do. Clients cut what is longer, so what may be cut is decided
// here: the middle of a reason first, never its remedy, and never within a character.
package sentence
