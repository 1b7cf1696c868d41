// Package asked remembers what was asked lately at the entry points push and k8s, so that a replay can ask a candidate the same: of each the newest different requests. Remembered is who asked for
// what, not what the policies were told: that is found anew from what is stored. Only of a push that was refused nothing is stored, and the document itself is kept.
package asked
