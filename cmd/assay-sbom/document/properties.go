package document

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// properties are the name and value pairs that CycloneDX documents have beside their own fields: whatever has a tag "cyclonedx", at any depth, of any type of metadata.
// Of two with one name the later counts; they are in the order of their names.
type properties struct {
	list  []property
	types map[reflect.Type][]propertyField
}

type property struct{ name, value string }

// propertyField is a field with a tag.
type propertyField struct {
	index int
	name  string // "": the fields of this field belong to what it is in
}

// of lists what v has, each name beginning with prefix. The list is good until the next call.
func (p *properties) of(v any, prefix string) []property {
	p.list = p.list[:0]
	if v != nil {
		p.add(reflect.ValueOf(v), prefix)
	}
	return p.sorted()
}

func (p *properties) sorted() []property {
	slices.SortStableFunc(p.list, func(a, b property) int { return strings.Compare(a.name, b.name) })
	out := p.list[:0]
	for i, e := range p.list {
		if i+1 == len(p.list) || p.list[i+1].name != e.name {
			out = append(out, e)
		}
	}
	return out
}

func (p *properties) put(name, value string) { p.list = append(p.list, property{name, value}) }

func (p *properties) add(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p.add(v.Elem(), name)
		}
	case reflect.String:
		if v.Len() > 0 {
			p.put(name, v.String())
		}
	case reflect.Bool:
		p.put(name, strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.put(name, strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		p.put(name, strconv.FormatUint(v.Uint(), 10))
	case reflect.Float32, reflect.Float64:
		p.put(name, strconv.FormatFloat(v.Float(), 'f', 6, 64))
	case reflect.Array, reflect.Slice:
		for i := range v.Len() {
			p.add(v.Index(i), name+":"+strconv.Itoa(i))
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			p.add(entries.Value(), fmt.Sprintf("%s:%v", name, entries.Key().Interface()))
		}
	case reflect.Struct:
		for _, f := range p.fields(v.Type()) {
			inner := name
			switch {
			case f.name != "" && name != "":
				inner = name + ":" + f.name
			case f.name != "":
				inner = f.name
			}
			p.add(v.Field(f.index), inner)
		}
	}
	// Nothing else can be said in a property, and syft passes over it, too.
}

func (p *properties) fields(t reflect.Type) []propertyField {
	fields, known := p.types[t]
	if !known {
		for i := range t.NumField() {
			if name, ok := t.Field(i).Tag.Lookup("cyclonedx"); ok {
				fields = append(fields, propertyField{i, name})
			}
		}
		if p.types == nil {
			p.types = map[reflect.Type][]propertyField{}
		}
		p.types[t] = fields
	}
	return fields
}
