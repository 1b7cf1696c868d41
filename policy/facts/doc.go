// Package facts judges signatures and attestations of an input by what a policy wants of them: which count, who made them, and of those that do not count, which is the fewest steps away. A fact is
// believed as it stands: what is verified was verified by whoever made the input.
package facts
