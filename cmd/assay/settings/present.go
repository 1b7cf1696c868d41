package settings

import (
	"reflect"

	"go.yaml.in/yaml/v3"
)

// Present turns a structure into nodes: keys in the order of the structure, lists never null, and what is at its empty default in an
// element left out, so that the listing is short and can be loaded again.
func Present(c any) *yaml.Node { return structNode(reflect.ValueOf(c), false) }

func structNode(v reflect.Value, sparse bool) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range keysOf(v.Type()) {
		f := v.Field(k.index)
		if sparse && (f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0) {
			continue
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: k.name}, valueNode(f, sparse))
	}
	return n
}

func valueNode(v reflect.Value, sparse bool) *yaml.Node {
	switch v.Interface().(type) {
	case yaml.Marshaler, Params:
		return encoded(v.Interface())
	}
	switch v.Kind() {
	case reflect.Struct:
		return structNode(v, sparse)
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			if e := v.Index(i); e.Kind() == reflect.Struct {
				n.Content = append(n.Content, structNode(e, true))
			} else {
				n.Style = yaml.FlowStyle
				n.Content = append(n.Content, encoded(e.Interface()))
			}
		}
		if v.Len() == 0 {
			n.Style = yaml.FlowStyle
		}
		return n
	default:
		return encoded(v.Interface())
	}
}

func encoded(value any) *yaml.Node {
	var n yaml.Node
	if err := n.Encode(value); err != nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Value: Masked} // a value that YAML cannot say cannot have come from YAML
	}
	return &n
}
