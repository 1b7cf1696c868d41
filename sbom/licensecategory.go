package sbom

import (
	"slices"
	"strings"
)

// The categories of licences: what they ask of whoever passes a program on.
const (
	CategoryPermissive = "permissive" // notices stay
	CategoryWeak       = "weak"       // changes to the files or the library stay open
	CategoryCopyleft   = "copyleft"   // what is built with it becomes open
	CategoryNetwork    = "network"    // the same, for whoever is served over a network
	CategoryRestricted = "restricted" // source is shown and use is limited
	CategoryUnknown    = "unknown"
)

// LicenseCategory is that of an SPDX identifier (spdx.org/licenses), without regard to capitals and to the suffixes -only, -or-later and +. A known exception for linking makes
// copyleft weak.
func LicenseCategory(id string) string {
	base, exception, _ := strings.Cut(strings.ToLower(strings.TrimSpace(id)), " with ")
	base = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(base, "+"), "-or-later"), "-only")
	found := CategoryUnknown
	switch base {
	case "mit", "mit-0", "mit-cmu", "mit-feh", "mit-modern-variant", "x11", "x11-distribute-modifications-variant", "isc", "0bsd", "bsd-1-clause", "bsd-2-clause", "bsd-2-clause-patent",
		"bsd-2-clause-views", "bsd-3-clause", "bsd-3-clause-attribution", "bsd-3-clause-clear", "bsd-3-clause-lbnl", "bsd-3-clause-modification", "bsd-4-clause", "bsd-4-clause-uc",
		"bsd-source-code", "apache-1.0", "apache-1.1", "apache-2.0", "zlib", "zlib-acknowledgement", "libpng", "libpng-2.0", "bsl-1.0", "unlicense", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "wtfpl",
		"psf-2.0", "python-2.0", "python-2.0.1", "cnri-python", "artistic-2.0", "openssl", "ssleay", "curl", "ntp", "ntp-0", "hpnd", "hpnd-sell-variant", "icu", "unicode-3.0", "unicode-dfs-2015",
		"unicode-dfs-2016", "unicode-tou", "php-3.0", "php-3.01", "postgresql", "ncsa", "afl-2.1", "afl-3.0", "blessing", "blueoak-1.0.0", "bzip2-1.0.5", "bzip2-1.0.6", "ecl-2.0", "ecl-1.0", "fsfap",
		"fsful", "fsfullr", "fsfullrwd", "ftl", "ijg", "imagemagick", "info-zip", "intel", "json", "latex2e", "mulanpsl-2.0", "naist-2003", "nist-pd", "oldap-2.8", "olfl-1.3", "pcre2", "publicdomain",
		"public-domain", "ruby", "sax-pd", "sgi-b-2.0", "smlnj", "spencer-86", "spencer-94", "spencer-99", "tcl", "tcp-wrappers", "upl-1.0", "vim", "w3c", "w3c-20150513", "xfree86-1.1", "xnet", "zpl-2.0",
		"zpl-2.1", "bitstream-vera", "ofl-1.0", "ofl-1.1", "apafml", "cmu-mach", "gd", "jasper-2.0", "libtiff", "mpich2", "newlib", "nlpl", "plexus", "saxpath", "stlport", "tu-berlin-1.0", "wsuipa":
		found = CategoryPermissive
	case "lgpl-2.0", "lgpl-2.1", "lgpl-3.0", "lgpllr", "mpl-1.0", "mpl-1.1", "mpl-2.0", "mpl-2.0-no-copyleft-exception", "epl-1.0", "epl-2.0", "cddl-1.0", "cddl-1.1", "cpl-1.0", "ipl-1.0", "apsl-2.0",
		"artistic-1.0", "artistic-1.0-perl", "artistic-1.0-cl8", "clartistic", "ms-pl", "ms-rl", "nosl", "npl-1.0", "npl-1.1", "spl-1.0", "wxwindows", "eupl-1.1", "eupl-1.2", "erlpl-1.1", "cecill-c", "osl-2.1",
		"lppl-1.3a", "lppl-1.3c", "qpl-1.0", "bsl-1.1-change":
		found = CategoryWeak
	case "gpl-1.0", "gpl-2.0", "gpl-3.0", "gfdl-1.1", "gfdl-1.2", "gfdl-1.3", "gfdl-1.3-no-invariants", "cecill-2.0", "cecill-2.1", "cc-by-sa-3.0", "cc-by-sa-4.0", "sleepycat", "osl-3.0", "copyleft-next-0.3.1":
		found = CategoryCopyleft
	case "agpl-1.0", "agpl-3.0", "eupl-1.0", "rpl-1.5", "cpal-1.0":
		found = CategoryNetwork
	case "sspl-1.0", "busl-1.1", "elastic-2.0", "cc-by-nc-4.0", "cc-by-nc-3.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "polyform-noncommercial-1.0.0", "polyform-small-business-1.0.0",
		"commons-clause", "fsl-1.1-mit", "fsl-1.1-alv2", "aladdin", "bcl-1.0":
		found = CategoryRestricted
	}
	if found == CategoryCopyleft && slices.Contains([]string{"classpath-exception-2.0", "gcc-exception-2.0", "gcc-exception-3.1", "linux-syscall-note", "libtool-exception", "bison-exception-2.2", "autoconf-exception-2.0",
		"autoconf-exception-3.0", "font-exception-2.0", "llvm-exception", "openjdk-assembly-exception-1.0", "universal-foss-exception-1.0"}, exception) {
		return CategoryWeak
	}
	return found
}
