package terms

import (
	"reflect"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/store"
)

// Parts of the input as plans have them ([plan.Source]): a member is encoded when it is asked for, and what nobody asks for never is. Made, a part is what terms make of it.

// part is a value for a plan: a collection of some size unread, and everything else made.
func (t *maker) part(v reflect.Value, depth int) (*ast.Term, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return t.part(v.Elem(), depth)
		}
	case reflect.Struct:
		if v.Type() != timeType {
			return plan.NewUnread(&structPart{terms: t, value: v, depth: depth}), nil
		}
	case reflect.Slice:
		if v.Type() == countsType {
			return plan.NewUnread(&Counts{terms: t, counts: v.Interface().(store.Counts)}), nil
		}
		if v.Len() == 0 || v.Type().Elem().Kind() != reflect.Struct {
			break
		}
		list := listPart{terms: t, value: v, depth: depth}
		if v.Type() == findingsType {
			return plan.NewUnread(&Findings{list, v.Interface().([]contract.VulnerabilityInput)}), nil
		}
		return plan.NewUnread(&list), nil
	case reflect.Map:
		switch m := v.Interface().(type) {
		case map[string]int:
			return plan.NewUnread(&mapPart[int]{terms: t, members: m, depth: depth, one: func(n, _ int) (*ast.Term, error) { return t.number(int64(n)), nil }}), nil
		case map[string]string:
			return plan.NewUnread(&mapPart[string]{terms: t, members: m, depth: depth, one: func(s string, _ int) (*ast.Term, error) { return t.text(s), nil }}), nil
		case map[string]any:
			return t.foreignPart(m, depth)
		}
	}
	return t.value(v, depth)
}

// foreignPart is what a summary holds, for a plan.
func (t *maker) foreignPart(x any, depth int) (*ast.Term, error) {
	if m, ok := x.(map[string]any); ok && depth <= maxDepth {
		return plan.NewUnread(&mapPart[any]{terms: t, members: m, depth: depth, one: t.foreignPart, top: t.reportedPart}), nil
	}
	return t.foreign(x, depth)
}

// structPart is a struct of the input.
type structPart struct {
	terms   *maker
	value   reflect.Value
	depth   int
	members []*ast.Term // that were asked for, as the encoder orders them
}

// Made implements plan.Source.
func (p *structPart) Made() (ast.Value, error) { return valueOf(p.terms.object(p.value, p.depth)) }

// Member implements plan.Source.
func (p *structPart) Member(key *ast.Term) (*ast.Term, error) {
	name, ok := key.Value.(ast.String)
	if !ok {
		return nil, nil
	}
	list := p.terms.plans[p.value.Type()]
	for i := range list {
		if m := &list[i]; m.name == string(name) {
			return p.member(m, i)
		}
	}
	return nil, nil
}

func (p *structPart) member(m *member, i int) (*ast.Term, error) {
	if p.members == nil {
		p.members = make([]*ast.Term, len(p.terms.plans[p.value.Type()]))
	}
	if known := p.members[i]; known != nil {
		return known, nil
	}
	f := p.value.Field(m.index)
	if m.absent(f) {
		return nil, nil
	}
	term, err := p.terms.part(f, p.depth+1)
	p.members[i] = term
	return term, err
}

// Len implements plan.Source.
func (p *structPart) Len() (int, error) {
	n, list := 0, p.terms.plans[p.value.Type()]
	for i := range list {
		if !list[i].absent(p.value.Field(list[i].index)) {
			n++
		}
	}
	return n, nil
}

// List implements plan.Source.
func (p *structPart) List() bool { return false }

// listPart is a list of structs, of which there is one at least.
type listPart struct {
	terms    *maker
	value    reflect.Value
	depth    int
	elements []*ast.Term // that were asked for
}

// Made implements plan.Source.
func (p *listPart) Made() (ast.Value, error) { return valueOf(p.terms.slice(p.value, p.depth)) }

// Member implements plan.Source.
func (p *listPart) Member(key *ast.Term) (*ast.Term, error) { return p.at(placeIn(key, p.value.Len())) }

func (p *listPart) at(i int) (*ast.Term, error) {
	if i < 0 {
		return nil, nil
	}
	if p.elements == nil {
		p.elements = make([]*ast.Term, p.value.Len())
	}
	var err error
	if p.elements[i] == nil {
		p.elements[i], err = p.terms.part(p.value.Index(i), p.depth+1)
	}
	return p.elements[i], err
}

// Len implements plan.Source.
func (p *listPart) Len() (int, error) { return p.value.Len(), nil }

// List implements plan.Source.
func (p *listPart) List() bool { return true }

// placeIn is the place in a list of so many that a key names; negative if it names none.
func placeIn(key *ast.Term, n int) int {
	if number, ok := key.Value.(ast.Number); ok {
		if i, ok := number.Int(); ok && i >= 0 && i < n {
			return i
		}
	}
	return -1
}

// mapPart is a map of the input. Where names have to be mended, of which two may become one, it is made first.
type mapPart[V any] struct {
	terms   *maker
	members map[string]V
	depth   int
	one     func(v V, depth int) (*ast.Term, error)
	top     func(v V, depth int) (*ast.Term, error) // of the member "top"; nil if that is like any other
	known   map[string]*ast.Term                    // that are unread themselves
	clean   bool                                    // all names are UTF-8
	made    ast.Object
}

// Made implements plan.Source.
func (p *mapPart[V]) Made() (ast.Value, error) {
	return valueOf(p.terms.mapping(reflect.ValueOf(p.members), p.depth))
}

// plain reports whether members are found by the names that they have here.
func (p *mapPart[V]) plain() bool {
	for name := range p.members {
		if p.clean {
			break
		}
		if !utf8.ValidString(name) {
			return false
		}
	}
	p.clean = true
	return true
}

// mended is the map made, once.
func (p *mapPart[V]) mended() (ast.Object, error) {
	if p.made == nil {
		v, err := p.Made()
		if err != nil {
			return nil, err
		}
		p.made = v.(ast.Object)
	}
	return p.made, nil
}

// Member implements plan.Source.
func (p *mapPart[V]) Member(key *ast.Term) (*ast.Term, error) {
	name, ok := key.Value.(ast.String)
	if !ok {
		return nil, nil
	}
	if known := p.known[string(name)]; known != nil {
		return known, nil
	}
	if !p.plain() {
		o, err := p.mended()
		if err != nil {
			return nil, err
		}
		return o.Get(key), nil
	}
	v, ok := p.members[string(name)]
	if !ok {
		return nil, nil
	}
	encode := p.one
	if name == "top" && p.top != nil {
		encode = p.top
	}
	term, err := encode(v, p.depth+1)
	if err != nil {
		return nil, err
	}
	if _, unread := term.Value.(*plan.Unread); unread {
		if p.known == nil {
			p.known = map[string]*ast.Term{}
		}
		p.known[string(name)] = term
	}
	return term, nil
}

// Len implements plan.Source.
func (p *mapPart[V]) Len() (int, error) {
	if p.plain() {
		return len(p.members), nil
	}
	o, err := p.mended()
	if err != nil {
		return 0, err
	}
	return o.Len(), nil
}

// List implements plan.Source.
func (p *mapPart[V]) List() bool { return false }

// valueOf is the value of a term that was made.
func valueOf(t *ast.Term, err error) (ast.Value, error) {
	if err != nil {
		return nil, err
	}
	return t.Value, nil
}
