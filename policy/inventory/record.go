package inventory

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// space remembers, for each image, what was read of its documents ('s': [Record]), which documents are to be read ('q': [Work]), and why none could be made or read ('x', 'y').
const space = "ingest"

func keyOf(kind byte, i store.Item) []byte {
	return append([]byte{kind}, string(i.Repository)+"\x00"+string(i.Digest)...)
}

// Work says which documents are to be read: the one that speaks for the image is indexed, and what a client declares is compared with what the registry found.
type Work struct{ Best, Declared, Generated Source }

// work is what is to be read of an image's SBOMs.
func (all *Choice) work() (w Work) {
	if all.best == nil {
		return w
	}
	w.Best = all.best.Source
	if d := all.declared; d != nil {
		w.Declared = d.Source
		if all.generated != nil {
			w.Generated = all.generated.Source
		}
	}
	return w
}

// String is a line for each document; empty if there is nothing to read.
func (w Work) String() string {
	if w.Best.Origin == "" {
		return ""
	}
	return strings.Join([]string{w.Best.String(), w.Declared.String(), w.Generated.String()}, "\n")
}

// ParseWork reads what [Work.String] wrote; what is damaged is nothing to read.
func ParseWork(text string) (w Work) {
	lines := append(strings.Split(text, "\n"), "", "")
	w.Best, w.Declared, w.Generated = parseSource(lines[0]), parseSource(lines[1]), parseSource(lines[2])
	return w
}

// workName is short for a piece of work.
func workName(want string) string {
	sum := sha256.Sum256([]byte(want))
	return hex.EncodeToString(sum[:16])
}

// Record is what is remembered of the documents that were read.
type Record struct {
	Work     string        `json:"work"`               // its name
	Origin   string        `json:"origin"`             // of the document that speaks for the image
	Declared string        `json:"declared,omitempty"` // the declared document, where there is one
	Format   string        `json:"format,omitempty"`
	Summary  *sbom.Summary `json:"summary,omitempty"` // of it; nil where it could not be read
	Found    string        `json:"found,omitempty"`   // the generated document that it was compared with
	Drift    *Drift        `json:"drift,omitempty"`
	Failed   string        `json:"failed,omitempty"` // why a document could not be read
}

// Of is what is remembered of an image; nil if there is nothing.
func Of(r store.Records, i store.Item) (*Record, error) {
	b := r.Space(space).Get(keyOf('s', i))
	if len(b) == 0 || b[0] != '{' { // of before anything but the document's name was remembered
		return nil, nil
	}
	in, p := new(Record), store.ReadPlain(b)
	if in.read(&p) {
		return in, nil
	}
	in = new(Record)
	if err := json.Unmarshal(b, in); err != nil {
		return nil, store.Errorf(store.CodeInternal, "the inventory record of %s is damaged; run assay check: %w", i.Digest, err)
	}
	return in, nil
}

// Origin is the origin of the SBOM that speaks for an image, empty if there is none, and whether it still waits to be read.
func Origin(r store.Records, i store.Item) (origin string, waits bool, err error) {
	if b := r.Space(space).Get(keyOf('q', i)); b != nil {
		return ParseWork(string(b)).Best.Origin, true, nil
	}
	in, err := Of(r, i)
	if in != nil {
		origin = in.Origin
	}
	return origin, false, err
}

// describe adds what the document says to what policies are told of it.
func (r *Record) describe(in *contract.SBOMInput) {
	s := r.Summary
	in.Packages, in.Format = packagesOf(s), cmp.Or(r.Format, in.Format)
	in.Generator = cmp.Or(s.Generator, in.Generator)
	if in.Created.IsZero() {
		in.Created = s.Created
	}
	if s.Distro != "" {
		in.Distro = &contract.DistroInput{ID: s.Distro, Version: s.DistroVer}
	}
}
