package verify

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// The statement types of in-toto that are read.
const (
	statementV01 = "https://in-toto.io/Statement/v0.1"
	statementV1  = "https://in-toto.io/Statement/v1"
)

// Statement is an in-toto statement (attestation framework, spec/v1/statement.md): what a DSSE envelope signs.
type Statement struct {
	Subjects      []StatementSubject
	PredicateType string
	Predicate     json.RawMessage // empty where the statement has none
}

// StatementSubject is one thing that a statement is about.
type StatementSubject struct {
	Name        string
	Digest      map[string]string // algorithm to hexadecimal digits, as written
	Annotations map[string]string // strings only, within MaxAnnotations and MaxText
}

// ParseStatement reads a statement strictly (see store.StrictJSON): a known type, a predicate type, 1 to MaxSubjects subjects with 1 to MaxDigests digests each. An
// attestation whose predicate says nothing (absent, null, empty) is refused: it would satisfy whoever asks only for its type. A plain signature
// (PredicateCosignSign) has none. The errors are sentences and repeat nothing of b.
func ParseStatement(b []byte) (*Statement, error) {
	var doc struct {
		Type    string `json:"_type"`
		Subject []*struct {
			Name        string            `json:"name"`
			Digest      map[string]string `json:"digest"`
			Annotations map[string]any    `json:"annotations"`
		} `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	if err := decode(b, &doc); err != nil {
		return nil, err
	}
	switch {
	case doc.Type != statementV01 && doc.Type != statementV1:
		return nil, fmt.Errorf("_type is neither %s nor %s", statementV01, statementV1)
	case doc.PredicateType == "" || len(doc.PredicateType) > MaxText:
		return nil, fmt.Errorf("predicateType has not 1 to %d bytes", MaxText)
	case doc.PredicateType != PredicateCosignSign && hollow(doc.Predicate):
		return nil, errors.New("the predicate is empty")
	case len(doc.Subject) == 0:
		return nil, errors.New("the statement has no subject")
	case len(doc.Subject) > MaxSubjects:
		return nil, fmt.Errorf("the statement has more than %d subjects", MaxSubjects)
	}
	s := &Statement{PredicateType: doc.PredicateType, Predicate: doc.Predicate, Subjects: make([]StatementSubject, len(doc.Subject))}
	for i, subject := range doc.Subject {
		if subject == nil || len(subject.Digest) == 0 || len(subject.Digest) > MaxDigests {
			return nil, fmt.Errorf("a subject has not 1 to %d digests", MaxDigests)
		}
		s.Subjects[i] = StatementSubject{Name: subject.Name, Digest: subject.Digest, Annotations: texts(subject.Annotations)}
	}
	return s, nil
}

// hollow reports whether a predicate says nothing. It looks at no more than five characters that are not white space.
func hollow(predicate json.RawMessage) bool {
	var seen []byte
	for _, c := range predicate {
		switch c {
		case ' ', '\t', '\n', '\r':
			continue
		}
		if seen = append(seen, c); len(seen) > len("null") {
			return false
		}
	}
	switch string(seen) {
	case "", "null", "{}", "[]", `""`:
		return true
	}
	return false
}

// About returns the statement's first subject that is s, or nil. Any one of several subjects suffices. A subject is s if one of its digests under sha256 and sha512 is that of
// s, and none under those two is another (where s.Alternate is known): a set of digests that contradicts itself is about nothing. Names are not compared.
func (st *Statement) About(s Subject) *StatementSubject {
	for i := range st.Subjects {
		if st.Subjects[i].is(s) {
			return &st.Subjects[i]
		}
	}
	return nil
}

func (ss *StatementSubject) is(s Subject) bool {
	matched := false
	for _, own := range [...]digest.Digest{s.Descriptor.Digest, s.Alternate} {
		if own == "" {
			continue
		}
		stated, ok := ss.Digest[string(own.Algorithm())]
		if ok && stated != own.Encoded() {
			return false
		}
		matched = matched || ok
	}
	return matched
}
