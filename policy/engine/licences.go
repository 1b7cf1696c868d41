package engine

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/assay-registry/assay/sbom"
)

// licence is one licence of an expression, as rules are compared with it.
type licence struct {
	upper    string // its name, in capitals
	category string
}

// licences remembers what expressions come to: an estate has some hundred, and each image has dozens of them again. It has so many places of a kilobyte at most, whatever an SBOM says: an
// expression has two that it may be in, and puts out what is in the second. Safe for concurrent use; nil remembers nothing.
type licences struct {
	seed   maphash.Seed
	places [licencePlaces]atomic.Pointer[licenceReading]
}

const (
	licencePlaces     = 2048
	longestRemembered = 128 // bytes of an expression
	mostRemembered    = 16  // licences of its alternatives together
)

// licenceReading is what an expression comes to: alternatives of licences that hold together.
type licenceReading struct {
	expression   string
	alternatives [][]licence
}

func newLicences() *licences { return &licences{seed: maphash.MakeSeed()} }

// read is what an expression comes to.
func (l *licences) read(expression string) [][]licence {
	if l == nil || len(expression) > longestRemembered {
		return readLicences(expression)
	}
	hash := maphash.String(l.seed, expression)
	first, second := &l.places[hash%licencePlaces], &l.places[hash>>32%licencePlaces]
	for _, place := range [...]*atomic.Pointer[licenceReading]{first, second} {
		if known := place.Load(); known != nil && known.expression == expression {
			return known.alternatives
		}
	}
	expression = strings.Clone(expression) // the document that it is a part of is not kept
	r := &licenceReading{expression: expression, alternatives: readLicences(expression)}
	n := 0
	for _, together := range r.alternatives {
		n += len(together)
	}
	if n <= mostRemembered && !first.CompareAndSwap(nil, r) {
		second.Store(r)
	}
	return r.alternatives
}

// readLicences reads an expression. What is none, or offers too much to be counted out, is taken for all that it names, or for one name.
func readLicences(expression string) [][]licence {
	names := [][]string{{expression}}
	if strings.ContainsAny(expression, licenceSeparators) { // else it is one name, whatever it is
		var err error
		if names, err = parseLicence(expression); err != nil {
			names = [][]string{sbom.Identifiers(expression)}
		}
		if len(names[0]) == 0 {
			names[0] = []string{expression}
		}
	}
	alternatives := make([][]licence, len(names))
	for i, together := range names {
		alternatives[i] = make([]licence, len(together))
		for j, id := range together {
			alternatives[i][j] = licence{strings.ToUpper(id), sbom.LicenseCategory(id)}
		}
	}
	return alternatives
}
