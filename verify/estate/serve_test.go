package estate

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// post sends a body to the estate and returns the status and the answer.
func post(t *testing.T, e *Estate, path, bearer, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+bearer)
	e.Handler().ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b)
}

// What is no request is answered with an error, and nothing enters a log.
func TestHandlerRefusesWhatIsNoRequest(t *testing.T) {
	e := New("seed", clock)
	token := e.Token(Claims{Subject: subject, Extensions: certificate.Extensions{Issuer: issuer}})
	for _, path := range []string{"/api/v1/signingCert", "/api/v2/signingCert", "/api/v1/log/entries", "/api/v2/log/entries", "/api/v1/timestamp"} {
		for _, body := range []string{"", "null", "{}", "[]", "garbage", `{"kind":"hashedrekord","apiVersion":"0.0.1","spec":{}}`, `{"hashedRekordRequestV002":{}}`,
			`{"dsseRequestV002":{}}`, `{"publicKey":{"content":"AAAA"}}`} {
			if code, answer := post(t, e, path, token, body); code != http.StatusBadRequest {
				t.Errorf("%s %q: got %d %s", path, body, code, answer)
			}
		}
	}
	if len(e.Rekor.leaves)+len(e.Tiles.leaves) != 0 {
		t.Error("a log took it")
	}
}

// A certificate is for whoever brings a token of this estate that has not ended, and holds the key.
func TestHandlerCertifiesTheBearer(t *testing.T) {
	now := clock()
	e, stranger := New("seed", func() time.Time { return now }), New("stranger", clock)
	claims := Claims{Subject: subject, Extensions: certificate.Extensions{Issuer: issuer}}
	token, k, other := e.Token(claims), newKey("mine"), newKey("other")
	request := func(by *key, signed string) string {
		b, err := json.Marshal(map[string]any{"publicKey": map[string]any{"content": []byte(k.publicPEM())}, "signedEmailAddress": by.sign([]byte(signed))})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	code, answer := post(t, e, "/api/v1/signingCert", token, request(k, subject))
	if code != http.StatusCreated || !strings.HasPrefix(answer, "-----BEGIN CERTIFICATE-----") {
		t.Fatalf("got %d %s", code, answer)
	}
	head, _, _ := strings.Cut(token, ".")
	forged := head + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"`+subject+`","exp":9999999999}`)) + token[strings.LastIndex(token, "."):]
	for name, c := range map[string]struct{ token, body string }{
		"a stranger's token":  {stranger.Token(claims), request(k, subject)},
		"a forged token":      {forged, request(k, subject)},
		"no token":            {"", request(k, subject)},
		"another's key":       {token, request(other, subject)},
		"another's signature": {token, request(k, "somebody")},
	} {
		if code, answer := post(t, e, "/api/v1/signingCert", c.token, c.body); code != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", name, code, answer)
		}
	}
	now = now.Add(2 * time.Hour)
	if code, answer := post(t, e, "/api/v1/signingCert", token, request(k, subject)); code != http.StatusBadRequest {
		t.Errorf("an old token: got %d %s", code, answer)
	}
}
