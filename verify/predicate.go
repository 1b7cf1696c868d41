package verify

import (
	"encoding/json"
	"errors"
)

// StatementIn finds the in-toto statement in a layer of evidence of a scheme: SchemeDSSE, SchemeBundle, or SchemeNone for a bare one. It verifies nothing: it reads again what a
// proven fact was made of. The errors are sentences and repeat nothing of the layer.
func StatementIn(scheme Scheme, layer []byte) (*Statement, error) {
	switch scheme {
	case SchemeNone:
		return ParseStatement(layer)
	case SchemeBundle:
		var bundle struct {
			Envelope json.RawMessage `json:"dsseEnvelope"`
		}
		if err := decode(layer, &bundle); err != nil {
			return nil, err
		}
		if layer = bundle.Envelope; layer == nil {
			return nil, errors.New("the bundle has no envelope")
		}
	case SchemeDSSE:
	default:
		return nil, errors.New("nothing of that scheme has a statement")
	}
	e, err := ParseEnvelope(layer)
	if err != nil {
		return nil, err
	}
	if e.PayloadType != TypeInToto {
		return nil, errors.New("the envelope's payload is no in-toto statement")
	}
	return ParseStatement(e.Payload)
}
