//go:build !planted1 && !planted2 && !planted3

package policy

// planted is the number of the bug that a build tag plants, so that the model test can show that it would find it. Zero in every real build:
// the compiler drops the branches.
const planted = 0
