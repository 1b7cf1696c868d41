package main

import (
	"encoding/binary"

	"github.com/anchore/syft/syft/pkg"
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
	record, digest := hashText("DpkgFileRecord"), hashText("Digest")
	path, sum, config, algorithm, value := hashText("Path"), hashText("Digest"), hashText("IsConfigFile"), hashText("Algorithm"), hashText("Value")
	md5 := hashField(digest, algorithm, hashText("md5"))
	var all uint64
	for i := range files {
		f := &files[i]
		d := digest
		switch {
		case f.Digest == nil:
			d = hashField(hashField(d, algorithm, hashText("")), value, hashText(""))
		case f.Digest.Algorithm == "md5":
			d = hashField(md5, value, hashText(f.Digest.Value))
		default:
			d = hashField(hashField(d, algorithm, hashText(f.Digest.Algorithm)), value, hashText(f.Digest.Value))
		}
		h := hashField(hashField(record, path, hashText(f.Path)), sum, d)
		isConfig := byte(0)
		if f.IsConfigFile {
			isConfig = 1
		}
		all ^= hashField(h, config, hashText(string([]byte{isConfig})))
	}
	return all
}

// hashField adds a field to the hash of a structure.
func hashField(h, name, value uint64) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], name)
	binary.LittleEndian.PutUint64(b[8:], value)
	h ^= hashText(b[:])
	binary.LittleEndian.PutUint64(b[:], h)
	return hashText(b[:8])
}

// hashText is FNV-1 (hash/fnv would allocate).
func hashText[T string | []byte](s T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = h*1099511628211 ^ uint64(s[i])
	}
	return h
}
