// Package shadow puts a staged set of policies beside the one in force: a [Pair] decides as the latter and has the former decide the same afterwards, and a [Tally] counts where they
// differ. That has no effect on decisions, nor on who waits for them. A rollout is judged over days, so that what was counted is kept in the store for the set that was staged then.
package shadow
