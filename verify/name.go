package verify

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
)

// DistinguishedName is how a name in a certificate (its RawSubject or RawIssuer, DER) reads in the form of RFC 4514, the most specific part first:
// "CN=release,O=Acme,C=DE". Attributes without a short name there are written as 1.2.3=#<hex>. Empty where der is no name.
func DistinguishedName(der []byte) string {
	rdns, ok := parseName(der)
	if !ok {
		return ""
	}
	return rdns.String()
}

func parseName(der []byte) (pkix.RDNSequence, bool) {
	var rdns pkix.RDNSequence
	rest, err := asn1.Unmarshal(der, &rdns)
	return rdns, err == nil && len(rest) == 0
}

// attribute is one attribute of a distinguished name: its type as a dotted OID, and its value.
type attribute struct{ oid, value string }

// attributeTypes are the short names of RFC 4514 section 3, with those that other programs write besides: S for ST, E for an address.
var attributeTypes = map[string]string{
	"CN": "2.5.4.3", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8", "S": "2.5.4.8", "STREET": "2.5.4.9", "O": "2.5.4.10", "OU": "2.5.4.11",
	"POSTALCODE": "2.5.4.17", "UID": "0.9.2342.19200300.100.1.1", "DC": "0.9.2342.19200300.100.1.25", "E": "1.2.840.113549.1.9.1", "EMAILADDRESS": "1.2.840.113549.1.9.1",
}

// commonName is the one attribute that a subject has at most once.
const commonName = "2.5.4.3"

// parseDN reads a distinguished name as RFC 4514 section 3 writes it; ok is false where s is none, has an attribute whose short name is not known, an
// empty value, or one in hexadecimal.
func parseDN(s string) (all []attribute, ok bool) {
	for _, part := range splitDN(s) {
		name, value, found := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		oid := attributeTypes[strings.ToUpper(name)]
		if oid == "" && strings.Contains(name, ".") && strings.Trim(name, "0123456789.") == "" {
			oid = name
		}
		value, valid := unescapeDN(value)
		if !found || oid == "" || !valid {
			return nil, false
		}
		all = append(all, attribute{oid, value})
	}
	return all, true
}

// splitDN cuts at commas and plus signs that no backslash precedes.
func splitDN(s string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',', '+':
			parts, start = append(parts, s[start:i]), i+1
		}
	}
	return append(parts, s[start:])
}

// unescapeDN reads a value: spaces around it do not count, a backslash stands before a special character or two hexadecimal digits.
func unescapeDN(s string) (string, bool) {
	s = strings.TrimLeft(s, " ")
	if s == "" || s[0] == '#' {
		return "", false
	}
	var b strings.Builder
	end := 0 // what follows is unescaped space
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' {
			if i++; i == len(s) {
				return "", false
			}
			if c = s[i]; strings.IndexByte(` "#+,;<=>\`, c) < 0 {
				if i++; i == len(s) {
					return "", false
				}
				octet, err := hex.DecodeString(s[i-1 : i+1])
				if err != nil {
					return "", false
				}
				c = octet[0]
			}
			b.WriteByte(c)
			end = b.Len()
			continue
		}
		b.WriteByte(c)
		if c != ' ' {
			end = b.Len()
		}
	}
	return b.String()[:end], end > 0
}

// anybody reports whether a pattern of attributes leaves every one of them open.
func anybody(wanted []attribute) bool {
	return !slices.ContainsFunc(wanted, func(a attribute) bool { return !store.MatchPath(a.value, "\x01") })
}

// MatchName reports whether the subject of a certificate (RawSubject, DER) is as wanted. A Subject that is a distinguished name, "CN=release,O=Acme", matches a
// subject with all these attributes, in whatever order and among others; each value is exact, or a glob. A common name is matched only where the subject has
// exactly one. Any other pattern is matched against the whole [DistinguishedName], if it has an equals sign: "*@acme.example" means an address, and no common name that looks like
// one. False where no pattern for a subject is given.
func (m *Matcher) MatchName(der []byte) bool {
	rdns, ok := parseName(der)
	if !ok || m.subject == nil {
		return false
	}
	if m.name == nil {
		return strings.Contains(m.Subject+m.SubjectRegexp, "=") && m.subject(rdns.String())
	}
	var has []attribute
	names := 0
	for _, rdn := range rdns {
		for _, a := range rdn {
			value, text := a.Value.(string)
			oid := a.Type.String()
			if oid == commonName {
				names++
			}
			if text {
				has = append(has, attribute{oid, value})
			}
		}
	}
	for _, want := range m.name {
		if want.oid == commonName && names != 1 || !slices.ContainsFunc(has, func(a attribute) bool { return a.oid == want.oid && matchValue(want.value, a.value) }) {
			return false
		}
	}
	return true
}

func matchValue(pattern, value string) bool {
	return pattern == value || strings.Contains(pattern, "*") && store.MatchPath(pattern, value)
}
