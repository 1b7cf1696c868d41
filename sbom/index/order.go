package index

import (
	"regexp"
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"github.com/assay-registry/assay/store"
)

// grammars tell what is a version of an ecosystem. The comparisons take any text, and put what is none below everything or beside what it is not: a branch below all releases, "1.1.1t" before
// "1.1.1". Of such a version nobody can say that it is not affected.
var grammars = map[string]*regexp.Regexp{
	"PyPI": regexp.MustCompile(`^v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*(?:[-_.]?(?:alpha|a|beta|b|preview|pre|c|rc)[-_.]?[0-9]*)?(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?` +
		`(?:[-_.]?dev[-_.]?[0-9]*)?(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?$`), // PEP 440, "Appendix B", in lower case
	"RubyGems":  regexp.MustCompile(`^[0-9]+(?:\.[0-9A-Za-z]+)*$`),                                                                               // Gem::Version, after its hyphens were replaced
	"Packagist": regexp.MustCompile(`^[0-9]+(?:\.[0-9]+){3}(?:[-_.]?(?:beta|b|rc|alpha|a|patch|pl|p)(?:[-_.]?[0-9]+)*)?(?:[-_.]?dev)?$`),         // Composer\Semver\VersionParser, in normal form
	"Alpine":    regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)*[a-z]?(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*(?:~[0-9a-f]+)?(?:-r[0-9]+)?$`), // apk-package(5)
	"NuGet":     regexp.MustCompile(`^v?[0-9]+(?:\.[0-9]+){0,3}(?:[-+].*)?$`),
}

// semver is the grammar of ecosystems with semantic versions; what they leave out is 0.
var semver = regexp.MustCompile(`^v?[0-9]+(?:\.[0-9]+){0,2}(?:[-+].*)?$`)

var semvers = map[string]bool{"npm": true, "Go": true, "crates.io": true, "Hex": true, "Pub": true, "ConanCenter": true, "SwiftURL": true, "Julia": true, "Bitnami": true}

func parseVersion(ecosystem, version string) (semantic.Version, error) {
	if len(version) > maxName || version == "" {
		return nil, store.Errorf(store.CodeInvalid, "a version to compare has 1 to %d characters", maxName)
	}
	if ecosystem == "" {
		return semantic.Parse(version, "SwiftURL") // plain semantic versions, leniently read
	}
	text, order := normalVersion(ecosystem, version)
	grammar := grammars[order]
	if semvers[ecosystem] {
		grammar = semver
	}
	if grammar != nil && !grammar.MatchString(text) {
		return nil, store.Errorf(store.CodeInvalid, "%.60q is no version of %s", version, ecosystem)
	}
	if order == "Alpine" {
		return apkParse(text), nil
	}
	v, err := semantic.Parse(text, order)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "%.60q is no version of %s: %w", version, ecosystem, err)
	}
	if _, build, ok := strings.Cut(text, "+"); ok && ecosystem == "Julia" {
		return built{v, semantic.ParseSemverVersion("0.0.0-" + build), true}, nil
	} else if ecosystem == "Julia" {
		return built{v, nil, false}, nil
	}
	return v, nil
}

// mavenQualifier is a qualifier behind a dot, which is what it is behind a hyphen (Maven, "Version Order Specification"): 1.0.RC1 is 1.0-RC1.
var mavenQualifier = regexp.MustCompile(`\.([A-Za-z])`)

// normalVersion brings a version into the form in which the comparison of an order understands it.
func normalVersion(ecosystem, version string) (text, order string) {
	switch text = version; ecosystem {
	case "PyPI":
		text = strings.ToLower(strings.TrimSpace(version))
	case "RubyGems":
		text = strings.ReplaceAll(strings.TrimSpace(version), "-", ".pre.")
	case "Packagist":
		text = normalComposer(version)
	case "Maven":
		text = mavenQualifier.ReplaceAllString(version, "-$1")
	case "Arch Linux":
		return beforeRelease(version), "Red Hat"
	default:
		if rest, ok := strings.CutPrefix(version, "V"); ok && semvers[ecosystem] || ok && ecosystem == "NuGet" {
			text = rest
		}
	}
	return text, ecosystem
}

// normalComposer gives a version its four numbers (Composer\Semver\VersionParser, "normalize"): 1.2 is 1.2.0.0. Capitals, "stable" and what is behind "+" mean nothing.
func normalComposer(version string) string {
	text, _, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(version)), "v"), "+")
	end := strings.IndexFunc(text, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	if end < 0 {
		end = len(text)
	}
	numbers := strings.TrimRight(text[:end], ".")
	rest := strings.TrimSuffix(strings.TrimLeft(text[end:], "-_"), "stable")
	if rest != "" {
		rest = "-" + strings.TrimRight(rest, "-_.")
	}
	return numbers + strings.Repeat(".0", max(0, 3-strings.Count(numbers, "."))) + rest
}

// beforeRelease marks letters behind a number, which are older than none in Arch Linux (vercmp(8)): 1.0rc1 is before 1.0. The comparison of RPM says so of a tilde.
func beforeRelease(version string) string {
	b := make([]byte, 0, len(version)+8)
	for i := range len(version) {
		c := version[i]
		if i > 0 && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') && version[i-1] >= '0' && version[i-1] <= '9' {
			b = append(b, '~')
		}
		b = append(b, c)
	}
	return string(b)
}

// built is a version of Julia: builds of one version have an order, too (VersionNumber), and one without is before all.
type built struct {
	semantic.Version
	build semantic.Version
	is    bool
}

// Compare orders versions, and their builds.
func (v built) Compare(other semantic.Version) (int, error) {
	w, ok := other.(built)
	if !ok {
		return 0, semantic.ErrNotSameEcosystem
	}
	n, err := v.Version.Compare(w.Version)
	switch {
	case n != 0 || err != nil || !v.is && !w.is:
		return n, err
	case !v.is:
		return -1, nil
	case !w.is:
		return 1, nil
	}
	return v.build.Compare(w.build)
}
