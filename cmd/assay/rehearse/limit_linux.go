package rehearse

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// limit bounds what this process may take from now on. Where memory runs out nevertheless, this process is to go and not the server.
func limit() error {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // a courtesy where /proc is not to be written
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
