package terms

import (
	"reflect"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Input is a document of which each member is encoded once, when it is asked for first. One evaluation at a time asks.
type Input struct {
	terms  maker
	value  reflect.Value
	built  map[string][2]*ast.Term // members, made
	unread structPart
}

// NewInput is a document of the encoder's type, by a pointer. It is only read, and may not change any more.
func NewInput(e *Encoder, document any) *Input {
	v := reflect.ValueOf(document).Elem()
	p := &Input{terms: maker{Encoder: e}, value: v, built: map[string][2]*ast.Term{}}
	p.unread = structPart{terms: &p.terms, value: v}
	return p
}

// Member is what stands under a key, nil where nothing does. A collection may be unread.
func (p *Input) Member(key *ast.Term) (*ast.Term, error) { return p.unread.Member(key) }

// Make has the members made that are wanted.
func (p *Input) Make(wanted func(name string) bool) error {
	made, err := p.terms.fields(p.value, func(name string) bool {
		_, done := p.built[name]
		return !done && wanted(name)
	})
	if err != nil {
		return err
	}
	for _, pair := range made {
		p.built[Text(pair[0])] = pair
	}
	return nil
}

// Made is a member that was made, with its name; false where there is none.
func (p *Input) Made(name string) (member [2]*ast.Term, ok bool) {
	member, ok = p.built[name]
	return member, ok
}
