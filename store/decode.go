package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// DecodeJSON decodes b into the value that v points to, as json.Unmarshal does, after [StrictJSON]. Field names match exactly: encoding/json
// takes "Layers" for "layers", which another reader of the same bytes does not, so a key that differs from a field's name in case alone is
// refused. Other unknown keys are ignored, as the OCI specifications demand.
func DecodeJSON(b []byte, v any) error {
	if err := StrictJSON(b); err != nil {
		return err
	}
	w := walker{}
	if err := w.walk(reflect.TypeOf(v), b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// walker follows a document and a type side by side. It holds the fields of the struct types that it has met.
type walker map[reflect.Type][]member

// member is a field of a struct type as a document names it.
type member struct {
	name string
	t    reflect.Type
}

func (w walker) walk(t reflect.Type, b []byte) error {
	for t.Kind() == reflect.Pointer {
		if t.Implements(reflect.TypeFor[json.Unmarshaler]()) {
			return nil
		}
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) || len(b) == 0 {
		return nil
	}
	switch {
	case t.Kind() == reflect.Struct && b[0] == '{':
		return w.object(w.fields(t), b)
	case t.Kind() == reflect.Map && b[0] == '{' && composite(t.Elem()):
		return Members(b, func(_ string, value []byte) error { return w.walk(t.Elem(), value) })
	case (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && b[0] == '[' && composite(t.Elem()):
		return Elements(b, func(value []byte) error { return w.walk(t.Elem(), value) })
	}
	return nil
}

// composite reports whether a struct may be inside t, so that its values must be walked.
func composite(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
		return true
	}
	return false
}

func (w walker) object(fields []member, b []byte) error {
	return Members(b, func(key string, value []byte) error {
		for _, f := range fields {
			if f.name == key {
				return w.walk(f.t, value)
			}
		}
		for _, f := range fields {
			if strings.EqualFold(f.name, key) {
				return fmt.Errorf("a key differs from %q in upper and lower case alone", f.name)
			}
		}
		return nil
	})
}

// fields lists the fields that encoding/json would fill.
func (w walker) fields(t reflect.Type) []member {
	if known, ok := w[t]; ok {
		return known
	}
	fields := make([]member, 0, t.NumField())
	add := func(f *reflect.StructField) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || f.Anonymous && name == "" {
			return
		}
		if name == "" {
			name = f.Name
		}
		fields = append(fields, member{name, f.Type})
	}
	embeds := false
	for i := range t.NumField() {
		f := t.Field(i)
		embeds = embeds || f.Anonymous
		add(&f)
	}
	if embeds { // rare, and dear
		fields = fields[:0]
		for _, f := range reflect.VisibleFields(t) {
			add(&f)
		}
	}
	w[t] = fields
	return fields
}
