package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"golang.org/x/sys/unix"
)

// existing is the directory, or where it would be made.
func existing(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return dir
		}
		dir = parent
	}
}

// clockSane compares the clock with what was written before: tokens, quarantine and certificates depend on it.
func clockSane(_ context.Context, a *cli.App, cfg *config.Config) []finding {
	const name = "clock"
	now := a.Clock()
	if now.Year() < 2026 || now.Year() > 2100 {
		return []finding{{name, broken, fmt.Sprintf("it is not %s; set the clock", now.UTC().Format(time.RFC3339))}}
	}
	if info, err := os.Stat(filepath.Join(cfg.Data, "meta.db")); err == nil && info.ModTime().After(now.Add(time.Minute)) {
		return []finding{{name, broken, fmt.Sprintf("it says %s, and the metadata was written at %s; set the clock", now.UTC().Format(time.RFC3339), info.ModTime().UTC().Format(time.RFC3339))}}
	}
	return []finding{{name, fine, now.UTC().Format(time.RFC3339)}}
}

// The free space below which the doctor warns and fails, in bytes.
const (
	littleSpace = 5 << 30
	noSpace     = 256 << 20
)

func diskFree(_ context.Context, _ *cli.App, cfg *config.Config) []finding {
	dir := existing(cfg.Data)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return []finding{{"disk space", broken, err.Error()}}
	}
	free := int64(st.Bavail) * st.Bsize
	detail := fmt.Sprintf("%.1f GiB free in %s", float64(free)/(1<<30), dir)
	switch {
	case free < noSpace || st.Files > 0 && st.Ffree < 1000:
		return []finding{{"disk space", broken, detail + fmt.Sprintf(", %d files more", st.Ffree)}}
	case free < littleSpace:
		return []finding{{"disk space", warning, detail}}
	}
	return []finding{{"disk space", fine, detail}}
}

// slowSync is where every push would be slow.
const slowSync = 50 * time.Millisecond

// syncWorks writes and syncs a file as a push does, and says how long that takes.
func syncWorks(_ context.Context, a *cli.App, cfg *config.Config) []finding {
	dir := existing(cfg.Data)
	f, err := os.CreateTemp(dir, ".assay-doctor-*")
	if err != nil {
		return []finding{{"fsync", broken, err.Error()}}
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	var took []time.Duration
	page := bytes.Repeat([]byte{1}, 4096)
	for range 9 {
		began := a.Clock()
		if _, err := f.Write(page); err != nil {
			return []finding{{"fsync", broken, err.Error()}}
		}
		if err := f.Sync(); err != nil {
			return []finding{{"fsync", broken, err.Error()}}
		}
		took = append(took, a.Clock().Sub(began))
	}
	if err := place.SyncDirectory(dir); err != nil {
		return []finding{{"fsync", broken, "of the directory: " + err.Error()}}
	}
	slices.Sort(took)
	median := took[len(took)/2]
	detail := fmt.Sprintf("%s in %s", median.Round(time.Microsecond), dir)
	if median > slowSync {
		return []finding{{"fsync", warning, detail + ": pushes will be slow"}}
	}
	return []finding{{"fsync", fine, detail}}
}

// permissions looks at the directory and the registry's own keys.
func permissions(_ context.Context, _ *cli.App, cfg *config.Config) []finding {
	data := cfg.Data
	info, err := os.Stat(data)
	if errors.Is(err, iofs.ErrNotExist) {
		return []finding{{"data directory", fine, data + " will be made"}}
	}
	if err != nil {
		return []finding{{"data directory", broken, err.Error()}}
	}
	found := []finding{{"data directory", fine, data}}
	if info.Mode().Perm()&0o077 != 0 {
		found[0] = finding{"data directory", warning, fmt.Sprintf("%s has mode %04o: others can look into it; chmod 700", data, info.Mode().Perm())}
	}
	for _, name := range []string{place.KeySBOM, place.KeyVerdict, place.KeyLog, place.KeyToken} {
		path := filepath.Join(data, "keys", name)
		_, err := place.ReadKey(path)
		switch {
		case errors.Is(err, iofs.ErrNotExist):
		case err != nil:
			found = append(found, finding{"key " + name, broken, err.Error()})
		default:
			found = append(found, finding{"key " + name, fine, path})
		}
	}
	return found
}
