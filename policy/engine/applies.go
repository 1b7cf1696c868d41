package engine

import "github.com/assay-registry/assay/store"

// Applies names what decides in a repository: the policies that match it, with their bindings. Where two sets have the same, they decide the same.
func (s *Set) Applies(repo store.Name) string {
	var bindings []any
	for _, p := range s.programs {
		if p.Repositories.Match(repo) {
			bindings = append(bindings, []any{p.Name, p.Mode, p.revision, p.EvidenceFirst, p.AllChildren, p.TagsStrict})
		}
	}
	return digest(bindings)
}
