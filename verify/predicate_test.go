package verify

import (
	"encoding/base64"
	"testing"
)

func TestStatementIn(t *testing.T) {
	st := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + hex64 + `"}}],"predicateType":"p","predicate":{"a":1}}`
	envelope := func(payloadType, payload string) string {
		return `{"payloadType":"` + payloadType + `","payload":"` + base64.StdEncoding.EncodeToString([]byte(payload)) + `","signatures":[{"sig":"AAAA"}]}`
	}
	good := envelope(TypeInToto, st)
	bundle := `{"mediaType":"x","verificationMaterial":{},"dsseEnvelope":` + good + `}`
	for _, c := range []struct {
		name   string
		scheme Scheme
		layer  string
		ok     bool
	}{
		{"bare", SchemeNone, st, true},
		{"envelope", SchemeDSSE, good, true},
		{"bundle", SchemeBundle, bundle, true},
		{"envelope taken for bare", SchemeNone, good, false},
		{"bundle taken for an envelope", SchemeDSSE, bundle, false},
		{"bundle of a message", SchemeBundle, `{"messageSignature":{}}`, false},
		{"bundle of nothing", SchemeBundle, `{"dsseEnvelope":null}`, false},
		{"another payload type", SchemeDSSE, envelope("text/plain", st), false},
		{"no statement", SchemeDSSE, envelope(TypeInToto, "{}"), false},
		{"not JSON", SchemeBundle, "x", false},
		{"a signature", SchemeCosign, st, false},
		{"no scheme", "", st, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := StatementIn(c.scheme, []byte(c.layer))
			if (err == nil) != c.ok || c.ok && (got.PredicateType != "p" || string(got.Predicate) != `{"a":1}`) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
