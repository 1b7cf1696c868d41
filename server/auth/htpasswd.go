package auth

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of an htpasswd file and of what it says.
const (
	maxHtpasswd = 4 << 20
	maxUserName = 255
	minCost     = 4
	maxCost     = 14 // about a second: more would let one login occupy a processor
)

// ParseHtpasswd reads "user:hash" lines with bcrypt hashes ($2a$, $2b$, $2y$), as "htpasswd -B" writes them. Empty lines and lines that
// begin with '#' are skipped. An error names the line, never its content.
func ParseHtpasswd(r io.Reader) (map[string]string, error) {
	users := make(map[string]string)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		if !ok || !validUserName(name) {
			return nil, fmt.Errorf("line %d is not user:hash", n)
		}
		if _, err := costOf(hash); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, ok := users[name]; ok {
			return nil, fmt.Errorf("line %d names a user a second time", n)
		}
		users[name] = hash
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("the file has a line that is too long: %w", err)
	}
	return users, nil
}

// validUserName: what Basic authentication can carry, without control characters.
func validUserName(s string) bool {
	if s == "" || len(s) > maxUserName || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < ' ' || r == ':' || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return true
}

var errNotBcrypt = errors.New("only bcrypt hashes are accepted; make one with htpasswd -B")

// costOf checks the form of a bcrypt hash, "$2y$10$" and 53 characters of its own base64, and reads the cost.
func costOf(hash string) (int, error) {
	if len(hash) != 60 || hash[:2] != "$2" || hash[3] != '$' || hash[6] != '$' || strings.IndexByte("aby", hash[2]) < 0 {
		return 0, errNotBcrypt
	}
	for _, c := range []byte(hash[7:]) {
		if (c < '.' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return 0, errNotBcrypt
		}
	}
	tens, ones := int(hash[4])-'0', int(hash[5])-'0'
	if tens < 0 || tens > 9 || ones < 0 || ones > 9 {
		return 0, errNotBcrypt
	}
	if cost := tens*10 + ones; cost >= minCost && cost <= maxCost {
		return cost, nil
	}
	return 0, fmt.Errorf("the bcrypt cost is not between %d and %d", minCost, maxCost)
}

// settled is how old a file must be for its time to tell a later change of the same size: time stamps are coarse.
const settled = 2 * time.Second

// htpasswd is a file that is read again when its time or size changed.
type htpasswd struct {
	files   fs.FS
	name    string
	modTime time.Time
	size    int64
	fresh   bool // the last read was not settled: read again
	users   map[string]string
}

// load reads the file if it changed since the last call. A file that is gone has no users. One that does not parse is an error, and the
// users stay those of the last good one: half of an edit must lock nobody out.
func (f *htpasswd) load(now time.Time) (changed bool, err error) {
	info, err := fs.Stat(f.files, f.name)
	if errors.Is(err, fs.ErrNotExist) {
		changed = len(f.users) > 0
		*f = htpasswd{files: f.files, name: f.name}
		return changed, fmt.Errorf("the htpasswd file is missing: %w", err)
	}
	if err != nil {
		return false, fmt.Errorf("read the htpasswd file: %w", err)
	}
	if f.users != nil && !f.fresh && info.ModTime().Equal(f.modTime) && info.Size() == f.size {
		return false, nil
	}
	if info.Size() > maxHtpasswd {
		return false, fmt.Errorf("the htpasswd file is larger than %d bytes", maxHtpasswd)
	}
	content, err := fs.ReadFile(f.files, f.name)
	if err != nil {
		return false, fmt.Errorf("read the htpasswd file: %w", err)
	}
	users, err := ParseHtpasswd(bytes.NewReader(content))
	if err != nil {
		return false, fmt.Errorf("the htpasswd file is malformed and its last good content stays in use: %w", err)
	}
	f.users, f.modTime, f.size = users, info.ModTime(), info.Size()
	f.fresh = now.Sub(info.ModTime()) < settled
	return true, nil
}
