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

// hashed is the metadata of a package with a hash in place of its list: that of the files in it, and of others that it has besides. Its type has the same name and fields, which are hashed too.
func hashed(m pkg.DpkgDBEntry, others uint64) any {
	type DpkgDBEntry struct {
		Package, Source, Version, SourceVersion, Architecture, Maintainer string
		InstalledSize                                                     int
		Description                                                       string `hash:"ignore"`
		Provides, Depends, PreDepends                                     []string
		Files                                                             filesHash
	}
	return DpkgDBEntry{
		m.Package, m.Source, m.Version, m.SourceVersion, m.Architecture, m.Maintainer, m.InstalledSize, m.Description, m.Provides, m.Depends, m.PreDepends,
		filesHash{hashFiles(m.Files) ^ others},
	}
}

// hashFiles is the hash of a list of files.
func hashFiles(files []pkg.DpkgFileRecord) (all uint64) {
	h := newRecordHash()
	for i := range files {
		all ^= h.of(&files[i])
	}
	return all
}

// recordHash are the hashes of the names in a file's hash.
type recordHash struct{ record, digest, path, sum, config, algorithm, value, md5, no, yes uint64 }

func newRecordHash() *recordHash {
	h := &recordHash{
		record: structhash.Text("DpkgFileRecord"), digest: structhash.Text("Digest"), path: structhash.Text("Path"), sum: structhash.Text("Digest"), config: structhash.Text("IsConfigFile"),
		algorithm: structhash.Text("Algorithm"), value: structhash.Text("Value"), no: structhash.Text("\x00"), yes: structhash.Text("\x01"),
	}
	h.md5 = structhash.Field(h.digest, h.algorithm, structhash.Text("md5"))
	return h
}

// of is the hash of a file.
func (h *recordHash) of(f *pkg.DpkgFileRecord) uint64 {
	d := h.digest
	switch {
	case f.Digest == nil:
		d = structhash.Field(structhash.Field(d, h.algorithm, structhash.Text("")), h.value, structhash.Text(""))
	case f.Digest.Algorithm == "md5":
		d = structhash.Field(h.md5, h.value, structhash.Text(f.Digest.Value))
	default:
		d = structhash.Field(structhash.Field(d, h.algorithm, structhash.Text(f.Digest.Algorithm)), h.value, structhash.Text(f.Digest.Value))
	}
	isConfig := h.no
	if f.IsConfigFile {
		isConfig = h.yes
	}
	return structhash.Field(structhash.Field(structhash.Field(h.record, h.path, structhash.Text(f.Path)), h.sum, d), h.config, isConfig)
}
