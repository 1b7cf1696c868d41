package main

import "runtime/debug"

// restrainMemory makes the garbage collector work harder before the hard limit is reached. The share leaves room for what it does not see:
// the program itself, stacks, and fragmentation.
func restrainMemory(memory int64) {
	debug.SetMemoryLimit(memory * 3 / 4)
	debug.SetGCPercent(50)
}
