package sigstore

import (
	"encoding/base64"
	"testing"

	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/estate"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/proto"
)

// FuzzForeignEntry puts any bytes where the body of a log entry was that sigstore-go does not read, once beside a layer and once in a bundle. Nothing but the body that
// the log signed proves anything, and no library panics: what could make cosign do so never reaches it.
func FuzzForeignEntry(f *testing.F) {
	e := estate.New("seed", corpusClock)
	s := e.Identity(corpusSubject, corpusIssuer)
	statement := estate.Statement(corpusType, `{"passed":true}`, app().Descriptor.Digest)
	old := s.Attest(statement, estate.With{Logs: []*estate.Log{e.Rekor}, Entry: "intoto/0.0.1"})
	tiles := s.Bundled(statement, estate.With{Logs: []*estate.Log{e.Tiles}, TSAs: []*estate.TSA{e.TSA}, Entry: "dsse/0.0.2"})
	for _, body := range [][]byte{old.Entries[0].CanonicalizedBody, tiles.Entries[0].CanonicalizedBody} {
		f.Add(body)
	}
	for _, text := range []string{
		"", "1", "null", "{}", "[]", `{"kind":1}`, `{"kind":"intoto","apiVersion":"0.0.1"}`, `{"kind":"intoto","apiVersion":"0.0.1","spec":null}`,
		`{"kind":"intoto","apiVersion":"0.0.1","spec":{"content":{"hash":{"algorithm":"sha256","value":""}},"publicKey":"LS0t"}}`,
		`{"kind":"intoto","apiVersion":"0.0.1","spec":{"content":null,"publicKey":null}}`, `{"kind":"dsse","apiVersion":"0.0.2","spec":{"dsseV002":null}}`,
		`{"kind":"dsse","apiVersion":"0.0.2","spec":{"dsseV002":{"payloadHash":null,"signatures":[null]}}}`, `{"kind":"rekord","apiVersion":"0.0.1","spec":{}}`,
	} {
		f.Add([]byte(text))
	}
	a := keyless(e, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		layer := old.DSSELayer()
		layer.Annotations[estate.AnnotationBundle] = replaceBody(layer.Annotations[estate.AnnotationBundle], `"`+base64.StdEncoding.EncodeToString(body)+`"`)
		mutant := *tiles
		mutant.Entries = []*protorekor.TransparencyLogEntry{proto.CloneOf(tiles.Entries[0])}
		mutant.Entries[0].CanonicalizedBody = body
		for _, c := range []struct {
			layer    verify.Layer
			original []byte
		}{{layer, old.Entries[0].CanonicalizedBody}, {mutant.BundleLayer("0.3"), tiles.Entries[0].CanonicalizedBody}} {
			fact := one(t, app(), c.layer, a)
			if fact.Code == verify.CodeInternal || fact.Verified != (string(body) == string(c.original)) {
				t.Errorf("%q: got %+v", body, fact)
			}
		}
	})
}
