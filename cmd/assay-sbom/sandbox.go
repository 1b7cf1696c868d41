package main

import "runtime/debug"

// restrainMemory makes the garbage collector work harder before the hard limit is reached, and hardly until then: most images never come near. The
// share leaves room for what it does not see: the program itself, stacks, and fragmentation.
func restrainMemory(memory int64) {
	debug.SetMemoryLimit(memory * 3 / 4)
	debug.SetGCPercent(400)
}
