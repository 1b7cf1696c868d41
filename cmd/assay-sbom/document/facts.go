package document

import (
	"encoding/base64"
	hexadecimal "encoding/hex"
	"net/url"
	"regexp"
	"strings"

	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
)

// What the documents say of a package beyond its name depends on where it was found: on the type of its metadata.

const (
	noAssertion  = "NOASSERTION"
	person       = "Person"
	organization = "Organization"
)

// party is somebody, as SPDX writes it ("Person: A (a@example.org)"); "" if there is nobody.
func party(kind, name string) string {
	if kind == "" || name == "" {
		return ""
	}
	if name == noAssertion {
		return name
	}
	return kind + ": " + name
}

// originator is who made a package.
func (c *Contents) originator(p *pkg.Package) string {
	kind, author := author(p.Metadata)
	if kind == "" && author != "" {
		kind = person
	}
	return party(kind, c.person(author))
}

// supplier is who a package comes from: who packed it, or else who made it.
func (c *Contents) supplier(p *pkg.Package) string {
	packer := ""
	switch m := p.Metadata.(type) {
	case pkg.AlpmDBEntry:
		packer = m.Packager
	case pkg.SwiplPackEntry:
		packer = withAddress(m.Packager, m.PackagerEmail)
	}
	var s string
	if packer != "" {
		s = party(person, c.person(packer))
	} else {
		s = c.originator(p)
	}
	if s == "" && c.Source.Supplier != "" {
		return party(organization, c.Source.Supplier)
	}
	if s == "" {
		return noAssertion
	}
	return s
}

// author is who made a package, as its metadata has it. Kind is "" if it does not tell whether that is a person.
func author(metadata any) (kind, name string) {
	switch m := metadata.(type) {
	case pkg.ApkDBEntry:
		return "", m.Maintainer
	case pkg.BitnamiSBOMEntry:
		return organization, "Bitnami"
	case pkg.DotnetPortableExecutableEntry:
		return organization, m.CompanyName
	case pkg.PEBinary:
		if name, ok := m.VersionResources.Get("CompanyName"); ok {
			return organization, name
		}
	case pkg.DpkgDBEntry:
		return "", m.Maintainer
	case pkg.DpkgArchiveEntry:
		return "", m.Maintainer
	case pkg.GitHubActionsUseStatement:
		owner, _, _ := strings.Cut(m.Value, "/")
		if owner == "actions" {
			owner = "GitHub"
		}
		return organization, owner
	case pkg.JavaArchive:
		if m.Manifest == nil {
			return "", ""
		}
		if name = m.Manifest.Main.MustGet("Specification-Vendor"); name == "" {
			name = m.Manifest.Main.MustGet("Implementation-Vendor")
		}
		return organization, name
	case pkg.JavaVMInstallation:
		return organization, m.Release.Implementor
	case pkg.LinuxKernelModule:
		return "", m.Author
	case pkg.PhpComposerLockEntry:
		if len(m.Authors) > 0 {
			return "", withAddress(m.Authors[0].Name, m.Authors[0].Email)
		}
	case pkg.PhpComposerInstalledEntry:
		if len(m.Authors) > 0 {
			return "", withAddress(m.Authors[0].Name, m.Authors[0].Email)
		}
	case pkg.RDescription:
		if m.Maintainer != "" {
			return "", m.Maintainer
		}
		return "", m.Author
	case pkg.NpmPackage:
		return "", m.Author
	case pkg.PythonPackage:
		return "", withAddress(m.Author, m.AuthorEmail)
	case pkg.RubyGemspec:
		if len(m.Authors) > 0 {
			return "", m.Authors[0]
		}
	case pkg.RpmDBEntry:
		return organization, m.Vendor
	case pkg.RpmArchive:
		return organization, m.Vendor
	case pkg.WordpressPluginEntry:
		return organization, m.Author
	case pkg.SwiplPackEntry:
		return "", withAddress(m.Author, m.AuthorEmail)
	case pkg.VcpkgManifest:
		if len(m.Maintainers) > 0 {
			return "", m.Maintainers[0]
		}
	}
	return "", ""
}

var nameAddressURL = regexp.MustCompile(`^([^<>()]*)( <([^@]+@\w+\.\w+)>)?( \((.*)\))?$`)

// person rewrites "A <a@example.org> (https://example.org)" as "A (a@example.org)". What is neither that nor a part of it is "".
func (c *Contents) person(s string) string {
	out, known := c.persons[s]
	if known || s == "" {
		return out
	}
	if m := nameAddressURL.FindStringSubmatch(s); m != nil {
		name, address, page := strings.TrimSpace(m[1]), strings.TrimSpace(m[3]), strings.TrimSpace(m[5])
		if address == "" {
			switch {
			case likeAddress(page):
				address = page
			case likeAddress(name):
				name, address = "", name
			}
		}
		out = withAddress(name, address)
	}
	if c.persons == nil {
		c.persons = map[string]string{}
	}
	c.persons[s] = out
	return out
}

func likeAddress(s string) bool {
	_, host, ok := strings.Cut(s, "@")
	return ok && strings.Contains(host, ".")
}

func withAddress(name, address string) string {
	name, address = strings.TrimSpace(name), strings.TrimSpace(address)
	switch {
	case name == "":
		return address
	case address == "":
		return name
	}
	return name + " (" + address + ")"
}

// download is where a package may be fetched from.
func download(metadata any) string {
	location := ""
	switch m := metadata.(type) {
	case pkg.ApkDBEntry:
		location = m.URL
	case pkg.NpmPackage:
		location = m.URL
	case pkg.NpmPackageLockEntry:
		location = m.Resolved
	case pkg.PhpComposerLockEntry:
		location = m.Dist.URL
	case pkg.PhpComposerInstalledEntry:
		location = m.Dist.URL
	case pkg.OpamPackage:
		location = m.URL
	}
	switch {
	case location == "":
		return noAssertion
	case strings.ToLower(location) == "none":
		return "NONE"
	}
	if _, err := url.ParseRequestURI(location); err != nil {
		return noAssertion
	}
	u, err := url.Parse(location)
	switch {
	case err != nil:
		return noAssertion
	case u.Scheme == "github": // npm knows this one, SPDX does not
		return "https://github.com/" + u.Opaque
	}
	return u.String()
}

func homepage(metadata any) string {
	switch m := metadata.(type) {
	case pkg.RubyGemspec:
		return m.Homepage
	case pkg.NpmPackage:
		return m.Homepage
	}
	return ""
}

func description(metadata any) string {
	switch m := metadata.(type) {
	case pkg.ApkDBEntry:
		return m.Description
	case pkg.NpmPackage:
		return m.Description
	}
	return ""
}

// checksums are those of a package's archive or module, their algorithms in upper case.
func checksums(metadata any) (out []file.Digest) {
	switch m := metadata.(type) {
	case pkg.JavaArchive:
		for _, d := range m.ArchiveDigests {
			out = append(out, file.Digest{Algorithm: strings.ToUpper(d.Algorithm), Value: d.Value})
		}
	case pkg.GolangBinaryBuildinfoEntry:
		// "h1:" and the base64 form of a SHA-256 (golang.org/ref/mod#go-sum-files).
		sum, ok := strings.CutPrefix(m.H1Digest, "h1:")
		b, err := base64.StdEncoding.DecodeString(sum)
		if ok && err == nil && !strings.Contains(sum, ":") {
			out = append(out, file.Digest{Algorithm: "SHA256", Value: hexadecimal.EncodeToString(b)})
		}
	case pkg.OpamPackage:
		for _, sum := range m.Checksums {
			algorithm, value, _ := strings.Cut(sum, "=")
			value, _, _ = strings.Cut(value, "=")
			out = append(out, file.Digest{Algorithm: strings.ToUpper(algorithm), Value: value})
		}
	}
	return out
}

// found says by what syft found a package.
func found(p *pkg.Package) string {
	if p.FoundBy == "sbom-cataloger" {
		return "SBOM"
	}
	if s, ok := foundBy[p.Type]; ok {
		return s
	}
	return "the following paths"
}

var foundBy = map[pkg.Type]string{
	pkg.AlpmPkg: "ALPM DB", pkg.RpmPkg: "RPM DB", pkg.ApkPkg: "APK DB", pkg.BitnamiPkg: "a Bitnami SBOM", pkg.DartPubPkg: "pubspec manifest", pkg.DebPkg: "DPKG DB",
	pkg.DotnetPkg: "dotnet project assets file", pkg.NpmPkg: "installed node module manifest file", pkg.PythonPkg: "installed python package manifest file",
	pkg.JavaPkg: "installed java archive", pkg.JenkinsPluginPkg: "installed java archive", pkg.GemPkg: "installed gem metadata file", pkg.GoModulePkg: "go module information",
	pkg.GraalVMNativeImagePkg: "GraalVM native image", pkg.RustPkg: "rust cargo manifest", pkg.PhpComposerPkg: "PHP composer manifest", pkg.PhpPearPkg: "PHP Pear manifest",
	pkg.PhpPeclPkg: "PHP Pecl manifest", pkg.CocoapodsPkg: "installed cocoapods manifest file", pkg.ConanPkg: "conan manifest", pkg.CondaPkg: "conda metadata",
	pkg.PortagePkg: "portage DB", pkg.HackagePkg: "cabal or stack manifest files", pkg.HexPkg: "rebar3 or mix manifest file", pkg.ErlangOTPPkg: "ErLang application resource file",
	pkg.LinuxKernelPkg: "linux kernel archive", pkg.LinuxKernelModulePkg: "linux kernel module files", pkg.NixPkg: "nix store path", pkg.Rpkg: "R-package DESCRIPTION file",
	pkg.LuaRocksPkg: "Rockspec package file", pkg.SwiftPkg: "resolved Swift package manifest", pkg.SwiplPackPkg: "SWI Prolo pack package file", pkg.OpamPkg: "OCaml opam package file",
	pkg.GithubActionPkg: "GitHub Actions workflow file or composite action file", pkg.GithubActionWorkflowPkg: "GitHub Actions workflow file or composite action file",
	pkg.WordpressPluginPkg: "found wordpress plugin PHP source files", pkg.HomebrewPkg: "Homebrew formula", pkg.AppleAppBundlePkg: "Apple application bundle Info.plist",
	pkg.TerraformPkg: "Terraform dependency lock file", pkg.ModelPkg: "AI model artifact", pkg.VcpkgPkg: "vcpkg manifest file",
}
