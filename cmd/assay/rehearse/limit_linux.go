package rehearse

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// limit bounds what this process may take from now on.
func limit() error {
	for _, l := range []struct {
		resource int
		max      uint64
	}{{unix.RLIMIT_DATA, maxMemory}, {unix.RLIMIT_CPU, maxCPU}, {unix.RLIMIT_CORE, 0}, {unix.RLIMIT_FSIZE, 0}} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return fmt.Errorf("limit %d: %w", l.resource, err)
		}
	}
	return nil
}
