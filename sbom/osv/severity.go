package osv

import (
	"strings"

	"github.com/assay-registry/assay/store"
)

// Severity is a class of severity. More is worse.
type Severity uint8

// The classes, by the names that policies and reports use. Unknown is the least only where findings are ordered: nobody said that it is harmless.
const (
	Unknown Severity = iota
	Negligible
	Low
	Medium
	High
	Critical
)

// SeverityNames are the names of the classes, by their numbers.
var SeverityNames = [...]string{"unknown", "negligible", "low", "medium", "high", "critical"}

// String is the name in lower case.
func (s Severity) String() string {
	if int(s) < len(SeverityNames) {
		return SeverityNames[s]
	}
	return SeverityNames[Unknown]
}

// MarshalText is the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name. Errors: CodeInvalid.
func (s *Severity) UnmarshalText(b []byte) error {
	for i, name := range SeverityNames {
		if strings.EqualFold(name, string(b)) {
			*s = Severity(i)
			return nil
		}
	}
	return store.Errorf(store.CodeInvalid, "%.40q is no severity; they are %s", b, strings.Join(SeverityNames[:], ", "))
}
