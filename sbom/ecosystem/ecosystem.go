package ecosystem

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
)

// kind is what is particular to an ecosystem.
type kind struct {
	order    string                           // whose rules order its versions, as sbom/index names them
	fold     func(name string) string         // brings names that mean the same into one form; nil: none differ
	release  func(text string) (string, bool) // of a distribution: its release in one form; false where it is none of ours. nil: there are none
	both     bool                             // its records speak of binary packages as well as of source packages
	semantic bool                             // versions that begin with no digit are none
	named    func(name string) bool           // reports whether a name is one there, as databases write it; of a language; nil: any without '/' is
}

// AnyRelease is the release of what holds for all of them; UnknownRelease that of a package which does not tell.
const (
	AnyRelease     = ""
	UnknownRelease = "?"
)

func lower(s string) string { return strings.ToLower(s) }

// kinds are the ecosystems, by the names of OSV's schema ("Defined ecosystems"), without release, and those of distributions that other databases speak of.
var kinds = map[string]kind{
	"npm":            {order: "npm", fold: lower, semantic: true, named: npmName},
	"PyPI":           {order: "PyPI", fold: normalPython},
	"Maven":          {order: "Maven", named: mavenName},
	"Go":             {order: "Go", fold: lower, semantic: true, named: anyName},
	"crates.io":      {order: "crates.io", fold: func(s string) string { return strings.ReplaceAll(lower(s), "_", "-") }, semantic: true},
	"RubyGems":       {order: "RubyGems"},
	"NuGet":          {order: "NuGet", fold: lower, semantic: true},
	"Packagist":      {order: "Packagist", fold: lower, named: pairName},
	"Hex":            {order: "Hex", fold: lower, semantic: true},
	"Pub":            {order: "Pub", fold: lower, semantic: true},
	"CRAN":           {order: "CRAN"},
	"Hackage":        {order: "Hackage"},
	"ConanCenter":    {order: "ConanCenter", fold: lower, semantic: true},
	"SwiftURL":       {order: "SwiftURL", fold: swiftName, semantic: true, named: hostedName},
	"Julia":          {order: "Julia", semantic: true},
	"Bitnami":        {order: "Bitnami", fold: lower, semantic: true},
	"GitHub Actions": {order: "SwiftURL", fold: lower, semantic: true, named: ownedName},

	"Debian":     {order: "Debian", release: debianRelease},
	"Ubuntu":     {order: "Ubuntu", release: ubuntuRelease},
	"Alpine":     {order: "Alpine", release: alpineRelease},
	"Wolfi":      {order: "Alpine"},
	"Chainguard": {order: "Alpine"},
	"MinimOS":    {order: "Alpine"},
	"Echo":       {order: "Debian"},
	"Alpaquita":  {order: "Alpine", release: namedRelease},

	"Red Hat":      {order: "Red Hat", release: redHatRelease, both: true},
	"Rocky Linux":  {order: "Red Hat", release: majorRelease, both: true},
	"AlmaLinux":    {order: "Red Hat", release: majorRelease, both: true},
	"Oracle Linux": {order: "Red Hat", release: majorRelease, both: true},
	"Amazon Linux": {order: "Red Hat", release: amazonRelease, both: true},
	"Fedora":       {order: "Red Hat", release: majorRelease, both: true},
	"Azure Linux":  {order: "Red Hat", release: majorRelease, both: true},
	"Photon OS":    {order: "Red Hat", release: majorRelease, both: true},
	"Mageia":       {order: "Red Hat", release: majorRelease, both: true},
	"openEuler":    {order: "Red Hat", release: pairRelease, both: true},
	"SUSE":         {order: "Red Hat", release: suseRelease, both: true},
	"openSUSE":     {order: "Red Hat", release: openSUSERelease, both: true},
	"Arch Linux":   {order: "Arch Linux", both: true},
}

// otherNames are names that databases use for ecosystems which have another above.
var otherNames = map[string]string{
	"CBL-Mariner": "Azure Linux", "Mariner": "Azure Linux", "Photon": "Photon OS", "Alma Linux": "AlmaLinux", "Arch": "Arch Linux", "Amazon": "Amazon Linux", "Oracle": "Oracle Linux",
}

// distributions are the ecosystems by the ID of os-release(5), or by the namespace of package URLs.
var distributions = map[string]string{
	"debian": "Debian", "raspbian": "Debian", "ubuntu": "Ubuntu", "alpine": "Alpine", "wolfi": "Wolfi", "chainguard": "Chainguard", "minimos": "MinimOS", "echo": "Echo",
	"alpaquita": "Alpaquita", "rhel": "Red Hat", "redhat": "Red Hat", "centos": "Red Hat", "rocky": "Rocky Linux", "rockylinux": "Rocky Linux", "rocky-linux": "Rocky Linux",
	"almalinux": "AlmaLinux", "alma": "AlmaLinux", "ol": "Oracle Linux", "oracle": "Oracle Linux", "oraclelinux": "Oracle Linux", "amzn": "Amazon Linux", "amazon": "Amazon Linux",
	"amazonlinux": "Amazon Linux", "fedora": "Fedora", "azurelinux": "Azure Linux", "mariner": "Azure Linux", "photon": "Photon OS", "mageia": "Mageia", "openeuler": "openEuler",
	"sles": "SUSE", "sled": "SUSE", "sles_sap": "SUSE", "sle_hpc": "SUSE", "suse": "SUSE", "sle-micro": "SUSE", "sl-micro": "SUSE", "opensuse": "openSUSE", "opensuse-leap": "openSUSE",
	"opensuse-tumbleweed": "openSUSE", "arch": "Arch Linux", "archlinux": "Arch Linux",
}

// languages are the ecosystems by the type of package URLs, where sbom/index orders no versions by a name of its own.
var languages = map[string]string{"github": "GitHub Actions", "githubactions": "GitHub Actions"}

// place reads a name of an ecosystem as records write it. ok is false where no package of ours can be meant.
func place(text string) (base, release string, ok bool) {
	base, release, found := strings.Cut(text, ":")
	if other := otherNames[base]; other != "" {
		base = other
	}
	k, ok := kinds[base]
	if !ok || k.release == nil || !found {
		return base, AnyRelease, ok // a suffix of a language is where its packages are published
	}
	release, ok = k.release(release)
	return base, release, ok
}

var (
	numberPattern   = regexp.MustCompile(`^[0-9]+`)
	pairPattern     = regexp.MustCompile(`[0-9]+\.[0-9]+`)
	redHatPattern   = regexp.MustCompile(`^(?:enterprise_linux:|el)?([0-9]+)(?:[.:]|$)`)
	susePattern     = regexp.MustCompile(`([0-9]+)(?:[. ](?:SP)?([0-9]+))?(?:[- ](?:LTSS|ESPOS|TERADATA|BCL|CLIENT-TOOLS|SECURITY).*)?$`)
	namedPattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	pythonSeparator = regexp.MustCompile(`[-_.]+`)
)

// normalPython is the normal form of a name (PEP 503, "Normalized Names").
func normalPython(s string) string { return pythonSeparator.ReplaceAllString(lower(s), "-") }

func npmName(s string) bool {
	scope, rest, scoped := strings.Cut(s, "/")
	return !strings.Contains(rest, "/") && strings.HasPrefix(s, "@") == scoped && scoped == (rest != "") && scope != "@"
}

// mavenName is a group and an artifact.
func mavenName(s string) bool {
	group, artifact, _ := strings.Cut(s, ":")
	return group != "" && artifact != "" && !strings.ContainsAny(group, "/") && !strings.ContainsAny(artifact, "/:")
}

// anyName is for Go, where a path without a host is whole, too: nobody publishes it (go.dev/ref/mod, "Module paths"), so it is a program of one's own, or part of Go.
func anyName(string) bool { return true }

func pairName(s string) bool { return strings.Count(s, "/") == 1 }

func ownedName(s string) bool { return strings.Contains(s, "/") }

func hostedName(s string) bool {
	host, _, ok := strings.Cut(s, "/")
	return ok && strings.Contains(host, ".")
}

func swiftName(s string) string {
	return strings.TrimSuffix(strings.TrimPrefix(lower(s), "https://"), ".git")
}

func majorRelease(s string) (string, bool) {
	n := numberPattern.FindString(s)
	return n, n != ""
}

func pairRelease(s string) (string, bool) {
	n := pairPattern.FindString(s)
	return n, n != ""
}

func namedRelease(s string) (string, bool) { return lower(s), namedPattern.MatchString(s) }

var debianNames = map[string]string{"jessie": "8", "stretch": "9", "buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14", "duke": "15"}

func debianRelease(s string) (string, bool) {
	word, _, _ := strings.Cut(lower(s), "/") // "trixie/sid"
	if n := debianNames[word]; n != "" {
		return n, true
	}
	if word == "sid" || word == "unstable" {
		return "sid", true
	}
	return majorRelease(s)
}

var ubuntuNames = map[string]string{"trusty": "14.04", "xenial": "16.04", "bionic": "18.04", "focal": "20.04", "jammy": "22.04", "noble": "24.04", "oracular": "24.10", "plucky": "25.04", "questing": "25.10"}

// ProSuffix marks what is said about packages for subscribers of a release.
const ProSuffix = ":Pro"

// ubuntuRelease reads "22.04:LTS" and "Pro:22.04:LTS". Builds for certification ("Pro:FIPS") and for real time are other packages.
func ubuntuRelease(s string) (string, bool) {
	if n := ubuntuNames[lower(s)]; n != "" {
		return n, true
	}
	if strings.Contains(s, "FIPS") || strings.Contains(s, "Realtime") {
		return "", false
	}
	n, ok := pairRelease(s)
	if strings.HasPrefix(s, "Pro:") {
		n += ProSuffix
	}
	return n, ok
}

func alpineRelease(s string) (string, bool) {
	if strings.Contains(s, "_alpha") || lower(s) == "edge" {
		return "edge", true
	}
	return pairRelease(s)
}

// redHatRelease reads "9", "9.4" and "enterprise_linux:9::appstream". Other products and extended update streams are other builds.
func redHatRelease(s string) (string, bool) {
	if m := redHatPattern.FindStringSubmatch(s); m != nil {
		return m[1], true
	}
	return "", false
}

func amazonRelease(s string) (string, bool) {
	if strings.HasPrefix(s, "2018") || strings.HasPrefix(s, "2017") {
		return "1", true
	}
	return majorRelease(s)
}

// suseRelease reads "15.5" and "Linux Enterprise Server 15 SP5-LTSS" alike, whichever module of the release it is.
func suseRelease(s string) (string, bool) {
	if s != "" && (s[0] < '0' || s[0] > '9') && !strings.HasPrefix(s, "Linux") && !strings.HasPrefix(s, "Package Hub") {
		return "", false
	}
	m := susePattern.FindStringSubmatch(s)
	if m == nil {
		return "", false
	}
	if m[2] == "" {
		m[2] = "0"
	}
	return m[1] + "." + m[2], true
}

func openSUSERelease(s string) (string, bool) {
	if strings.HasPrefix(lower(s), "tumbleweed") || len(s) == 8 && numberPattern.FindString(s) == s { // the day of a snapshot
		return "tumbleweed", true
	}
	return pairRelease(s)
}

// Key is under what records and packages find each other: an ecosystem without its release, and a name in the one form that it has there.
type Key struct{ Base, Name string }

// Order is whose rules order versions of packages of that name, as index.ParseVersion has them.
func (k Key) Order() string { return kinds[k.Base].order }

// Semantic reports whether versions that begin with no digit are none.
func (k Key) Semantic() bool { return kinds[k.Base].semantic }

// Named reports whether databases can speak of a package of a language by that name: without a group, none of Maven's is meant, whatever the document calls it.
func (k Key) Named() bool {
	kind := kinds[k.Base]
	if kind.named != nil {
		return kind.named(k.Name)
	}
	return !strings.Contains(k.Name, "/")
}

// Releases reports whether the ecosystem is a distribution with releases.
func (k Key) Releases() bool { return kinds[k.Base].release != nil }

// maxKeyName is the most bytes of a name in a key; a longer one ends in a sum of itself.
const maxKeyName = 400

// short makes a key out of a name of any length.
func short(s string) string {
	s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	if len(s) <= maxKeyName {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return strings.ToValidUTF8(s[:maxKeyName-33], "") + "~" + hex.EncodeToString(sum[:16])
}

// KeyOf makes a key of a name as somebody writes it.
func KeyOf(base, name string) Key {
	if fold := kinds[base].fold; fold != nil {
		name = fold(name)
	}
	return Key{base, short(name)}
}

// Placed is where an affected package is: ok is false where no package of ours can be meant.
func Placed(p *osv.AffectedPackage) (k Key, release string, ok bool) {
	base, release, ok := place(p.Ecosystem)
	if ok && p.Name != "" {
		return KeyOf(base, p.Name), release, true
	}
	if p.Ecosystem == "" { // the package URL alone says what is meant
		if u, err := sbom.ParsePURL(p.PURL); err == nil {
			if base, name := language(u); base != "" {
				return KeyOf(base, name), AnyRelease, true
			}
		}
	}
	return Key{}, "", false
}

// Released is a name in one release.
type Released struct {
	Key
	Release string
}

// Sought is what to look up for a package version.
type Sought struct {
	Key     Key
	Release string
	Version string
}

// SoughtFor lists what to look up for a package version: one name, and for RPM's distributions up to two. None where its ecosystem is not known.
func SoughtFor(v *index.PackageVersion) []Sought {
	u, err := sbom.ParsePURL(v.PURL)
	if err != nil {
		return nil
	}
	if base, name := language(u); base != "" {
		return []Sought{{KeyOf(base, name), AnyRelease, published(base, name, v.Version)}}
	}
	base, release := distribution(u, v.Distro)
	if base == "" {
		return nil
	}
	source, version := v.Source, v.SourceVersion
	if source == "" {
		source = u.Name
	}
	if version == "" {
		version = v.Version
	}
	if epoch, _, ok := strings.Cut(v.Version, ":"); ok && u.Type == "rpm" && !strings.Contains(version, ":") {
		version = epoch + ":" + version // files of source packages do not tell it
	}
	list := []Sought{{KeyOf(base, source), release, version}}
	if own := KeyOf(base, u.Name); kinds[base].both && own != list[0].Key {
		list = append(list, Sought{own, release, v.Version})
	}
	return list
}

var (
	gemPlatform     = regexp.MustCompile(`-(?:x86|x64|i[3-6]86|amd64|aarch64|arm|powerpc|ppc|s390|riscv|mips|java$|jruby|universal|mingw|mswin|linux|darwin|ruby$).*$`)
	bitnamiRevision = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)*)-[0-9]+$`)
)

// published is the version that advisories speak of: without the platform that a gem was built for, the revision of Bitnami's image, and as a semantic version for releases of Go.
func published(base, name, version string) string {
	switch {
	case base == "Go" && !strings.Contains(name, "/"):
		return goRelease(version)
	case base == "RubyGems":
		return gemPlatform.ReplaceAllString(version, "")
	case base == "Bitnami":
		return bitnamiRevision.ReplaceAllString(version, "$1")
	}
	return version
}

var goPattern = regexp.MustCompile(`^go([0-9]+)\.([0-9]+)(?:\.([0-9]+))?(?:(rc|beta)([0-9]+))?(?:[-+ ]|$)`)

// goRelease makes a semantic version of a release of Go (go.dev/ref/mod, "Toolchain"): "go1.23rc1" is 1.23.0-rc.1. That of the standard library is written so.
func goRelease(version string) string {
	m := goPattern.FindStringSubmatch(version)
	if m == nil {
		return version
	}
	out := m[1] + "." + m[2] + "." + cmp.Or(m[3], "0")
	if m[4] != "" {
		out += "-" + m[4] + "." + m[5]
	}
	return out
}

// language is the ecosystem and name of a package of a language: base is "" for any other.
func language(u sbom.PURL) (base, name string) {
	switch u.Type {
	case "deb", "rpm", "apk", "alpm":
		return "", ""
	}
	if base = languages[u.Type]; base == "" {
		base = index.Ecosystem(u.Type, u.Namespace, sbom.Distro{})
	}
	name = u.Name
	switch {
	case base == "Go" && u.Namespace == "" && name == "std": // as cyclonedx-gomod calls the standard library
		name = "stdlib"
	case u.Namespace == "" || base == "ConanCenter" || base == "Hex":
	case base == "Maven":
		name = u.Namespace + ":" + u.Name
	case base == "npm" && !strings.HasPrefix(u.Namespace, "@"):
		name = "@" + u.Namespace + "/" + u.Name
	default:
		name = u.Namespace + "/" + u.Name
	}
	if _, ok := kinds[base]; !ok {
		return "", ""
	}
	return base, name
}

// distribution is whose package it is: by its own qualifier, else by the document, else by the namespace.
func distribution(u sbom.PURL, distro sbom.Distro) (base, release string) {
	id, text := distro.ID, distro.Version
	if own := u.Qualifier("distro"); own != "" {
		name, version := own, ""
		if i := strings.LastIndexByte(own, '-'); i > 0 {
			name, version = own[:i], own[i+1:]
		}
		switch {
		case distributions[lower(name)] != "" && version != "":
			id, text = name, version
		case distributions[lower(own)] != "":
			id = own
		case text == "": // a code name: "bookworm"
			text = own
		}
	}
	if base = distributions[lower(id)]; base == "" {
		base = distributions[lower(u.Namespace)]
	}
	k, ok := kinds[base]
	if !ok || k.release == nil {
		return base, AnyRelease
	}
	if lower(id) == "opensuse-tumbleweed" {
		text = "tumbleweed"
	}
	if release, ok = k.release(text); !ok {
		release = UnknownRelease
	}
	return base, release
}
