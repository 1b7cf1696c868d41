package sbom

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// scratchPrefix begins the name of every worker's private directory; the process that made it follows, so that what a dead one left is known.
const scratchPrefix = "assay-sbom-"

// defaultScratch prefers memory to disk.
func defaultScratch() string {
	const shared = "/dev/shm"
	if dir, err := os.MkdirTemp(shared, scratchPrefix+strconv.Itoa(os.Getpid())+"-"); err == nil {
		os.Remove(dir)
		return shared
	}
	return os.TempDir()
}

func newScratch(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, scratchPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", fmt.Errorf("no temporary directory: %w", err)
	}
	return dir, nil
}

// sweepScratch removes directories of processes that are gone.
func sweepScratch(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), scratchPrefix)
		if !ok || !e.IsDir() {
			continue
		}
		number, _, _ := strings.Cut(rest, "-")
		if pid, err := strconv.Atoi(number); err == nil && pid > 0 && !alive(pid) {
			os.RemoveAll(filepath.Join(parent, e.Name()))
		}
	}
}

// sizeOf adds up the files below dir; what vanishes meanwhile does not count.
func sizeOf(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}
