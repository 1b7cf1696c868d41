package referrers

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/assay-registry/assay/store"
)

// object is the raw values of some members of a JSON object.
type object map[string][]byte

// fields reads a JSON object strictly and returns the named members. A key that differs from a name in case alone is refused: other
// readers of the same bytes would take it for the member.
func fields(b []byte, names ...string) (object, error) { return members(b, false, names) }

// exactly is fields for an object that has no other members.
func exactly(b []byte, names ...string) (object, error) { return members(b, true, names) }

func members(b []byte, closed bool, names []string) (object, error) {
	got := make(object, len(names))
	err := store.Members(b, func(key string, value []byte) error {
		for _, n := range names {
			if key == n {
				got[n] = value
				return nil
			}
			if strings.EqualFold(key, n) {
				return fmt.Errorf("a key differs from %q in upper and lower case alone", n)
			}
		}
		if closed {
			return fmt.Errorf("it has a member that is none of %s", strings.Join(names, ", "))
		}
		return nil
	})
	return got, err
}

// text is a member that must be a string, not an empty one.
func (o object) text(name string) (string, error) {
	var s string
	if raw := o[name]; len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil || s == "" {
		return "", fmt.Errorf("%s is no text", name)
	}
	return s, nil
}

// base64 is a member that must be base64: padded, standard or for URLs.
func (o object) base64(name string) ([]byte, error) {
	s, err := o.text(name)
	if err != nil {
		return nil, err
	}
	b, err := decodeBase64(s)
	if err != nil {
		return nil, fmt.Errorf("%s is no base64", name)
	}
	return b, nil
}

// elements calls fn with each element of a member that must be an array, and returns their number.
func (o object) elements(name string, fn func([]byte) error) (int, error) {
	raw := o[name]
	if len(raw) == 0 || raw[0] != '[' {
		return 0, fmt.Errorf("%s is no array", name)
	}
	n := 0
	err := store.Elements(raw, func(v []byte) error {
		n++
		return fn(v)
	})
	return n, err
}

// isObject reports whether the member is there and an object.
func (o object) isObject(name string) bool {
	raw := o[name]
	return len(raw) > 0 && raw[0] == '{'
}

var errNoObject = errors.New("it is no JSON object")

func isObject(b []byte) error {
	if len(b) == 0 || b[0] != '{' {
		return errNoObject
	}
	return nil
}
