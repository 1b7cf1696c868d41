package serve

import (
	"maps"
	"path/filepath"

	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/webhooktls"
	"github.com/assay-registry/assay/verify"
)

// ownKeys are all keys that are the registry's, by ID, with what each is for: those that it signs with, and those of the webhooks as they stand now.
func ownKeys(r *place.Keyring) map[string]string {
	all := maps.Clone(r.Uses)
	for _, name := range []string{webhooktls.CA, webhooktls.NextCA, webhooktls.Serving} {
		p, err := webhooktls.ReadPair(filepath.Join(r.Dir, name))
		if err != nil {
			continue // there is none, or whoever serves under it says why not
		}
		if id, err := verify.KeyID(p.Key.Public()); err == nil {
			all[id] = name
		}
	}
	return all
}
