package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
)

// A policy declares its parameters under custom.params of its package's METADATA block: a mapping from name to a schema in this subset of JSON
// Schema: type (string, boolean, integer, array, object), default, description, enum, not.enum, pattern, minimum, maximum, minItems, items,
// additionalProperties, properties, required. Where properties are declared and additionalProperties are not, no other member is taken, and what has a default has it if it
// is left out. A parameter without a default must be given. Where an array of strings is declared, one string may be given for an array of it alone.

// Parameter is one declared parameter.
type Parameter struct {
	Type                 string     `json:"type"`
	Default              any        `json:"default,omitempty"`
	Description          string     `json:"description,omitempty"`
	Enum                 []any      `json:"enum,omitempty"`
	Not                  *Parameter `json:"not,omitempty"`
	Pattern              string     `json:"pattern,omitempty"`
	Minimum              *float64   `json:"minimum,omitempty"`
	Maximum              *float64   `json:"maximum,omitempty"`
	MinItems             int        `json:"minItems,omitempty"`
	Items                *Parameter `json:"items,omitempty"`
	AdditionalProperties *Parameter `json:"additionalProperties,omitempty"`

	Properties map[string]*Parameter `json:"properties,omitempty"`
	Required   []string              `json:"required,omitempty"`
}

// maxParams bounds the parameters of one policy, as JSON.
const maxParams = 64 << 10

// declaredParams reads the declaration out of an annotation.
func declaredParams(custom map[string]any) (map[string]Parameter, error) {
	raw, ok := custom["params"]
	if !ok {
		return nil, nil
	}
	declared := map[string]Parameter{}
	if err := remarshal(raw, &declared); err != nil {
		return nil, fmt.Errorf("custom.params of the METADATA block is malformed: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		p := declared[name]
		if err := p.wellFormed(); err != nil {
			return nil, fmt.Errorf("the declaration of the parameter %s is malformed: %w", name, err)
		}
		if p.Default != nil {
			if err := p.check(p.Default); err != nil {
				return nil, fmt.Errorf("the default of the parameter %s does not fit its declaration: %w", name, err)
			}
		}
	}
	return declared, nil
}

// resolveParams checks what was given against what is declared and fills in the defaults.
func resolveParams(declared map[string]Parameter, given map[string]any) (map[string]any, error) {
	var plain map[string]any
	if err := remarshal(given, &plain); err != nil { // YAML's and Go's own types become those of JSON
		return nil, fmt.Errorf("the parameters cannot be written as JSON: %w", err)
	}
	resolved := make(map[string]any, len(declared))
	for _, name := range slices.Sorted(maps.Keys(plain)) {
		p, ok := declared[name]
		if !ok {
			return nil, fmt.Errorf("there is no parameter %q; there is %s", name, list(slices.Sorted(maps.Keys(declared))))
		}
		value := p.complete(plain[name])
		if err := p.check(value); err != nil {
			return nil, fmt.Errorf("the parameter %s is wrong: %w", name, err)
		}
		resolved[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		if _, ok := resolved[name]; ok {
			continue
		}
		if declared[name].Default == nil {
			return nil, fmt.Errorf("the parameter %s has no default and must be given", name)
		}
		resolved[name] = declared[name].Default
	}
	return resolved, nil
}

// complete is a value as the policy reads it: where a list of texts is declared, one text stands for a list of it alone; members that have a default have it.
func (p Parameter) complete(v any) any {
	switch x := v.(type) {
	case string:
		if p.Type == "array" && p.Items.Type == "string" {
			return []any{v}
		}
	case []any:
		if p.Type == "array" {
			for i := range x {
				x[i] = p.Items.complete(x[i])
			}
		}
	case map[string]any:
		for name, sub := range p.Properties {
			if given, ok := x[name]; ok {
				x[name] = sub.complete(given)
			} else if sub.Default != nil {
				x[name] = sub.Default
			}
		}
		for name, given := range x {
			if p.Properties[name] == nil && p.AdditionalProperties != nil {
				x[name] = p.AdditionalProperties.complete(given)
			}
		}
	}
	return v
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return fmt.Sprint(names)
}

// remarshal turns any value into the types of encoding/json, refusing what is too large.
func remarshal(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	if len(b) > maxParams {
		return fmt.Errorf("at most %d bytes are allowed", maxParams)
	}
	return json.Unmarshal(b, to)
}

func (p Parameter) wellFormed() error {
	switch p.Type {
	case "string", "boolean", "integer", "object":
	case "array":
		if p.Items == nil {
			return fmt.Errorf("an array needs items")
		}
	default:
		return fmt.Errorf("the type %q is none of string, boolean, integer, array, object", p.Type)
	}
	if scalar := p.Type != "array" && p.Type != "object"; !scalar && (p.Enum != nil || p.Not != nil) {
		return fmt.Errorf("enum and not are for single values")
	}
	if _, err := regexp.Compile(p.Pattern); err != nil {
		return err
	}
	for _, sub := range append([]*Parameter{p.Items, p.AdditionalProperties}, slices.Collect(maps.Values(p.Properties))...) {
		if sub == nil {
			continue
		}
		if err := sub.wellFormed(); err != nil {
			return err
		}
		if sub.Default != nil {
			if err := sub.check(sub.Default); err != nil {
				return fmt.Errorf("a member's default does not fit: %w", err)
			}
		}
	}
	for _, name := range p.Required {
		if p.Properties[name] == nil {
			return fmt.Errorf("%q is required and no property", name)
		}
	}
	return nil
}

// check reports what is wrong with a value, in the types of encoding/json.
func (p Parameter) check(v any) error {
	if err := p.checkType(v); err != nil {
		return err
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, v) {
		return fmt.Errorf("%v is none of %v", v, p.Enum)
	}
	if p.Not != nil && slices.Contains(p.Not.Enum, v) {
		return fmt.Errorf("%q is not permitted here", v)
	}
	return nil
}

func (p Parameter) checkType(v any) error {
	switch x := v.(type) {
	case string:
		if p.Type != "string" {
			return p.wrongType(v)
		}
		if p.Pattern != "" && !regexp.MustCompile(p.Pattern).MatchString(x) {
			return fmt.Errorf("%q does not match %s", x, p.Pattern)
		}
	case bool:
		if p.Type != "boolean" {
			return p.wrongType(v)
		}
	case float64:
		if p.Type != "integer" || x != math.Trunc(x) || math.Abs(x) > 1<<53 {
			return p.wrongType(v)
		}
		if p.Minimum != nil && x < *p.Minimum || p.Maximum != nil && x > *p.Maximum {
			return fmt.Errorf("%v is out of range", x)
		}
	case []any:
		if p.Type != "array" {
			return p.wrongType(v)
		}
		if len(x) < p.MinItems {
			return fmt.Errorf("at least %d members are wanted", p.MinItems)
		}
		return p.checkItems(x)
	case map[string]any:
		if p.Type != "object" {
			return p.wrongType(v)
		}
		return p.checkMembers(x)
	default:
		return p.wrongType(v)
	}
	return nil
}

func (p Parameter) checkItems(items []any) error {
	for i, item := range items {
		if err := p.Items.check(item); err != nil {
			return fmt.Errorf("member %d: %w", i+1, err)
		}
	}
	return nil
}

func (p Parameter) checkMembers(members map[string]any) error {
	for _, name := range p.Required {
		if _, ok := members[name]; !ok {
			return fmt.Errorf("the member %q is missing", name)
		}
	}
	if p.AdditionalProperties == nil && p.Properties == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		sub := p.Properties[name]
		if sub == nil {
			sub = p.AdditionalProperties
		}
		if sub == nil {
			return fmt.Errorf("there is no member %q; there is %s", name, list(slices.Sorted(maps.Keys(p.Properties))))
		}
		if err := sub.check(members[name]); err != nil {
			return fmt.Errorf("member %q: %w", name, err)
		}
	}
	return nil
}

func (p Parameter) wrongType(v any) error {
	names := map[string]string{"string": "a string", "boolean": "true or false", "integer": "a whole number", "array": "a list", "object": "a mapping"}
	b, _ := json.Marshal(v)
	return fmt.Errorf("%s is wanted, not %.80s", names[p.Type], b)
}

// schema is the declaration as the compiler's type checker reads it. What additionalProperties says of members is left out: members are any.
func (p Parameter) schema() map[string]any {
	s := map[string]any{"type": p.Type}
	if p.Items != nil {
		s["items"] = p.Items.schema()
	}
	if p.Properties != nil && p.AdditionalProperties == nil {
		members := map[string]any{}
		for name, sub := range p.Properties {
			members[name] = sub.schema()
		}
		s["properties"], s["additionalProperties"] = members, false
	}
	return s
}
