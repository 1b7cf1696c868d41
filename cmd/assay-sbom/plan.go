package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/licensecheck"
)

// plan decides, while a layer streams by, whose content is worth keeping. It only has to be a good guess: a file that is asked for and was
// not kept is read again from its layer. Patterns are sorted by what their last segment says, so that a path is compared with a handful of
// them and not with three hundred.
type plan struct {
	literal  map[string][]pattern // by base name
	suffix   map[byte][]pattern   // by last byte of the base name
	prefix   map[byte][]pattern   // by first byte of the base name
	parent   map[string][]pattern // "dir/*", by base name of the directory
	rest     []pattern
	digest   string // of all patterns
	scan     func([]byte) licensecheck.Coverage
	coverage float64 // from which on a text is a licence, of 100
}

// pattern is one glob. anywhere says that the last segment alone decides ("**/NAME").
type pattern struct {
	glob       string
	start, end string
	anywhere   bool
}

// related are files that the cataloguers read because of what they found in another one: they cannot be learned from an empty image.
var related = [...]string{
	"/usr/share/doc/*/copyright", "**/dpkg/info/*.md5sums", "**/dpkg/info/*.conffiles", "**/dpkg/status.d/*.md5sums", "/etc/debian_version",
	"**/*dist-info/RECORD", "**/*dist-info/top_level.txt", "**/*dist-info/direct_url.json", "**/*egg-info/installed-files.txt",
	"**/*egg-info/top_level.txt", "**/*egg-info/SOURCES.txt", "**/*dist-info/licenses/**", "**/pyvenv.cfg",
	"/etc/apk/repositories", "**/pacman/local/*/desc", "**/pacman/local/*/files", "**/pacman/local/*/mtree",
	"**/var/db/pkg/*/*/LICENSE", "**/var/db/pkg/*/*/SIZE", "/etc/portage/license_groups", "**/nix/var/nix/db/schema", "**/libman.json",
	"/etc/apt/auth.conf.d/90ubuntu-advantage", "/var/lib/ubuntu-advantage/status.json", "**/VERSION", "**/VERSION.txt", "**/version.txt", "**/libjli.so*", "**/libpython*.so*",
	"**/libruby*.so*",
	"**/{LICENSE,LICENCE,License,license,licence,UNLICENSE,COPYING,NOTICE,MIT-LICENSE}*",
}

// newPlan compiles globs as cataloguers write them.
func newPlan(globs []string) *plan {
	p := &plan{literal: map[string][]pattern{}, suffix: map[byte][]pattern{}, prefix: map[byte][]pattern{}, parent: map[string][]pattern{}}
	seen := map[string]bool{}
	sum := sha256.New()
	for _, g := range slices.Sorted(slices.Values(globs)) {
		fmt.Fprintf(sum, "%q\n", g)
		for _, e := range expand(cleanGlob(g)) {
			if !seen[e] && doublestar.ValidatePattern(e) {
				seen[e] = true
				p.compile(e)
			}
		}
	}
	p.digest = hex.EncodeToString(sum.Sum(nil)[:8])
	return p
}

func (p *plan) compile(g string) {
	dir, base := path.Split(g)
	q := pattern{glob: g, anywhere: dir == "**/"}
	first, last := strings.IndexAny(base, meta), strings.LastIndexAny(base, meta)
	switch {
	case first < 0:
		p.literal[base] = append(p.literal[base], q)
	case base == "*" && !strings.ContainsAny(path.Base(dir), meta):
		p.parent[path.Base(dir)] = append(p.parent[path.Base(dir)], q)
	case strings.ContainsAny(base, "[]{}\\"):
		p.rest = append(p.rest, q)
	case first > 0:
		q.start, q.end = base[:first], base[last+1:]
		q.anywhere = q.anywhere && first == last && base[first] == '*'
		p.prefix[base[0]] = append(p.prefix[base[0]], q)
	case last < len(base)-1:
		q.end = base[last+1:]
		q.anywhere = q.anywhere && last == 0 && base[0] == '*'
		p.suffix[base[len(base)-1]] = append(p.suffix[base[len(base)-1]], q)
	default:
		p.rest = append(p.rest, q)
	}
}

// wants reports whether some pattern matches the clean absolute path.
func (p *plan) wants(name string) bool {
	base := baseOf(name)
	if base == "" {
		return false
	}
	return anyMatch(p.literal[base], name, base) || anyMatch(p.suffix[base[len(base)-1]], name, base) ||
		anyMatch(p.prefix[base[0]], name, base) || anyMatch(p.parent[baseOf(path.Dir(name))], name, base) || anyMatch(p.rest, name, base)
}

func anyMatch(patterns []pattern, name, base string) bool {
	for _, q := range patterns {
		if len(base) < len(q.start)+len(q.end) || !strings.HasPrefix(base, q.start) || !strings.HasSuffix(base, q.end) {
			continue
		}
		if q.anywhere || doublestar.MatchUnvalidated(q.glob, name) {
			return true
		}
	}
	return false
}

// meta are the characters that make a glob of a path.
const meta = "*?[]{}"

// cleanGlob makes a glob absolute ("/..." or "**...") and its slashes single.
func cleanGlob(g string) string {
	g = strings.TrimSpace(g)
	for strings.Contains(g, "//") {
		g = strings.ReplaceAll(g, "//", "/")
	}
	if len(g) > 1 {
		g = strings.TrimRight(g, "/")
	}
	g = strings.TrimPrefix(g, "/")
	if strings.HasPrefix(g, "**") {
		return g
	}
	return "/" + g
}

// expand writes out the first brace alternatives of the last segment: "**/{a,b}*" becomes "**/a*" and "**/b*".
func expand(g string) []string {
	at := strings.LastIndexByte(g, '/') + 1
	open := strings.IndexByte(g[at:], '{')
	if open < 0 || strings.Contains(g[:at], "{") {
		return []string{g}
	}
	open += at
	shut := strings.IndexByte(g[open:], '}')
	if shut < 0 || strings.Count(g[at:], "{") != 1 {
		return []string{g}
	}
	shut += open
	var out []string
	for alt := range strings.SplitSeq(g[open+1:shut], ",") {
		out = append(out, g[:open]+alt+g[shut+1:])
	}
	return out
}
