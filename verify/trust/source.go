package trust

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Source is where a repository's files come from. One refresh reads from one source, from one goroutine.
type Source interface {
	// Fetch reads a file. The name is "12.root.json", "timestamp.json", "3.targets.json", or "targets/" and the target's path, its last element preceded by
	// a hash and a dot where the repository has consistent snapshots; all but the slashes of a target's path is percent-encoded as in a URL
	// (RFC 3986, letters, digits and "-._~" stand for themselves). Errors: ErrNotFound, ErrTooBig for more than limit bytes, ErrUnavailable.
	Fetch(ctx context.Context, name string, limit int64) ([]byte, error)
}

// targetsDir is where the content of targets is.
const targetsDir = "targets/"

// quote percent-encodes everything but letters, digits and "-._~", slashes too: a role's name is one element of a path, whatever it contains.
func quote(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString(string([]byte{'%', digits[c>>4], digits[c&15]}))
	}
	return b.String()
}

// FileName is the name of the file in which a role's metadata is kept, without a version: whatever the role is called, it is one element of a path.
func FileName(role string) string { return fileName(role, 0) }

// fileName is the name of a role's metadata; version 0 is without.
func fileName(role string, version int64) string {
	if version == 0 {
		return quote(role) + ".json"
	}
	return strconv.FormatInt(version, 10) + "." + quote(role) + ".json"
}

// targetName is the name of a target's content; hash "" is without.
func targetName(target, hash string) string {
	parts := strings.Split(target, "/")
	for i, p := range parts {
		parts[i] = quote(p)
	}
	if hash != "" {
		parts[len(parts)-1] = hash + "." + parts[len(parts)-1]
	}
	return targetsDir + strings.Join(parts, "/")
}

// plainName is how a name is spelt in a file system: metadata as it is, targets without percent-encoding. "" is no such name.
func plainName(name string) string {
	if target, ok := strings.CutPrefix(name, targetsDir); ok {
		plain, err := url.PathUnescape(target)
		if err != nil {
			return ""
		}
		name = targetsDir + plain
	}
	if !fs.ValidPath(name) {
		return ""
	}
	return name
}

// readAll reads at most limit bytes.
func readAll(r io.Reader, name string, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, failf(ErrUnavailable, "", "%s could not be read to its end: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, tooBig(name, limit)
	}
	return b, nil
}

func tooBig(name string, limit int64) error {
	return failf(ErrTooBig, "", "%s has more than the %d bytes that are read of it", name, limit)
}

func notFound(name string) error {
	return failf(ErrNotFound, "", "the repository has no %s", name)
}

// layouts are the folders in which metadata and targets may lie, by preference: the first one that has a timestamp.json is used.
var layouts = [...]string{"", "metadata"}

type directory struct{ fsys fs.FS }

// Directory reads a repository from files: timestamp.json with targets/ beside it, or metadata/timestamp.json with targets/ beside metadata/.
func Directory(fsys fs.FS) Source { return directory{fsys} }

// Fetch is [Source].
func (d directory) Fetch(_ context.Context, name string, limit int64) ([]byte, error) {
	plain := plainName(name)
	if plain == "" {
		return nil, notFound(name)
	}
	if !strings.HasPrefix(name, targetsDir) {
		plain = path.Join(d.layout(), plain)
	}
	f, err := d.fsys.Open(plain)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(name)
	}
	if err != nil {
		return nil, failf(ErrUnavailable, "", "%s could not be opened: %w", name, err)
	}
	defer func() { _ = f.Close() }()
	return readAll(f, name, limit)
}

func (d directory) layout() string {
	for _, dir := range layouts {
		if _, err := fs.Stat(d.fsys, path.Join(dir, "timestamp.json")); err == nil {
			return dir
		}
	}
	return ""
}
