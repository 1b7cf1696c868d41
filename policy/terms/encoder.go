package terms

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/store"
)

var (
	timeType   = reflect.TypeFor[time.Time]()
	countType  = reflect.TypeFor[store.Count]()
	countsType = reflect.TypeFor[store.Counts]()
)

// maxDepth bounds nesting: what is deeper is no summary.
const maxDepth = 64

// Encoder turns Go values into what Rego reads: exactly the value that their JSON has, without writing the JSON. Plans are made for the types of the
// input once, when a set is compiled; afterwards an encoder is only read, but for the findings that it knows.
type Encoder struct {
	plans map[reflect.Type][]member
	names map[string]*ast.Term // of members of summaries, which come again and again
	known *findingTerms
}

// member is a struct's field with its name in JSON.
type member struct {
	index     int
	name      string
	key       *ast.Term
	omitEmpty bool
	omitZero  bool
}

// NewEncoder plans for a type of documents. A field that has no name in JSON is an error.
func NewEncoder(root reflect.Type) (*Encoder, error) {
	e := &Encoder{plans: map[reflect.Type][]member{}, names: map[string]*ast.Term{}, known: newFindingTerms()}
	for _, name := range []string{"builder", "source", "ref", "counts", "fixable", "top", "critical", "high", "medium", "low", "negligible", "unknown", "finished", "started", "db_time", "scanner"} {
		e.names[name] = ast.StringTerm(name)
	}
	for _, key := range findingKeys() {
		e.names[Text(key)] = key
	}
	return e, e.plan(root)
}

// plan prepares a type and all that it contains.
func (e *Encoder) plan(t reflect.Type) error {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return e.plan(t.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	if _, done := e.plans[t]; done || t == timeType || t == countType {
		return nil
	}
	e.plans[t] = nil // for types that contain themselves
	var members []member
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" { // no part of the document
			continue
		}
		if f.Anonymous || !f.IsExported() || name == "" {
			return fmt.Errorf("the field %s.%s has no name in JSON", t, f.Name)
		}
		if err := e.plan(f.Type); err != nil {
			return err
		}
		split := strings.Split(options, ",")
		members = append(members, member{i, name, ast.StringTerm(name), slices.Contains(split, "omitempty"), slices.Contains(split, "omitzero")})
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) }) // as objects of OPA sort them
	e.plans[t] = members
	return nil
}
