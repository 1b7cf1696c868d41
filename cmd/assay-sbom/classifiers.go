package main

import (
	"context"
	"reflect"
	"slices"
	"strconv"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	"github.com/anchore/syft/syft/pkg/cataloger/binary"
)

// syft's classifiers tell well-known programs and libraries by searching their content, megabytes of it, and packages of the same name and version that several files give are one. What one
// classifier says of one file is kept with the file's layer (found.go), and put together by syft as ever.

// classifierCataloger is syft's cataloguer of classifiers, each of which first looks at what is known.
type classifierCataloger struct{ pkg.Cataloger }

// newClassifierCataloger wraps syft's.
func newClassifierCataloger(c *syft.CreateSBOMConfig) classifierCataloger {
	with := c.Packages.Binary
	with.Classifiers = slices.Clone(with.Classifiers)
	for i := range with.Classifiers {
		k := &with.Classifiers[i]
		k.EvidenceMatcher = remembering(k.EvidenceMatcher, "classifier "+strconv.Itoa(i)+" "+k.Class)
	}
	return classifierCataloger{binary.NewClassifierCataloger(with)}
}

// Catalog finds the packages of an image, or has them found in each file alone.
func (c classifierCataloger) Catalog(ctx context.Context, r file.Resolver) ([]pkg.Package, []artifact.Relationship, error) {
	if image, ok := r.(*resolver); ok {
		r = &classified{image}
	}
	return c.Cataloger.Catalog(ctx, r)
}

// classified is an image of some of whose files it is known what classifiers say of them.
type classified struct{ *resolver }

// classifying is a layer of whose files that is found out.
type classifying struct {
	*resolver
	finder *finder
}

// remembering makes a classifier's function that looks into one file one that knows some of its answers, or that writes them down. K and X are types of syft that have no public name: the
// classifier, and its question.
func remembering[M ~func(K, X) ([]pkg.Package, error), K, X any](match M, name string) M {
	return func(k K, question X) ([]pkg.Package, error) {
		in, at := asked(&question)
		if in == nil || at == nil {
			return match(k, question)
		}
		switch r := (*in).(type) {
		case *classified:
			if packages, known := r.said(name, at); known {
				return packages, nil
			}
		case *classifying:
			one := &loneFile{imageResolver: r.resolver, only: at.RealPath, asked: map[string]bool{}}
			*in = one
			packages, err := match(k, question)
			if err == nil && !one.more {
				r.finder.add(name, nameOf(at), one, packages, nil)
			}
			return nil, err
		}
		return match(k, question)
	}
}

// asked returns where a question says in what it is asked and which file it is about; nil: it has another form.
func asked(question any) (in *file.Resolver, at *file.Location) {
	v := reflect.ValueOf(question).Elem()
	if v.Kind() != reflect.Struct {
		return nil, nil
	}
	if f := v.FieldByName("Resolver"); f.IsValid() {
		in, _ = f.Addr().Interface().(*file.Resolver)
	}
	if f := v.FieldByName("Location"); f.IsValid() {
		at, _ = f.Addr().Interface().(*file.Location)
	}
	return in, at
}

// said is what is known that a classifier says of a file.
func (r *classified) said(name string, at *file.Location) ([]pkg.Package, bool) {
	f, layer := r.known(name, at)
	if f == nil {
		return nil, false
	}
	var out []pkg.Package
	for i := range f.Packages {
		out = append(out, f.Packages[i].whole(r.im.diffIDs[layer]))
	}
	return out, true
}

// foundMatch is a file that a classifier knew.
type foundMatch struct {
	Classifier string
	Location   foundLocation
}

// keepMatches takes the metadata of a classifier's package apart.
func keepMatches(m pkg.BinarySignature, layer string) (out []foundMatch, ok bool) {
	for _, c := range m.Matches {
		if c.Location.FileSystemID != layer {
			return nil, false
		}
		out = append(out, foundMatch{c.Classifier, foundLocation{c.Location.RealPath, c.Location.AccessPath, c.Location.Annotations}})
	}
	return out, true
}

// wholeMatches puts it together again.
func wholeMatches(list []foundMatch, layer string) (m pkg.BinarySignature) {
	for _, f := range list {
		m.Matches = append(m.Matches, pkg.ClassifierMatch{Classifier: f.Classifier, Location: f.Location.whole(layer)})
	}
	return m
}
