// Package explain answers people: why something may be pulled or not and what would change that, which decision was made of what, and how it came about. It reads what the gate kept, shows each
// caller what that caller could GET, and decides nothing.
package explain
