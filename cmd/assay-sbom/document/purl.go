package document

import (
	"strings"

	"github.com/anchore/packageurl-go"
)

// packageRef is the reference of a package in a CycloneDX document: its package URL with its id as one more qualifier, or its id alone.
func packageRef(purl, id string) string {
	if at, ok := canonical(purl, id); ok {
		switch {
		case at < 0:
			return purl + "?package-id=" + id
		case at == len(purl):
			return purl + "&package-id=" + id
		}
		return purl[:at] + "package-id=" + id + "&" + purl[at:]
	}
	u, err := packageurl.FromString(purl)
	if err != nil {
		return id
	}
	u.Qualifiers = append(u.Qualifiers, packageurl.Qualifier{Key: "package-id", Value: id})
	return u.ToString()
}

// canonical reports whether a package URL is as it would be written again, as far as that is plain to see, and where a qualifier "package-id" belongs: -1 if there are none
// yet. The id is that of the qualifier.
func canonical(purl, id string) (at int, ok bool) {
	rest, found := strings.CutPrefix(purl, "pkg:")
	kind, rest, more := strings.Cut(rest, "/")
	if !found || !more || !plainURL(id, true, false) {
		return 0, false
	}
	upper := false
	switch kind {
	case "maven":
		upper = true
	case "deb", "rpm", "apk", "npm", "golang", "pypi", "gem", "cargo", "generic", "composer", "nuget":
	default: // types with rules of their own
		return 0, false
	}
	rest, query, queried := strings.Cut(rest, "?")
	name, version, versioned := strings.Cut(rest, "@")
	if kind == "pypi" && strings.Contains(name, "_") || versioned && !plainURL(version, true, true) {
		return 0, false
	}
	for part := range strings.SplitSeq(name, "/") {
		if !plainURL(part, upper, true) || strings.Contains(part, "%2F") {
			return 0, false
		}
	}
	if !queried {
		return -1, true
	}
	return queryPlace(query, len(purl)-len(query))
}

// queryPlace is where a qualifier "package-id" belongs among others that are in order. The query begins at start.
func queryPlace(query string, start int) (at int, ok bool) {
	end, last := start+len(query), ""
	at = end
	for q := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(q, "=")
		if key <= last || key == "package-id" || key[0] < 'a' || key[0] > 'z' || !plainURL(key, false, false) || !plainURL(value, true, true) {
			return 0, false
		}
		if key > "package-id" && at == end {
			at = start
		}
		last = key
		start += len(q) + len("&")
	}
	return at, true
}

// plainURL reports whether s, which is not empty, is made of characters that stand for themselves in a package URL, and of others that are escaped as they must be.
func plainURL(s string, upper, escapes bool) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '-', c == '_', c == '~' && escapes:
		case c >= 'A' && c <= 'Z' && upper:
		case c == '%' && escapes && i+2 < len(s):
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high > 7 || low > 15 { // beyond ASCII, or no upper case digits
				return false
			}
			if d := high<<4 | low; d == '~' || d == '_' || identifying[d] {
				return false
			}
			i += 2
		default:
			return false
		}
	}
	return s != ""
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
