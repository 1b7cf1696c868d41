package document

import (
	"github.com/anchore/syft/syft/cpe"
)

// appendCPE appends a CPE name as a formatted string (NISTIR 7695, 6.2).
func appendCPE(b []byte, a *cpe.Attributes) []byte {
	start := len(b)
	b = append(b, "cpe:2.3"...)
	for _, value := range [...]string{a.Part, a.Vendor, a.Product, a.Version, a.Update, a.Edition, a.Language, a.SWEdition, a.TargetSW, a.TargetHW, a.Other} {
		b = append(b, ':')
		if value == "" {
			b = append(b, '*')
			continue
		}
		for i := range len(value) {
			switch c := value[i]; cpeForms[c] {
			case cpePlain:
				b = append(b, c)
			case cpeQuoted:
				b = append(b, '\\', c)
			case cpeSpace:
				b = append(b, '_')
			default:
				return append(b[:start], a.String()...) // rare, and syft's business
			}
		}
	}
	return b
}

type cpeForm uint8

const (
	cpeOther cpeForm = iota
	cpePlain
	cpeQuoted
	cpeSpace
)

var cpeForms = func() (f [256]cpeForm) {
	for c := range f {
		if identifying[c] || c == '_' {
			f[c] = cpePlain
		}
	}
	for _, c := range []byte("!\"#$%&'()+,/:;<=>@[]^`{|}~") {
		f[c] = cpeQuoted
	}
	f[' '] = cpeSpace
	return f
}()
