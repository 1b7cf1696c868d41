package main

import "runtime/debug"

// restrainMemory makes the garbage collector work harder before the hard limit is reached, and hardly until then: most images never come near. The
// share leaves room for what it does not see: the program itself, stacks, and fragmentation. More than this share made no image cheaper (the kernel's work grows
// as the collector's shrinks), less made them dearer.
func restrainMemory(memory int64) {
	debug.SetMemoryLimit(memory * 5 / 8)
	debug.SetGCPercent(400)
}
