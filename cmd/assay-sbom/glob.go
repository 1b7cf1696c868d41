package main

import (
	"path"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// search finds the paths that match one glob. Candidates come from what the last segment says; each is compared under its own path first,
// then under the names it has through links to its directories. Braces in the last segment are alternatives.
func (r *resolver) search(glob string) []hit {
	glob = cleanGlob(glob)
	if !strings.ContainsAny(glob, meta) {
		if i := r.file(glob); i != none {
			return []hit{{i, path.Clean(glob)}}
		}
		return nil
	}
	if !doublestar.ValidatePattern(glob) {
		return nil
	}
	var out []hit
	for _, g := range expand(glob) {
		out = append(out, r.alternative(g)...)
	}
	return out
}

func (r *resolver) alternative(g string) []hit {
	dir, base := path.Split(g)
	parent := path.Base(dir)
	first, last := strings.IndexAny(base, meta), strings.LastIndexAny(base, meta)
	switch {
	case base == "*" && dir != "/" && !strings.ContainsAny(parent, meta):
		var out []hit
		for _, i := range r.named(parent) {
			for _, p := range r.inDirectory(i) {
				out = r.compare(out, g, p)
			}
		}
		return out
	case first < 0:
		return r.compareAll(g, r.named(base), "")
	case strings.Trim(base, "*?") == "":
		return r.below(g)
	case strings.ContainsAny(base, "[]{}\\"):
		return r.compareAll(g, r.prefixed(base[:first]), "")
	case first == 0 && last < len(base)-1:
		return r.compareAll(g, r.ending(base[len(base)-1]), base[last+1:])
	default:
		return r.compareAll(g, r.prefixed(base[:first]), base[last+1:])
	}
}

// ending returns the nodes whose name ends in a byte.
func (r *resolver) ending(last byte) []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends == nil {
		r.ends = map[byte][]int32{}
		for _, i := range r.names {
			p := r.node(i).path
			r.ends[p[len(p)-1]] = append(r.ends[p[len(p)-1]], i)
		}
	}
	return r.ends[last]
}

// named returns the nodes with this base name.
func (r *resolver) named(base string) []int32 {
	from := sort.Search(len(r.names), func(k int) bool { return baseOf(r.node(r.names[k]).path) >= base })
	to := from
	for to < len(r.names) && baseOf(r.node(r.names[to]).path) == base {
		to++
	}
	return r.names[from:to]
}

// prefixed returns the nodes whose base name begins with prefix.
func (r *resolver) prefixed(prefix string) []int32 {
	if prefix == "" {
		return r.names
	}
	from := sort.Search(len(r.names), func(k int) bool { return baseOf(r.node(r.names[k]).path) >= prefix })
	rest := r.names[from:]
	return rest[:sort.Search(len(rest), func(k int) bool { return !strings.HasPrefix(baseOf(r.node(rest[k]).path), prefix) })]
}

func (r *resolver) compareAll(g string, candidates []int32, suffix string) []hit {
	var out []hit
	last := baseOf(g)
	for _, i := range candidates {
		p := r.node(i).path
		if !strings.HasSuffix(p, suffix) {
			continue
		}
		if ok, _ := doublestar.Match(last, baseOf(p)); ok {
			out = r.compare(out, g, p)
		}
	}
	return out
}

// compare adds p, or the first other name of it that matches.
func (r *resolver) compare(out []hit, g, p string) []hit {
	tries := maxAliases
	if name := r.firstMatch(g, p, map[string]bool{}, &tries); name != "" {
		if i := r.file(name); i != none {
			return append(out, hit{i, name})
		}
	}
	return out
}

func (r *resolver) firstMatch(g, p string, seen map[string]bool, tries *int) string {
	if seen[p] || *tries <= 0 {
		return ""
	}
	*tries--
	seen[p] = true
	if doublestar.MatchUnvalidated(g, p) && r.im.tree.resolve(p, true) != none {
		return p
	}
	for at := 1; at < len(p); at++ {
		if at = nextSlash(p, at); at < 0 {
			break
		}
		dir := p[:at]
		i := r.im.tree.lookup(dir)
		if i == none || len(r.links[i]) == 0 || seen[dir+"/"] {
			continue
		}
		seen[dir+"/"] = true
		for _, link := range r.links[i] {
			if name := r.firstMatch(g, r.node(link).path+p[at:], seen, tries); name != "" {
				return name
			}
		}
	}
	return ""
}

// nextSlash is the next slash at or after from, or the end; -1 beyond it.
func nextSlash(p string, from int) int {
	if from >= len(p) {
		return -1
	}
	if at := strings.IndexByte(p[from:], '/'); at >= 0 {
		return from + at
	}
	return len(p)
}

// below matches a glob whose last segment says nothing against everything under its fixed part.
func (r *resolver) below(g string) []hit {
	fixed := g[:strings.IndexAny(g, meta)]
	fixed = fixed[:strings.LastIndexByte(fixed, '/')+1]
	root := int32(0)
	prefix := "/"
	if len(fixed) > 1 {
		prefix = fixed
		if root = r.im.tree.resolve(fixed, true); root == none || r.node(root).kind != kindDirectory {
			return nil
		}
	}
	var out []hit
	var walk func(i int32, p string)
	walk = func(i int32, p string) {
		for c := r.node(i).child; c != none; c = r.node(c).sibling {
			if r.node(c).dead {
				continue
			}
			name := path.Join(p, baseOf(r.node(c).path))
			if doublestar.MatchUnvalidated(g, name) {
				if to := r.file(name); to != none {
					out = append(out, hit{to, name})
				}
			}
			walk(c, name)
		}
	}
	walk(root, prefix)
	return out
}
