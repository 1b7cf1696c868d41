package settings

import (
	"encoding/json"
	"reflect"
	"strings"
)

// Schema is the JSON Schema (2020-12) of a file that is read into a structure such as defaults, for editors.
func Schema(defaults any, title string) ([]byte, error) {
	root := object(reflect.ValueOf(defaults))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = title
	return json.MarshalIndent(root, "", "  ")
}

func object(v reflect.Value) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, k := range keysOf(v.Type()) {
		p := property(v.Field(k.index), k.enum)
		p["description"] = k.doc
		properties[k.name] = p
		if k.need {
			required = append(required, k.name)
		}
	}
	o := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

func property(v reflect.Value, enum string) map[string]any {
	switch value := v.Interface().(type) {
	case Duration:
		return withDefault(map[string]any{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`}, value.String(), value != 0)
	case Size:
		return withDefault(map[string]any{"type": []string{"string", "integer"}, "pattern": `^[0-9]+ *([KMGT]iB|[KkMGT]B|B)?$`}, value.String(), value != 0)
	case Count, Number:
		return map[string]any{"type": "integer", "minimum": 0}
	case Date:
		return map[string]any{"type": "string"}
	case Params:
		return map[string]any{"type": "object"}
	case Sparse:
		platforms := map[string]any{"type": "object", "additionalProperties": false, "required": []string{"platforms"},
			"properties": map[string]any{"platforms": map[string]any{"type": "array", "items": map[string]any{"type": "string"}}}}
		return map[string]any{"oneOf": []any{map[string]any{"enum": []string{SparseAny, SparseAll}}, platforms}}
	}
	switch v.Kind() {
	case reflect.Struct:
		return object(v)
	case reflect.Slice:
		return map[string]any{"type": "array", "items": property(element(v.Type().Elem()), enum)}
	default:
		p := map[string]any{"type": "string"}
		if enum != "" {
			p["enum"] = strings.Split(enum, ",")
		}
		return withDefault(p, v.Interface(), !v.IsZero())
	}
}

// element is a list's element with its defaults.
func element(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if d, ok := v.Interface().(defaulter); ok {
		d.SetDefaults()
	}
	return v.Elem()
}

func withDefault(p map[string]any, value any, set bool) map[string]any {
	if set {
		p["default"] = value
	}
	return p
}
