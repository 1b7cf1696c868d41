package main

import (
	"context"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/anchore/syft/syft/cataloging/pkgcataloging"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	apk "github.com/anchore/syft/syft/pkg/cataloger/alpine"
	"github.com/anchore/syft/syft/pkg/cataloger/binary"
	deb "github.com/anchore/syft/syft/pkg/cataloger/debian"
	"github.com/anchore/syft/syft/pkg/cataloger/dotnet"
	"github.com/anchore/syft/syft/pkg/cataloger/java"
	"github.com/anchore/syft/syft/pkg/cataloger/javascript"
	"github.com/anchore/syft/syft/pkg/cataloger/python"
	rpm "github.com/anchore/syft/syft/pkg/cataloger/redhat"
	"github.com/anchore/syft/syft/pkg/cataloger/rust"
)

// programCataloger is a cataloguer of syft that opens every program of an image, shown only those that may carry what it looks for.
// What it finds is the same; what it costs is not.
type programCataloger struct {
	pkg.Cataloger
	marks marks
}

// Catalog runs the cataloguer on a view of the image with fewer programs.
func (c programCataloger) Catalog(ctx context.Context, r file.Resolver) ([]pkg.Package, []artifact.Relationship, error) {
	if image, ok := r.(*resolver); ok {
		r = &programView{image, c.marks}
	}
	return c.Cataloger.Catalog(ctx, r)
}

// programView is an image with only the programs that have one of the marks.
type programView struct {
	*resolver
	marks marks
}

// FilesByMIMEType finds those programs.
func (v *programView) FilesByMIMEType(types ...string) ([]file.Location, error) {
	return v.programs(v.marks, types)
}

// frugal replaces cataloguers by ones that find the same and cost less. What they find goes to g; nil: to syft.
func frugal(c *syft.CreateSBOMConfig, g *gathered) *syft.CreateSBOMConfig {
	list := []pkg.Cataloger{
		javascript.NewPackageCataloger(), python.NewInstalledPackageCataloger(),
		programCataloger{rust.NewAuditBinaryCataloger(), markRust},
		programCataloger{binary.NewELFPackageCataloger(), markNote},
		programCataloger{java.NewNativeImageCataloger(), markNative},
		programCataloger{dotnet.NewDotnetDepsBinaryCataloger(c.Packages.Dotnet), markDotnet},
	}
	for _, f := range fileCatalogers(c) {
		list = append(list, f)
	}
	list = append(list, newClassifierCataloger(c), debianCataloger{deb.NewDBCataloger()}, rpm.NewDBCataloger(), apk.NewDBCataloger())
	selection := cataloging.NewSelectionRequest()
	for _, p := range list {
		selection = selection.WithRemovals(p.Name())
		if g != nil {
			p = gatheredCataloger{p, g}
		}
		c = c.WithCatalogers(pkgcataloging.NewAlwaysEnabledCatalogerReference(p))
	}
	return c.WithCatalogerSelection(selection)
}
