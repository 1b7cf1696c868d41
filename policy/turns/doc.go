// Package turns is who may do something now, where only so many may at a time: one principal after another, so that whoever asks without end waits for that alone.
package turns
