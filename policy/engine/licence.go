package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Limits of a licence expression.
const (
	maxExpression   = 2048 // bytes
	maxAlternatives = 64   // that an expression offers
	maxTogether     = 32   // licences of one alternative
	maxNesting      = 32   // parentheses
	licenceWeight   = 1 << 8
)

// The categories of licences: what they ask of whoever passes a program on.
const (
	permissive = "permissive" // notices stay
	weak       = "weak"       // changes to the files or the library stay open
	copyleft   = "copyleft"   // what is built with it becomes open
	network    = "network"    // the same, for whoever is served over a network
	restricted = "restricted" // source is shown and use is limited
	unknown    = "unknown"
)

// category is that of an SPDX identifier (spdx.org/licenses), without regard to capitals and to the suffixes -only, -or-later and +. A known exception for linking makes
// copyleft weak.
func category(id string) string {
	base, exception, _ := strings.Cut(strings.ToLower(strings.TrimSpace(id)), " with ")
	base = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(base, "+"), "-or-later"), "-only")
	found := unknown
	switch base {
	case "mit", "mit-0", "mit-cmu", "mit-feh", "mit-modern-variant", "x11", "x11-distribute-modifications-variant", "isc", "0bsd", "bsd-1-clause", "bsd-2-clause", "bsd-2-clause-patent",
		"bsd-2-clause-views", "bsd-3-clause", "bsd-3-clause-attribution", "bsd-3-clause-clear", "bsd-3-clause-lbnl", "bsd-3-clause-modification", "bsd-4-clause", "bsd-4-clause-uc",
		"bsd-source-code", "apache-1.0", "apache-1.1", "apache-2.0", "zlib", "zlib-acknowledgement", "libpng", "libpng-2.0", "bsl-1.0", "unlicense", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "wtfpl",
		"psf-2.0", "python-2.0", "python-2.0.1", "cnri-python", "artistic-2.0", "openssl", "ssleay", "curl", "ntp", "ntp-0", "hpnd", "hpnd-sell-variant", "icu", "unicode-3.0", "unicode-dfs-2015",
		"unicode-dfs-2016", "unicode-tou", "php-3.0", "php-3.01", "postgresql", "ncsa", "afl-2.1", "afl-3.0", "blessing", "blueoak-1.0.0", "bzip2-1.0.5", "bzip2-1.0.6", "ecl-2.0", "ecl-1.0", "fsfap",
		"fsful", "fsfullr", "fsfullrwd", "ftl", "ijg", "imagemagick", "info-zip", "intel", "json", "latex2e", "mulanpsl-2.0", "naist-2003", "nist-pd", "oldap-2.8", "olfl-1.3", "pcre2", "publicdomain",
		"public-domain", "ruby", "sax-pd", "sgi-b-2.0", "smlnj", "spencer-86", "spencer-94", "spencer-99", "tcl", "tcp-wrappers", "upl-1.0", "vim", "w3c", "w3c-20150513", "xfree86-1.1", "xnet", "zpl-2.0",
		"zpl-2.1", "bitstream-vera", "ofl-1.0", "ofl-1.1", "apafml", "cmu-mach", "gd", "jasper-2.0", "libtiff", "mpich2", "newlib", "nlpl", "plexus", "saxpath", "stlport", "tu-berlin-1.0", "wsuipa":
		found = permissive
	case "lgpl-2.0", "lgpl-2.1", "lgpl-3.0", "lgpllr", "mpl-1.0", "mpl-1.1", "mpl-2.0", "mpl-2.0-no-copyleft-exception", "epl-1.0", "epl-2.0", "cddl-1.0", "cddl-1.1", "cpl-1.0", "ipl-1.0", "apsl-2.0",
		"artistic-1.0", "artistic-1.0-perl", "artistic-1.0-cl8", "clartistic", "ms-pl", "ms-rl", "nosl", "npl-1.0", "npl-1.1", "spl-1.0", "wxwindows", "eupl-1.1", "eupl-1.2", "erlpl-1.1", "cecill-c", "osl-2.1",
		"lppl-1.3a", "lppl-1.3c", "qpl-1.0", "bsl-1.1-change":
		found = weak
	case "gpl-1.0", "gpl-2.0", "gpl-3.0", "gfdl-1.1", "gfdl-1.2", "gfdl-1.3", "gfdl-1.3-no-invariants", "cecill-2.0", "cecill-2.1", "cc-by-sa-3.0", "cc-by-sa-4.0", "sleepycat", "osl-3.0", "copyleft-next-0.3.1":
		found = copyleft
	case "agpl-1.0", "agpl-3.0", "eupl-1.0", "rpl-1.5", "cpal-1.0":
		found = network
	case "sspl-1.0", "busl-1.1", "elastic-2.0", "cc-by-nc-4.0", "cc-by-nc-3.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "polyform-noncommercial-1.0.0", "polyform-small-business-1.0.0",
		"commons-clause", "fsl-1.1-mit", "fsl-1.1-alv2", "aladdin", "bcl-1.0":
		found = restricted
	}
	if found == copyleft && slices.Contains([]string{"classpath-exception-2.0", "gcc-exception-2.0", "gcc-exception-3.1", "linux-syscall-note", "libtool-exception", "bison-exception-2.2", "autoconf-exception-2.0",
		"autoconf-exception-3.0", "font-exception-2.0", "llvm-exception", "openjdk-assembly-exception-1.0", "universal-foss-exception-1.0"}, exception) {
		return weak
	}
	return found
}

// licenceCategory is the built-in assay.licence.category(id): permissive, weak, copyleft, network, restricted or unknown.
func licenceCategory(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	return ast.StringTerm(category(text(operands[0]))), nil
}

// licenceParse is the built-in assay.licence.parse(expression): the alternatives that an SPDX expression offers, each a list of licences that hold together.
func licenceParse(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	alternatives, err := parseLicence(text(operands[0]))
	if err != nil {
		return nil, err
	}
	terms := make([]*ast.Term, len(alternatives))
	for i, together := range alternatives {
		ids := make([]*ast.Term, len(together))
		for j, id := range together {
			ids[j] = ast.StringTerm(id)
		}
		terms[i] = ast.ArrayTerm(ids...)
	}
	return ast.ArrayTerm(terms...), nil
}

// parseLicence reads an expression (SPDX specification 2.3, annex D): AND binds stronger than OR, WITH stronger than both.
func parseLicence(expression string) ([][]string, error) {
	if len(expression) > maxExpression {
		return nil, sentence(fmt.Sprintf("a licence expression has at most %d bytes", maxExpression))
	}
	spaced := strings.NewReplacer("(", " ( ", ")", " ) ").Replace(expression)
	p := &licenceParser{words: strings.Fields(spaced)}
	alternatives, err := p.either(0)
	if err == nil && len(p.words) > 0 {
		err = sentence(fmt.Sprintf("the licence expression has %.40q where AND, OR or its end is wanted", p.words[0]))
	}
	return alternatives, err
}

type licenceParser struct{ words []string }

// next takes the next word if it is this one, in whatever capitals.
func (p *licenceParser) next(word string) bool {
	if len(p.words) == 0 || !strings.EqualFold(p.words[0], word) {
		return false
	}
	p.words = p.words[1:]
	return true
}

func (p *licenceParser) either(depth int) ([][]string, error) {
	all, err := p.both(depth)
	for err == nil && p.next("OR") {
		var more [][]string
		more, err = p.both(depth)
		if all = append(all, more...); err == nil && len(all) > maxAlternatives {
			return nil, sentence(fmt.Sprintf("a licence expression offers at most %d alternatives", maxAlternatives))
		}
	}
	return all, err
}

func (p *licenceParser) both(depth int) ([][]string, error) {
	all, err := p.one(depth)
	for err == nil && p.next("AND") {
		var more, product [][]string
		if more, err = p.one(depth); err != nil {
			break
		}
		if len(all)*len(more) > maxAlternatives {
			return nil, sentence(fmt.Sprintf("a licence expression offers at most %d alternatives", maxAlternatives))
		}
		for _, x := range all {
			for _, y := range more {
				if len(x)+len(y) > maxTogether {
					return nil, sentence(fmt.Sprintf("a licence expression joins at most %d licences", maxTogether))
				}
				product = append(product, slices.Concat(x, y))
			}
		}
		all = product
	}
	return all, err
}

func (p *licenceParser) one(depth int) ([][]string, error) {
	if p.next("(") {
		if depth >= maxNesting {
			return nil, sentence(fmt.Sprintf("a licence expression nests at most %d deep", maxNesting))
		}
		all, err := p.either(depth + 1)
		if err == nil && !p.next(")") {
			err = sentence("the licence expression lacks a closing parenthesis")
		}
		return all, err
	}
	id, err := p.word()
	if err == nil && p.next("WITH") {
		var exception string
		exception, err = p.word()
		id += " WITH " + exception
	}
	return [][]string{{id}}, err
}

func (p *licenceParser) word() (string, error) {
	if len(p.words) == 0 || slices.ContainsFunc([]string{"AND", "OR", "WITH", "(", ")"}, func(s string) bool { return strings.EqualFold(s, p.words[0]) }) {
		return "", sentence("the licence expression lacks a licence where one is wanted")
	}
	word := p.words[0]
	p.words = p.words[1:]
	return word, nil
}
