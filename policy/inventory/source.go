package inventory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
)

// The origins of SBOMs.
const (
	OriginAttested  = "attested"  // a statement that an authority signed
	OriginGenerated = "generated" // the registry's own
	OriginAttached  = "attached"  // anybody's
)

// Source names one SBOM of an image: where it lies, and by whose word it counts.
type Source struct {
	Origin          string
	Evidence, Layer store.Digest // the manifest that carries it, if any, and the blob
	Signer          string       // the authority that proved it
}

// String is one line; that of none is empty.
func (s Source) String() string {
	if s.Origin == "" {
		return ""
	}
	return strings.TrimRight(strings.Join([]string{s.Origin, cmp.Or(string(s.Evidence), "-"), string(s.Layer), s.Signer}, " "), " ")
}

func parseSource(line string) (s Source) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) < 3 {
		return s
	}
	if s.Origin, s.Layer = parts[0], store.Digest(parts[2]); parts[1] != "-" {
		s.Evidence = store.Digest(parts[1])
	}
	if len(parts) == 4 {
		s.Signer = parts[3]
	}
	return s
}

// Preference says whose SBOMs go before the registry's own, in some repositories. The first preference that covers a repository counts; where none does, nobody's do:
// a key that may sign is not for that reason trusted to say what an image contains.
type Preference struct {
	Repositories store.Globs
	Authorities  store.Globs // patterns of their names, the most preferred first; empty: nobody's
}

// Preferences are all of them, in order.
type Preferences []Preference

// precedence is the place of an authority among those whose SBOMs go before the registry's own.
func (list Preferences) precedence(repo store.Name, authority string) (rank int, preferred bool) {
	for _, p := range list {
		if !p.Repositories.Match(repo) {
			continue
		}
		i := slices.IndexFunc(p.Authorities, func(g store.Glob) bool { return g.Match(store.Name(authority)) })
		return max(i, 0), i >= 0
	}
	return 0, false
}

// String names the preferences: others than in the last run put every verdict in doubt.
func (list Preferences) String() string {
	said := ""
	for _, p := range list {
		said += " " + join(p.Repositories) + "<" + join(p.Authorities)
	}
	return said
}

func join(globs store.Globs) string {
	var b strings.Builder
	for _, g := range globs {
		b.WriteString(string(g) + ",")
	}
	return b.String()
}
