package store

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// Counts are numbers by name, ordered by name, each name once; JSON has them as an object. Unlike a map they need neither be hashed nor sorted by whoever goes through all of them.
type Counts []Count

// Count is one of them.
type Count struct {
	Name string // UTF-8
	N    int
}

// NewCounts are those of a map. What is no UTF-8 in names is replaced, as JSON does, and names that are the same then are counted together.
func NewCounts(m map[string]int) Counts {
	c := make(Counts, 0, len(m))
	for name, n := range m {
		c = append(c, Count{strings.ToValidUTF8(name, "\ufffd"), n})
	}
	slices.SortFunc(c, func(a, b Count) int { return strings.Compare(a.Name, b.Name) })
	unique := c[:0]
	for _, one := range c {
		if last := len(unique) - 1; last >= 0 && unique[last].Name == one.Name {
			unique[last].N += one.N
			continue
		}
		unique = append(unique, one)
	}
	return unique
}

// Of is the number under a name; false if there is none.
func (c Counts) Of(name string) (int, bool) {
	i, ok := slices.BinarySearchFunc(c, name, func(one Count, name string) int { return strings.Compare(one.Name, name) })
	if !ok {
		return 0, false
	}
	return c[i].N, true
}

// MarshalJSON implements json.Marshaler.
func (c Counts) MarshalJSON() ([]byte, error) {
	m := make(map[string]int, len(c))
	for _, one := range c {
		m[one.Name] = one.N
	}
	return json.Marshal(m)
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Counts) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	var m map[string]int
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*c = NewCounts(m)
	return nil
}

// Counts reads an object of whole numbers.
func (p *Plain) Counts() Counts {
	c, ordered := Counts{}, true
	for p.Enter('{'); p.More('}'); {
		name := p.Key()
		p.bad = p.bad || !utf8.ValidString(name)
		ordered = ordered && (len(c) == 0 || c[len(c)-1].Name < name)
		c = append(c, Count{name, int(p.Int())})
	}
	if ordered {
		return c
	}
	m := make(map[string]int, len(c))
	for _, one := range c {
		m[one.Name] = one.N // the last of a name counts, as in encoding/json
	}
	return NewCounts(m)
}
