//go:build !planted3

package trust

// planted is whether a build tag plants a bug here: a restart forgets what was revoked. False in every real build: the compiler drops the branch.
const planted = false
