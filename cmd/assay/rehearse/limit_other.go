//go:build !linux

package rehearse

// limit has no means here: the stack and the time are bounded all the same.
func limit() error { return nil }
