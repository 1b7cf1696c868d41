package main

import (
	"github.com/anchore/syft/syft/pkg"

	"github.com/assay-registry/assay/cmd/assay-sbom/structhash"
)

// syft's id of a package is a hash of all its fields, taken by reflection: for packages with ten thousand files that is half of what reading them costs.
// filesHash stands for a list of files whose hash is known. It is computed here as hashstructure does (FNV-1 of 64 bits, slices as sets): TestKnownHashes
// compares.
type filesHash struct{ sum uint64 }

// Hash is asked for by hashstructure in place of reflection.
func (h filesHash) Hash() (uint64, error) { return h.sum, nil }

// hashed is the metadata of p with the list's hash in place of the list. Its type has the same name and fields, which are hashed too.
func hashed(m pkg.DpkgDBEntry) any {
	type DpkgDBEntry struct {
		Package, Source, Version, SourceVersion, Architecture, Maintainer string
		InstalledSize                                                     int
		Description                                                       string `hash:"ignore"`
		Provides, Depends, PreDepends                                     []string
		Files                                                             filesHash
	}
	return DpkgDBEntry{
		m.Package, m.Source, m.Version, m.SourceVersion, m.Architecture, m.Maintainer, m.InstalledSize, m.Description, m.Provides, m.Depends, m.PreDepends,
		filesHash{hashFiles(m.Files)},
	}
}

func hashFiles(files []pkg.DpkgFileRecord) uint64 {
	record, digest := structhash.Text("DpkgFileRecord"), structhash.Text("Digest")
	path, sum, config, algorithm, value := structhash.Text("Path"), structhash.Text("Digest"), structhash.Text("IsConfigFile"), structhash.Text("Algorithm"), structhash.Text("Value")
	md5 := structhash.Field(digest, algorithm, structhash.Text("md5"))
	var all uint64
	for i := range files {
		f := &files[i]
		d := digest
		switch {
		case f.Digest == nil:
			d = structhash.Field(structhash.Field(d, algorithm, structhash.Text("")), value, structhash.Text(""))
		case f.Digest.Algorithm == "md5":
			d = structhash.Field(md5, value, structhash.Text(f.Digest.Value))
		default:
			d = structhash.Field(structhash.Field(d, algorithm, structhash.Text(f.Digest.Algorithm)), value, structhash.Text(f.Digest.Value))
		}
		h := structhash.Field(structhash.Field(record, path, structhash.Text(f.Path)), sum, d)
		isConfig := byte(0)
		if f.IsConfigFile {
			isConfig = 1
		}
		all ^= structhash.Field(h, config, structhash.Text(string([]byte{isConfig})))
	}
	return all
}
