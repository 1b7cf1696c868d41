package terms

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// maker makes the terms of one input: one after the other in the same room, and texts that come again once. One goroutine uses it; what it made may be read by many.
type maker struct {
	*Encoder
	pairs      [][2]*ast.Term              // members of objects that are being made, each behind those of the object around it
	room       []ast.Term                  // for terms to come
	size       int                         // of the last room
	mended     bool                        // the name of a member was no UTF-8, so that two may have become one
	scratch    contract.VulnerabilityInput // a finding that is read
	once, kept lastSaid                    // what was said last of a finding that is not kept, and of one that is

	recent [recentTexts]*ast.Term // texts, each in the place that its looks give it
}

const (
	recentTexts = 64
	firstRoom   = 16 // terms
	lastRoom    = 128
)

// term takes the room of a term.
func (t *maker) term(v ast.Value) *ast.Term {
	if len(t.room) == 0 {
		t.size = min(max(2*t.size, firstRoom), lastRoom)
		t.room = make([]ast.Term, t.size)
	}
	one := &t.room[0]
	t.room = t.room[1:]
	one.Value = v
	return one
}

// text is a text, with what is no UTF-8 replaced as JSON does. Most texts of an input are there many times: severities, packages, authorities.
func (t *maker) text(s string) *ast.Term {
	n := len(s)
	if n == 0 {
		return ast.InternedEmptyString
	}
	place := &t.recent[(n+int(s[n-1])*7+int(s[n/2])*31)%recentTexts]
	if known := *place; known != nil && known.Value.(ast.String) == ast.String(s) {
		return known
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	*place = t.term(ast.String(s))
	return *place
}

func (t *maker) number(n int64) *ast.Term {
	if n >= 0 && n <= 512 {
		return ast.InternedTerm(int(n))
	}
	return t.term(ast.Number(strconv.FormatInt(n, 10)))
}

// put adds a member to the object that is being made: what was put since begin.
func (t *maker) put(key, value *ast.Term) { t.pairs = append(t.pairs, [2]*ast.Term{key, value}) }

func (t *maker) putText(key *ast.Term, s string) {
	if s != "" {
		t.put(key, t.text(s))
	}
}

func (t *maker) putTrue(key *ast.Term, is bool) {
	if is {
		t.put(key, ast.InternedTerm(true))
	}
}

func (t *maker) begin() int { return len(t.pairs) }

func (t *maker) end(begun int) *ast.Term {
	var object ast.Object
	if members := t.pairs[begun:]; !t.mended {
		object = ast.NewObject(members...)
	} else {
		object = ast.NewObjectWithCapacity(len(members))
		for _, m := range members {
			object.Insert(m[0], m[1])
		}
	}
	t.pairs = t.pairs[:begun]
	return t.term(object)
}

// fields encodes the members of a struct that keep accepts.
func (t *maker) fields(v reflect.Value, keep func(name string) bool) ([][2]*ast.Term, error) {
	members := t.plans[v.Type()]
	pairs := make([][2]*ast.Term, 0, len(members))
	for i := range members {
		m := &members[i]
		f := v.Field(m.index)
		if !keep(m.name) || m.absent(f) {
			continue
		}
		term, err := t.value(f, 1)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2]*ast.Term{m.key, term})
	}
	return pairs, nil
}

// object encodes a struct.
func (t *maker) object(v reflect.Value, depth int) (*ast.Term, error) {
	begun := t.begin()
	members := t.plans[v.Type()]
	for i := range members {
		m := &members[i]
		f := v.Field(m.index)
		if m.absent(f) {
			continue
		}
		term, err := t.value(f, depth+1)
		if err != nil {
			return nil, err
		}
		t.put(m.key, term)
	}
	return t.end(begun), nil
}

func (m *member) absent(v reflect.Value) bool {
	return m.omitEmpty && empty(v) || m.omitZero && v.IsZero()
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

func (t *maker) value(v reflect.Value, depth int) (*ast.Term, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	switch v.Kind() {
	case reflect.String:
		return t.text(v.String()), nil
	case reflect.Bool:
		return ast.InternedTerm(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return t.number(v.Int()), nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return ast.NullTerm(), nil
		}
		if v.Kind() == reflect.Interface {
			return t.foreign(v.Interface(), depth)
		}
		return t.value(v.Elem(), depth)
	case reflect.Slice:
		return t.slice(v, depth)
	case reflect.Map:
		return t.mapping(v, depth)
	case reflect.Struct:
		if v.Type() != timeType { // Interface makes a copy of what is no pointer
			return t.object(v, depth)
		}
		return t.term(ast.String(v.Interface().(time.Time).Format(time.RFC3339Nano))), nil
	}
	return nil, fmt.Errorf("a %s cannot be in the input", v.Type())
}

var errDepth = fmt.Errorf("the input is nested deeper than %d", maxDepth)

// slice encodes nil as an empty array: optional parts are absent, never null.
func (t *maker) slice(v reflect.Value, depth int) (*ast.Term, error) {
	if v.Type() == countsType {
		return t.counts(v.Interface().(store.Counts)), nil
	}
	if v.Len() == 0 {
		return ast.InternedEmptyArray, nil
	}
	if v.Type() == findingsType {
		return t.findings(v.Interface().([]contract.VulnerabilityInput)), nil
	}
	list := make([]*ast.Term, v.Len())
	for i := range list {
		var err error
		if list[i], err = t.value(v.Index(i), depth+1); err != nil {
			return nil, err
		}
	}
	return t.term(ast.NewArray(list...)), nil
}

// counts encodes numbers by name.
func (t *maker) counts(c store.Counts) *ast.Term {
	begun := t.begin()
	for _, one := range c {
		t.put(t.name(one.Name), t.number(int64(one.N)))
	}
	return t.end(begun)
}

func (t *maker) mapping(v reflect.Value, depth int) (*ast.Term, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("a %s cannot be in the input", v.Type())
	}
	begun := t.begin()
	switch m := v.Interface().(type) { // without reflection, which makes a copy of each key and value
	case map[string]any:
		return t.members(m, depth)
	case map[string]string:
		for k, s := range m {
			t.put(t.name(k), t.text(s))
		}
	case map[string]int:
		for k, n := range m {
			t.put(t.name(k), t.number(int64(n)))
		}
	default:
		for it := v.MapRange(); it.Next(); {
			value, err := t.value(it.Value(), depth+1)
			if err != nil {
				return nil, err
			}
			t.put(t.name(it.Key().String()), value)
		}
	}
	return t.end(begun), nil
}

// name is the name of a member.
func (t *maker) name(s string) *ast.Term {
	if known := t.names[s]; known != nil {
		return known
	}
	t.mended = t.mended || !utf8.ValidString(s)
	return t.text(s)
}

// members encodes an object of a summary.
func (t *maker) members(m map[string]any, depth int) (*ast.Term, error) {
	begun := t.begin()
	for k, v := range m {
		var value *ast.Term
		var err error
		if list, ok := v.([]any); ok && k == "top" {
			value, err = t.reported(list, depth+1)
		} else {
			value, err = t.foreign(v, depth+1)
		}
		if err != nil {
			return nil, err
		}
		t.put(t.name(k), value)
	}
	return t.end(begun), nil
}

// foreign encodes what a summary holds: the types of encoding/json, or anything that it can write.
func (t *maker) foreign(x any, depth int) (*ast.Term, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	switch x := x.(type) {
	case string:
		return t.text(x), nil
	case bool:
		return ast.InternedTerm(x), nil
	case int:
		return t.number(int64(x)), nil
	case int64:
		return t.number(x), nil
	case []any:
		list := make([]*ast.Term, len(x))
		for i := range x {
			var err error
			if list[i], err = t.foreign(x[i], depth+1); err != nil {
				return nil, err
			}
		}
		return t.term(ast.NewArray(list...)), nil
	case map[string]any:
		return t.members(x, depth)
	case float64: // a whole number that was stored comes back as this, and is still one
		if x == math.Trunc(x) && math.Abs(x) <= 1<<53 {
			return t.number(int64(x)), nil
		}
		return t.term(ast.Number(json.Number(strconv.FormatFloat(x, 'g', -1, 64)))), nil
	case nil:
		return ast.NullTerm(), nil
	default:
		value, err := ast.InterfaceToValue(x)
		if err != nil {
			return nil, err
		}
		return t.term(value), nil
	}
}
