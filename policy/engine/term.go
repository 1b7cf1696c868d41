package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

var timeType = reflect.TypeFor[time.Time]()

// maxDepth bounds nesting: what is deeper is no summary.
const maxDepth = 64

// encoder turns Go values into what Rego reads: exactly the value that their JSON has, without writing the JSON. Plans are made for the types of the
// input once, when a set is compiled; afterwards an encoder is only read.
type encoder struct {
	plans map[reflect.Type][]member
	names map[string]*ast.Term // of members of summaries, and severities, which come again and again
}

// member is a struct's field with its name in JSON.
type member struct {
	index     int
	name      string
	key       *ast.Term
	omitEmpty bool
	omitZero  bool
}

func newEncoder(root reflect.Type) (*encoder, error) {
	e := &encoder{plans: map[reflect.Type][]member{}, names: map[string]*ast.Term{}}
	for _, name := range []string{"id", "severity", "package", "fixed_in", "published", "vex", "counts", "fixable", "top", "critical", "high", "medium", "low", "negligible", "unknown", "builder", "source", "ref"} {
		e.names[name] = ast.StringTerm(name)
	}
	return e, e.plan(root)
}

// plan prepares a type and all that it contains.
func (e *encoder) plan(t reflect.Type) error {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return e.plan(t.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	if _, done := e.plans[t]; done || t == timeType {
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
	e.plans[t] = members
	return nil
}

// fields encodes the members of a struct that keep accepts.
func (e *encoder) fields(v reflect.Value, depth int, keep func(name string) bool) ([][2]*ast.Term, error) {
	members := e.plans[v.Type()]
	pairs := make([][2]*ast.Term, 0, len(members))
	for i := range members {
		m := &members[i]
		f := v.Field(m.index)
		if keep != nil && !keep(m.name) || m.omitEmpty && empty(f) || m.omitZero && f.IsZero() {
			continue
		}
		term, err := e.term(f, depth+1)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2]*ast.Term{m.key, term})
	}
	return pairs, nil
}

// object encodes a struct.
func (e *encoder) object(v reflect.Value, depth int) (*ast.Term, error) {
	members := e.plans[v.Type()]
	object := ast.NewObjectWithCapacity(len(members))
	for i := range members {
		m := &members[i]
		f := v.Field(m.index)
		if m.omitEmpty && empty(f) || m.omitZero && f.IsZero() {
			continue
		}
		term, err := e.term(f, depth+1)
		if err != nil {
			return nil, err
		}
		object.Insert(m.key, term)
	}
	return ast.NewTerm(object), nil
}

// empty is the omitempty of encoding/json.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}

func (e *encoder) term(v reflect.Value, depth int) (*ast.Term, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("the input is nested deeper than %d", maxDepth)
	}
	switch v.Kind() {
	case reflect.String:
		return stringTerm(v.String()), nil
	case reflect.Bool:
		return ast.InternedTerm(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return intTerm(v.Int()), nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return ast.NullTerm(), nil
		}
		if v.Kind() == reflect.Interface {
			return e.foreign(v.Interface(), depth)
		}
		return e.term(v.Elem(), depth)
	case reflect.Slice:
		return e.slice(v, depth)
	case reflect.Map:
		return e.mapping(v, depth)
	case reflect.Struct:
		if v.Type() != timeType { // Interface makes a copy of what is no pointer
			return e.object(v, depth)
		}
		return ast.StringTerm(v.Interface().(time.Time).Format(time.RFC3339Nano)), nil
	}
	return nil, fmt.Errorf("a %s cannot be in the input", v.Type())
}

// slice encodes nil as an empty array: optional parts are absent, never null.
func (e *encoder) slice(v reflect.Value, depth int) (*ast.Term, error) {
	terms := make([]*ast.Term, v.Len())
	for i := range terms {
		var err error
		if terms[i], err = e.term(v.Index(i), depth+1); err != nil {
			return nil, err
		}
	}
	return ast.ArrayTerm(terms...), nil
}

func (e *encoder) mapping(v reflect.Value, depth int) (*ast.Term, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("a %s cannot be in the input", v.Type())
	}
	switch m := v.Interface().(type) { // without reflection, which makes a copy of each key and value
	case map[string]any:
		return encodeMap(e, m, depth, (*encoder).foreign)
	case map[string]string:
		return encodeMap(e, m, depth, func(_ *encoder, s string, _ int) (*ast.Term, error) { return stringTerm(s), nil })
	case map[string]int:
		return encodeMap(e, m, depth, func(_ *encoder, n, _ int) (*ast.Term, error) { return intTerm(int64(n)), nil })
	}
	pairs := make([][2]*ast.Term, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		value, err := e.term(it.Value(), depth+1)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2]*ast.Term{stringTerm(it.Key().String()), value})
	}
	return ast.ObjectTerm(pairs...), nil
}

func encodeMap[T any](e *encoder, m map[string]T, depth int, encode func(*encoder, T, int) (*ast.Term, error)) (*ast.Term, error) {
	object := ast.NewObjectWithCapacity(len(m))
	for k, v := range m {
		value, err := encode(e, v, depth+1)
		if err != nil {
			return nil, err
		}
		key := e.names[k]
		if key == nil {
			key = stringTerm(k)
		}
		object.Insert(key, value)
	}
	return ast.NewTerm(object), nil
}

func stringTerm(s string) *ast.Term { return ast.StringTerm(strings.ToValidUTF8(s, "\ufffd")) }

func intTerm(n int64) *ast.Term {
	if small := int(n); n >= 0 && n <= 512 {
		return ast.InternedTerm(small)
	}
	return ast.NumberTerm(json.Number(strconv.FormatInt(n, 10)))
}

// foreign encodes what a summary holds: the types of encoding/json, or anything that it can write.
func (e *encoder) foreign(x any, depth int) (*ast.Term, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("the input is nested deeper than %d", maxDepth)
	}
	switch x := x.(type) {
	case string:
		if known := e.names[x]; known != nil {
			return known, nil
		}
		return stringTerm(x), nil
	case bool:
		return ast.InternedTerm(x), nil
	case int:
		return intTerm(int64(x)), nil
	case int64:
		return intTerm(x), nil
	case []any:
		terms := make([]*ast.Term, len(x))
		for i := range x {
			var err error
			if terms[i], err = e.foreign(x[i], depth+1); err != nil {
				return nil, err
			}
		}
		return ast.ArrayTerm(terms...), nil
	case map[string]any:
		return encodeMap(e, x, depth, (*encoder).foreign)
	case float64: // a whole number that was stored comes back as this, and is still one
		if x == math.Trunc(x) && math.Abs(x) <= 1<<53 {
			return intTerm(int64(x)), nil
		}
		return ast.NumberTerm(json.Number(strconv.FormatFloat(x, 'g', -1, 64))), nil
	case nil:
		return ast.NullTerm(), nil
	default:
		value, err := ast.InterfaceToValue(x)
		if err != nil {
			return nil, err
		}
		return ast.NewTerm(value), nil
	}
}
