package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/server/kubernetes"
	"github.com/assay-registry/assay/store"
)

// shownImages judges by name, without a gate behind it: what is called good is admitted, what is called slow has no answer before the time is over.
type shownImages struct{ asked []asked.Image }

func (s *shownImages) Image(ctx context.Context, q asked.Image) (*policy.ImageVerdict, error) {
	s.asked = append(s.asked, q)
	switch {
	case strings.Contains(string(q.Repository), "slow"):
		<-ctx.Done()
		return nil, ctx.Err()
	case q.Elsewhere && strings.Contains(string(q.Repository), "evil"):
		return &policy.ImageVerdict{Outcome: policy.ImageRefused, Code: "image.foreign", Message: "it is refused by the policy cluster: no"}, nil
	case q.Elsewhere:
		return &policy.ImageVerdict{Outcome: policy.ImageUnknown, Code: policy.CodeImageUnknown, Message: "the image " + q.K8s.Image + " lies in another registry"}, nil
	case strings.Contains(string(q.Repository), "good"):
		return &policy.ImageVerdict{Outcome: policy.ImageAdmitted, Digest: sha256, Decision: "D-1", Until: testTime, Warnings: []string{"new: cosign tree <registry>/" + string(q.Repository)}}, nil
	}
	return &policy.ImageVerdict{Outcome: policy.ImageRefused, Code: "signature.missing", Message: string(q.Repository) + " is quarantined. To fix: cosign sign <registry>/" + string(q.Repository)}, nil
}

func (s *shownImages) ImageFor(ctx context.Context, p access.Principal, q asked.Image) (*policy.ImageVerdict, error) {
	if !p.Roles(q.Repository).Has(access.RolePull) && !q.Elsewhere {
		return &policy.ImageVerdict{Outcome: policy.ImageRefused, Code: policy.CodeImageAbsent, Message: string(q.Repository) + " is not in this registry."}, nil
	}
	return s.Image(ctx, q)
}

func judging(t testing.TB, unknown string) (*house, *shownImages) {
	images := &shownImages{}
	return newHouse(t, func(o *Options, _ *auth.Options) {
		o.Images, o.Cluster = images, Cluster{Hosts: []string{"registry.example.com", "mirror.example:5000"}, Unknown: unknown}
	}), images
}

// webhook sends one request to the webhooks' listener.
func (h *house) webhook(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = "assay.assay.svc:8443", "192.0.2.8:1234"
	r.Header.Set("Content-Type", "application/json")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.handler.Webhooks().ServeHTTP(w, r)
	return w
}

func podReview(images ...string) string {
	var containers []string
	for i, image := range images {
		containers = append(containers, fmt.Sprintf(`{"name":"c%d","image":%q}`, i, image))
	}
	return fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","namespace":"team","name":"p",
"userInfo":{"username":"jane"},"dryRun":true,"object":{"spec":{"containers":[%s]}}}}`, strings.Join(containers, ","))
}

// TestWireWebhooks compares what clusters ask and are told, header by header.
func TestWireWebhooks(t *testing.T) {
	h, _ := judging(t, "warn")
	const (
		good, bad, elsewhere = "registry.example.com/acme/good:v1", "registry.example.com/acme/bad:v1", "docker.io/library/nginx"
		keys                 = `{"apiVersion":"externaldata.gatekeeper.sh/v1beta1","kind":"ProviderRequest","request":{"keys":["` + good + `","` + bad + `"]}}`
		images               = `{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview","spec":{"containers":[{"image":"` + bad + `"}],"namespace":"team"}}`
	)
	var out strings.Builder
	for _, step := range []struct{ method, target, body string }{
		{"POST", "/k8s/v1/validate/enforce?timeout=10s", podReview(good)},
		{"POST", "/k8s/v1/validate/enforce?timeout=10s", podReview(good, bad, elsewhere)},
		{"POST", "/k8s/v1/validate/warn?timeout=10s", podReview(bad, elsewhere)},
		{"POST", "/k8s/v1/validate/audit?timeout=10s", podReview(bad)},
		{"POST", "/k8s/v1/validate/enforce?timeout=10s", podReview("docker.io/evil/app", "Registry.example.com:443/acme/good", "no image")},
		{"POST", "/k8s/v1/mutate?timeout=10s", podReview(good, bad, elsewhere)},
		{"POST", "/k8s/v1/gatekeeper/validate", keys},
		{"POST", "/k8s/v1/gatekeeper/mutate", keys},
		{"POST", "/k8s/v1/imagereview", images},
		{"POST", "/k8s/v1/gatekeeper/mutate", `{"kind":"ProviderRequest"}`},
		{"POST", "/k8s/v1/validate/enforce", `{"kind":"AdmissionReview"}`},
		{"POST", "/k8s/v1/validate/enforce?timeout=soon", podReview(good)},
		{"GET", "/k8s/v1/validate/enforce", ""},
		{"POST", "/k8s/v1/validate/shadow", podReview(good)},
		{"GET", "/v2/", ""},
		{"POST", "/api/v1/verify", `{"images":["x"]}`},
		{"GET", "/healthz", ""},
	} {
		w := h.webhook(step.method, step.target, step.body)
		if !strings.Contains(step.target, "gatekeeper") { // whose errors have a form of their own
			checkAnswer(t, step.method+" "+step.target, w)
		}
		fmt.Fprintf(&out, "> %s %s\n%s\n", step.method, step.target, answerText(w))
	}
	golden(t, filepath.Join("testdata", "wire", "webhook.txt"), out.String())
}

// TestWebhooksHaveTheirOwnListener: nobody who reaches the registry asks in a cluster's name.
func TestWebhooksHaveTheirOwnListener(t *testing.T) {
	h, images := judging(t, "")
	for path, e := range fixed {
		if !(Route{Endpoint: e}).cluster() {
			continue
		}
		for _, user := range []string{"", "dev", "root"} {
			h.want(404, user, "POST", path, []byte(podReview("registry.example.com/acme/good:v1")), "Content-Type: application/json")
		}
	}
	if len(images.asked) > 0 {
		t.Errorf("asked %v", images.asked)
	}
	without := newHouse(t, nil)
	if w := without.webhook("POST", "/k8s/v1/mutate", podReview("a")); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("without images: %d", w.Code)
	}
}

// TestWebhookQuestion: the gate is told everything that the cluster says.
func TestWebhookQuestion(t *testing.T) {
	h, images := judging(t, "")
	h.webhook("POST", "/k8s/v1/validate/enforce", podReview("registry.example.com/acme/good:v1@"+sha256, "docker.io/acme/app:v2"))
	want := []asked.Image{
		{Repository: "acme/good", Reference: store.Reference{Digest: sha256}, Protocol: "k8s.validating", DryRun: true, K8s: contract.K8sInput{Operation: "CREATE", Kind: "Pod", Namespace: "team",
			Name: "p", User: "jane", Container: "c0", ContainerKind: "container", Image: "registry.example.com/acme/good:v1@" + sha256, Registry: "registry.example.com"}},
		{Repository: "docker.io/acme/app", Reference: store.Reference{Tag: "v2"}, Elsewhere: true, Protocol: "k8s.validating", DryRun: true, K8s: contract.K8sInput{Operation: "CREATE", Kind: "Pod",
			Namespace: "team", Name: "p", User: "jane", Container: "c1", ContainerKind: "container", Image: "docker.io/acme/app:v2", Registry: "docker.io"}},
	}
	if !reflect.DeepEqual(images.asked, want) {
		t.Errorf("asked %+v\nwant %+v", images.asked, want)
	}

	// The path says which labels the namespace has, since its selector chose by them.
	images.asked = nil
	h.webhook("POST", "/k8s/v1/validate/warn/label/env/prod/prefixed/acme.dev/tier/gold", podReview("registry.example.com/acme/good:v1"))
	if len(images.asked) != 1 || !maps.Equal(images.asked[0].K8s.NamespaceLabels, map[string]string{"env": "prod", "acme.dev/tier": "gold"}) {
		t.Errorf("asked %+v", images.asked)
	}
	if w := h.webhook("POST", "/k8s/v1/validate/enforce/label/env", podReview("registry.example.com/acme/good:v1")); w.Code != 400 || len(images.asked) != 1 {
		t.Errorf("a path that is malformed: %d %s", w.Code, w.Body)
	}
}

// TestWebhookTimeout: what cannot be judged within the asker's time is refused before that is over, with a sentence, and nobody is taken for admitted.
func TestWebhookTimeout(t *testing.T) {
	h, _ := judging(t, "")
	began := time.Now()
	w := h.webhook("POST", "/k8s/v1/validate/enforce?timeout=200ms", podReview("registry.example.com/acme/slow:v1", "registry.example.com/acme/good:v1"))
	if took := time.Since(began); w.Code != 200 || !strings.Contains(w.Body.String(), `"allowed":false`) || !strings.Contains(w.Body.String(), "could not be judged in time") || took > 10*time.Second {
		t.Errorf("after %s: %d %s", took, w.Code, w.Body)
	}
	for _, bad := range []string{"0s", "-1s", "x", "10"} {
		if w := h.webhook("POST", "/k8s/v1/mutate?timeout="+bad, podReview("a")); w.Code != 400 {
			t.Errorf("timeout=%s: %d", bad, w.Code)
		}
	}
}

func TestWebhookLimits(t *testing.T) {
	h, _ := judging(t, "")
	if w := h.webhook("POST", "/k8s/v1/validate/enforce", strings.Repeat(" ", kubernetes.MaxReview+1)); w.Code != 413 {
		t.Errorf("too large: %d", w.Code)
	}
	for _, header := range []string{"Content-Type: text/plain", "Content-Encoding: gzip"} {
		if w := h.webhook("POST", "/k8s/v1/validate/enforce", podReview("a"), header); w.Code != 415 {
			t.Errorf("%s: %d", header, w.Code)
		}
	}
}

// TestUnknownImages: what follows for other registries is configured, and a policy refuses all the same.
func TestUnknownImages(t *testing.T) {
	for unknown, want := range map[string]string{"": `"allowed":false`, "deny": `"allowed":false`, "warn": `"warnings":["container c0: the image docker.io/library/nginx lies`, "allow": `"allowed":true}`} {
		h, _ := judging(t, unknown)
		w := h.webhook("POST", "/k8s/v1/validate/enforce", podReview("docker.io/library/nginx"))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q: %s", unknown, w.Body)
		}
		if w := h.webhook("POST", "/k8s/v1/validate/enforce", podReview("docker.io/evil/nginx")); !strings.Contains(w.Body.String(), `"allowed":false`) {
			t.Errorf("%q: %s", unknown, w.Body)
		}
	}
}

func TestVerifyImages(t *testing.T) {
	h, _ := judging(t, "")
	const jsonType = "Content-Type: application/json"
	w := h.want(200, "reader", "POST", "/api/v1/verify", []byte(`{"images":["registry.example.com/acme/good:v1","registry.test:5000/acme/bad","mirror.example:5000/other/good","nginx","UPPER/x/y:"]}`), jsonType)
	var out struct{ Results []kubernetes.Answer }
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || len(out.Results) != 5 {
		t.Fatalf("%v %s", err, w.Body)
	}
	for i, want := range []string{"admitted  true", "refused signature.missing false", "refused image.absent false", "unknown image.unknown false", "refused image.malformed false"} {
		r := out.Results[i]
		if got := fmt.Sprintf("%s %s %t", r.Outcome, r.Code, r.Allowed); got != want {
			t.Errorf("%s: %s, want %s", r.Image, got, want)
		}
	}
	if r := out.Results[0]; r.Pinned != "registry.example.com/acme/good:v1@"+sha256 || r.Warnings[0] != "new: cosign tree registry.example.com/acme/good" || !r.Until.Equal(testTime) {
		t.Errorf("%+v", r)
	}
	h.want(401, "", "POST", "/api/v1/verify", []byte(`{"images":["a"]}`), jsonType)
	h.want(415, "reader", "POST", "/api/v1/verify", []byte(`{"images":["a"]}`))
	h.want(400, "reader", "POST", "/api/v1/verify", []byte(`{"images":[]}`), jsonType)
	h.want(400, "reader", "POST", "/api/v1/verify", []byte(`{"image":"a"}`), jsonType)
	h.want(403, "reader", "POST", "/api/v1/verify", []byte(`{"images":["a"]}`), jsonType, "Sec-Fetch-Site: cross-site")
	many := func(n int) []byte {
		return append(append([]byte(`{"images":[`), bytes.TrimSuffix(bytes.Repeat([]byte(`"registry.example.com/acme/good:v1",`), n), []byte(","))...), "]}"...)
	}
	h.want(200, "reader", "POST", "/api/v1/verify", many(maxVerify), jsonType)
	h.want(400, "reader", "POST", "/api/v1/verify", many(maxVerify+1), jsonType)
	newHouse(t, nil).want(http.StatusMethodNotAllowed, "reader", "POST", "/api/v1/verify", many(1), jsonType)
}

// A question about many images has an end: what was judged by then is answered, and of each of the others it says that there is no answer, which refuses it.
func TestVerifyImagesWithinATime(t *testing.T) {
	h, images := judging(t, "")
	const jsonType = "Content-Type: application/json"
	body := `{"images":["registry.example.com/acme/good:v1","registry.example.com/acme/slow:v1","registry.example.com/acme/good:v1"]}`
	w := h.want(200, "reader", "POST", "/api/v1/verify?timeout=50ms", []byte(body), jsonType)
	var out struct{ Results []kubernetes.Answer }
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || len(out.Results) != 3 {
		t.Fatalf("%v %s", err, w.Body)
	}
	for i, want := range []string{"admitted  true", "refused policy.no_answer false", "refused policy.no_answer false"} {
		r := out.Results[i]
		if got := fmt.Sprintf("%s %s %t", r.Outcome, r.Code, r.Allowed); got != want || r.Image == "" {
			t.Errorf("%s: %s, want %s", r.Image, got, want)
		}
	}
	if !strings.Contains(out.Results[2].Message, "acme/good:v1 could not be judged in time, which refuses it") || len(images.asked) != 2 {
		t.Errorf("%s, after %d questions", out.Results[2].Message, len(images.asked))
	}
	h.want(400, "reader", "POST", "/api/v1/verify?timeout=soon", []byte(body), jsonType)
}

// brokenImages is a gate whose store fails.
type brokenImages struct{ shownImages }

func (*brokenImages) Image(context.Context, asked.Image) (*policy.ImageVerdict, error) {
	return nil, store.Errorf(store.CodeUnavailable, "the store does not answer")
}

// TestNoAnswerIsLogged: what cannot be judged is refused, and the operator finds out why.
func TestNoAnswerIsLogged(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *auth.Options) {
		o.Images, o.Cluster = &brokenImages{}, Cluster{Hosts: []string{"registry.example.com"}}
	})
	w := h.webhook("POST", "/k8s/v1/validate/enforce", podReview("registry.example.com/acme/good:v1"))
	if !strings.Contains(w.Body.String(), `"allowed":false`) || strings.Contains(w.Body.String(), "the store") || !strings.Contains(h.log.String(), "the store does not answer") {
		t.Errorf("%s\n%s", w.Body, h.log)
	}
}
