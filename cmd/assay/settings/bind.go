package settings

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Binder fills a structure from YAML nodes and notes every problem. It never stops at the first.
type Binder struct {
	Problems []Problem
	At       map[string]Position // by path, for the checks that come after
}

// NewBinder has read nothing yet.
func NewBinder() *Binder { return &Binder{At: map[string]Position{}} }

// Position is a place in the file, from 1.
type Position struct{ Line, Column int }

func (b *Binder) fail(n *yaml.Node, path, hint, format string, args ...any) {
	b.Problems = append(b.Problems, Problem{Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// bind sets v from n.
func (b *Binder) bind(n *yaml.Node, v reflect.Value, path, enum string) {
	b.At[path] = Position{n.Line, n.Column}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		b.fail(n, path, "write the value out", "anchors and aliases are not understood")
		return
	}
	if n.Tag == "!!null" {
		b.fail(n, path, "remove the key to keep its default, or give it a value", "has no value")
		return
	}
	switch target := v.Addr().Interface().(type) {
	case *Duration:
		bindText(b, n, path, target, ParseDuration)
	case *Size:
		bindText(b, n, path, target, ParseSize)
	case *Date:
		bindText(b, n, path, target, ParseDate)
	case *Count:
		bindText(b, n, path, target, ParseCount)
	case *Number:
		bindText(b, n, path, target, ParseNumber)
	case *Params:
		if value, ok := b.free(n, path, 0).(map[string]any); ok {
			*target = value
		} else {
			b.fail(n, path, "", "must be a mapping, this is %s", kindOf(n))
		}
	case *Sparse:
		b.sparse(n, target, path)
	case *string:
		b.text(n, target, path, enum)
	default:
		b.composite(n, v, path, enum)
	}
}

func (b *Binder) composite(n *yaml.Node, v reflect.Value, path, enum string) {
	switch v.Kind() {
	case reflect.Struct:
		b.structure(n, v, path)
	case reflect.Slice:
		b.list(n, v, path, enum)
	default:
		b.fail(n, path, "", "cannot be configured")
	}
}

// key is a configurable field of a structure.
type key struct {
	name, enum, doc string
	need            bool
	index           int
}

func keysOf(t reflect.Type) []key {
	var keys []key
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("yaml"); name != "" {
			keys = append(keys, key{name: name, enum: f.Tag.Get("enum"), doc: f.Tag.Get("doc"), need: f.Tag.Get("need") != "", index: i})
		}
	}
	return keys
}

func (b *Binder) structure(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		b.fail(n, path, "", "must be a mapping of keys, this is %s", kindOf(n))
		return
	}
	keys := keysOf(v.Type())
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Tag == "!!merge" {
			b.fail(name, path, "", "a key must be a plain word")
			continue
		}
		if line, twice := seen[name.Value]; twice {
			b.fail(name, join(path, Clip(name.Value)), "keep one of them", "is given twice, first on line %d", line)
			continue
		}
		seen[name.Value] = name.Line
		k, ok := find(keys, name.Value)
		if !ok {
			b.fail(name, join(path, Clip(name.Value)), b.suggest(name.Value, names), "unknown key")
			continue
		}
		b.bind(value, v.Field(k.index), join(path, k.name), k.enum)
	}
	for _, k := range keys {
		if _, given := seen[k.name]; k.need && !given {
			b.fail(n, path, "", "the key %q is missing", k.name)
		}
	}
}

func find(keys []key, name string) (key, bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

func (b *Binder) suggest(name string, names []string) string {
	if n := Nearest(name, names); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return "known here: " + strings.Join(names, ", ")
}

// defaulter is an element of a list with defaults of its own.
type defaulter interface{ SetDefaults() }

func (b *Binder) list(n *yaml.Node, v reflect.Value, path, enum string) {
	if n.Kind != yaml.SequenceNode {
		b.fail(n, path, "put it in brackets: [...]", "must be a list, this is %s", kindOf(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		element := list.Index(i)
		if d, ok := element.Addr().Interface().(defaulter); ok {
			d.SetDefaults()
		}
		b.bind(item, element, fmt.Sprintf("%s[%d]", path, i), enum)
	}
	v.Set(list)
}

func (b *Binder) text(n *yaml.Node, target *string, path, enum string) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		hint := ""
		if n.Kind == yaml.ScalarNode {
			hint = "put it in quotes"
		}
		b.fail(n, path, hint, "must be text, this is %s", kindOf(n))
		return
	}
	if enum != "" {
		words := strings.Split(enum, ",")
		if !slices.Contains(words, n.Value) {
			hint := "one of: " + strings.Join(words, ", ")
			if w := Nearest(n.Value, words); w != "" {
				hint = fmt.Sprintf("did you mean %q?", w)
			}
			b.fail(n, path, hint, "%q is not a value of this key", Clip(n.Value))
			return
		}
	}
	*target = n.Value
}

// bindText reads a scalar of any YAML type by its text.
func bindText[T any](b *Binder, n *yaml.Node, path string, target *T, parse func(string) (T, error)) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!bool" || n.Value == "" {
		b.fail(n, path, "", "must be one value, this is %s", kindOf(n))
		return
	}
	value, err := parse(n.Value)
	if err != nil {
		b.fail(n, path, "", "%v", err)
		return
	}
	*target = value
}

func (b *Binder) sparse(n *yaml.Node, target *Sparse, path string) {
	if n.Kind == yaml.MappingNode {
		var form struct {
			Platforms []string `yaml:"platforms" need:"yes"`
		}
		b.structure(n, reflect.ValueOf(&form).Elem(), path)
		*target = Sparse{Mode: SparsePlatforms, Platforms: form.Platforms}
		return
	}
	b.text(n, &target.Mode, path, SparseAny+","+SparseAll)
}

// maxDepth bounds the nesting of parameters.
const maxDepth = 16

// free reads a value whose form the policy decides: what JSON can say.
func (b *Binder) free(n *yaml.Node, path string, depth int) any {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		b.fail(n, path, "write the value out", "anchors and aliases are not understood")
		return nil
	}
	if depth > maxDepth {
		b.fail(n, path, "", "is nested more than %d deep", maxDepth)
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		object := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i]
			if name.Kind != yaml.ScalarNode || name.Tag != "!!str" {
				b.fail(name, path, "put it in quotes", "a key must be text")
				continue
			}
			if _, twice := object[name.Value]; twice {
				b.fail(name, join(path, Clip(name.Value)), "keep one of them", "is given twice")
			}
			object[name.Value] = b.free(n.Content[i+1], join(path, Clip(name.Value)), depth+1)
		}
		return object
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			list = append(list, b.free(item, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
		return list
	default:
		return b.freeScalar(n, path)
	}
}

func (b *Binder) freeScalar(n *yaml.Node, path string) any {
	switch n.Tag {
	case "!!str":
		return n.Value
	case "!!null", "!!bool", "!!int", "!!float":
		var value any
		if err := n.Decode(&value); err == nil {
			if f, ok := value.(float64); !ok || !math.IsNaN(f) && !math.IsInf(f, 0) {
				return value
			}
		}
	}
	b.fail(n, path, "put it in quotes", "%q is not a value that JSON has", Clip(n.Value))
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case "!!str":
		if n.Value == "" {
			return "empty"
		}
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a date"
	case "!!null":
		return "empty"
	default:
		return "something else"
	}
}
