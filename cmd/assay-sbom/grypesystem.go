package main

import (
	"strconv"
	"strings"
)

// grypeSystem is a row of operating_systems as OSV's ecosystems name it.
type grypeSystem struct {
	ecosystem string // "" where none is known
	whole     string // of a minor release of an enterprise distribution: the ecosystem of its major release, which says the same
	channel   string // such as eus: an offer of longer support, whose fixes most hosts never get
}

// newGrypeSystem names a release. grype drops zeros in front of numbers: Ubuntu's 22.04 has the minor version 4.
func newGrypeSystem(name, release, major, minor, label, channel string) grypeSystem {
	s := grypeSystem{channel: strings.ToLower(channel)}
	version := major
	if minor != "" && major != "" {
		version += "." + minor
	}
	switch strings.ToLower(name) {
	case "debian":
		if s.ecosystem = "Debian"; major != "" {
			s.ecosystem += ":" + major
		} else if label != "" {
			s.ecosystem += ":" + label
		}
	case "ubuntu":
		s.ecosystem = ubuntu(major, minor)
	case "alpine":
		switch {
		case label != "":
			s.ecosystem = "Alpine:" + label
		case version != "":
			s.ecosystem = "Alpine:v" + version
		}
	case "redhat", "rhel":
		s.ecosystem, s.whole = byMajor("Red Hat", major, minor)
	case "almalinux":
		s.ecosystem, s.whole = byMajor("AlmaLinux", major, minor)
	case "rockylinux", "rocky":
		s.ecosystem, s.whole = byMajor("Rocky Linux", major, minor)
	case "oraclelinux", "ol":
		s.ecosystem, s.whole = byMajor("Oracle Linux", major, minor)
	case "centos":
		s.ecosystem, s.whole = byMajor("CentOS", major, minor)
	default:
		s.ecosystem = otherSystem(strings.ToLower(name), strings.ToLower(release), major, version, label)
	}
	return s
}

// byMajor names a release whose advisories are for a major version.
func byMajor(name, major, minor string) (ecosystem, whole string) {
	switch {
	case major == "":
		return "", ""
	case minor == "":
		return name + ":" + major, ""
	}
	return name + ":" + major + "." + minor, name + ":" + major
}

// ubuntu names a release; those of April in even years are supported for long, and OSV says so.
func ubuntu(major, minor string) string {
	year, err := strconv.Atoi(major)
	month, err2 := strconv.Atoi(minor)
	if err != nil || err2 != nil || month < 1 || month > 12 {
		return ""
	}
	version := major + "." + minor
	if month < 10 {
		version = major + ".0" + strconv.Itoa(month)
	}
	if month == 4 && year%2 == 0 {
		return "Ubuntu:" + version + ":LTS"
	}
	return "Ubuntu:" + version
}

// otherSystem names those whose releases are called as their os-release has them, and those that have none.
func otherSystem(name, release, major, version, label string) string {
	switch {
	case name == "wolfi":
		return "Wolfi"
	case name == "chainguard":
		return "Chainguard"
	case name == "minimos":
		return "MinimOS"
	case name == "echo":
		return "Echo"
	case name == "archlinux", name == "arch":
		return "Arch Linux"
	case (name == "amazonlinux" || release == "amzn") && major != "":
		return "Amazon Linux:" + major
	case name == "azurelinux" && major != "":
		return "Azure Linux:" + major
	case name == "mariner" && major != "":
		return "CBL-Mariner:" + major
	case name == "photon" && version != "":
		return "Photon OS:" + version
	case name == "fedora" && major != "":
		return "Fedora:" + major
	case name == "sles" && version != "":
		return "SUSE:" + version
	case (name == "opensuseleap" || release == "opensuse-leap") && version != "":
		return "openSUSE:Leap " + version
	case (name == "secureos" || name == "hummingbird") && label+version != "":
		return name + ":" + label + version
	}
	return ""
}

// grypeEcosystem is OSV's name of an ecosystem that needs no operating system. grype has syft's types of packages, and older names for them.
func grypeEcosystem(kind string) string {
	switch kind {
	case "npm", "javascript":
		return "npm"
	case "python", "pypi", "pip":
		return "PyPI"
	case "java-archive", "java", "maven", "jenkins-plugin":
		return "Maven"
	case "go-module", "go", "golang":
		return "Go"
	case "rust-crate", "rust", "cargo":
		return "crates.io"
	case "gem", "ruby", "rubygems":
		return "RubyGems"
	case "dotnet", "nuget":
		return "NuGet"
	case "php-composer", "composer", "php":
		return "Packagist"
	case "hex", "elixir", "erlang":
		return "Hex"
	case "dart-pub", "dart", "pub":
		return "Pub"
	case "hackage", "haskell":
		return "Hackage"
	case "swift":
		return "SwiftURL"
	case "r-package", "cran":
		return "CRAN"
	case "conan":
		return "ConanCenter"
	case "github-action":
		return "GitHub Actions"
	case "bitnami":
		return "Bitnami"
	case "opam":
		return "opam"
	}
	return ""
}
