package kubernetes

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// table judges by name: what has "good" in it is admitted, what has "bad" in it refused, what lies on another host unknown.
type table struct{ asked []Question }

func (j *table) Judge(_ context.Context, q Question) (*Answer, error) {
	j.asked = append(j.asked, q)
	r, err := ParseReference(q.Image)
	switch {
	case err != nil:
		return &Answer{Outcome: Refused, Image: q.Image, Code: "reference.malformed", Message: err.Error()}, nil
	case r.Host != "registry.example.com":
		return &Answer{Outcome: Unknown, Image: q.Image, Message: "the image " + q.Image + " lies in another registry", Allowed: strings.Contains(q.Image, "trusted")}, nil
	case strings.Contains(q.Image, "silent"):
		return nil, errors.New("no answer")
	case strings.Contains(q.Image, "good"):
		return &Answer{Outcome: Admitted, Image: q.Image, Digest: digest, Pinned: r.Pinned(digest), Decision: "D-1", Allowed: true}, nil
	}
	return &Answer{Outcome: Refused, Image: q.Image, Code: "signature.missing", Message: "acme/bad:v1 is quarantined: it has no signature. To fix: cosign sign", Decision: "D-2"}, nil
}

// TestGoldenReviews answers testdata/*.json, whose name says which door is asked, and compares with the .golden beside it.
func TestGoldenReviews(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			door, _, _ := strings.Cut(filepath.Base(file), "_")
			out, err := ask(t.Context(), &table{}, door, body)
			got := ""
			if err != nil {
				got = "error: " + err.Error() + "\n"
			} else {
				got = indented(t, out)
			}
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func ask(ctx context.Context, j Judge, door string, body []byte) ([]byte, error) {
	switch door {
	case "mutate":
		return Mutate(ctx, j, body)
	case "provide":
		return Provide(ctx, j, false, body)
	case "pin":
		return Provide(ctx, j, true, body)
	case "imagereview":
		return ReviewImages(ctx, j, body)
	case "warn", "audit":
		return Validate(ctx, j, Mode(door), body)
	}
	return Validate(ctx, j, Enforce, body)
}

// indented shows a patch as what it is.
func indented(t *testing.T, out []byte) string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	if response, ok := doc["response"].(map[string]any); ok {
		if patch, ok := response["patch"].(string); ok {
			b, err := base64.StdEncoding.DecodeString(patch)
			if err != nil {
				t.Fatal(err)
			}
			var operations any
			if err := json.Unmarshal(b, &operations); err != nil {
				t.Fatal(err)
			}
			response["patch"] = operations
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestB40_EveryPlaceOfAnImageIsFound(t *testing.T) {
	spec := `{"containers":[{"name":"a","image":"i1"},{"name":"b"}],"initContainers":[{"name":"c","image":"i2"}],"ephemeralContainers":[{"name":"d","image":"i3"}],"volumes":[{"name":"e","image":{"reference":"i4"}},{"name":"f","emptyDir":{}}]}`
	for kind, path := range templates {
		object := spec
		for i := len(path) - 1; i >= 0; i-- {
			object = `{"` + path[i] + `":` + object + `}`
		}
		places, err := Places(kind, json.RawMessage(object))
		if err != nil || len(places) != 4 {
			t.Errorf("%s: %v %v", kind, places, err)
			continue
		}
		for i, want := range []string{"i2", "i1", "i3", "i4"} {
			if places[i].Image != want {
				t.Errorf("%s: place %d is %q, want %q", kind, i, places[i].Image, want)
			}
			if got := at(t, object, places[i].Pointer); got != want {
				t.Errorf("%s: %s points at %q", kind, places[i].Pointer, got)
			}
		}
	}
	if _, err := Places(GroupKind{"example.com", "Pod"}, json.RawMessage(`{}`)); err == nil {
		t.Error("a kind of somebody else's group passes")
	}
}

// at follows a JSON pointer.
func at(t *testing.T, object, pointer string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(object), &v); err != nil {
		t.Fatal(err)
	}
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		switch node := v.(type) {
		case map[string]any:
			v = node[step]
		case []any:
			v = node[step[0]-'0']
		}
	}
	s, _ := v.(string)
	return s
}

func TestParseReference(t *testing.T) {
	for in, want := range map[string]string{
		"nginx":                                 "docker.io library/nginx latest ",
		"nginx:1.27":                            "docker.io library/nginx 1.27 ",
		"acme/app":                              "docker.io acme/app latest ",
		"index.docker.io/nginx":                 "docker.io library/nginx latest ",
		"Registry.Example.com/acme/app:v1":      "registry.example.com acme/app v1 ",
		"localhost/app":                         "localhost app latest ",
		"LOCALHOST/app":                         "localhost app latest ",
		"registry:5000/app@" + digest:           "registry:5000 app  " + digest,
		"registry.example.com/a/b:v1@" + digest: "registry.example.com a/b v1 " + digest,
		"":                                      "error",
		"registry.example.com/ACME/app":         "error",
		"registry.example.com/app:":             "error",
		"registry.example.com/app@sha256:00":    "error",
		"https://registry.example.com/app":      "error",
		"registry.example.com/app:v1:v2":        "error",
		"registry.example.com/" + strings.Repeat("a/", 600): "error",
	} {
		got := "error"
		if r, err := ParseReference(in); err == nil {
			got = strings.Join([]string{r.Host, string(r.Repository), r.Tag, string(r.Digest)}, " ")
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Time that has run out is no answer.
func TestNoAnswerRefuses(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	body, err := os.ReadFile("testdata/validate_good.json")
	if err != nil {
		t.Fatal(err)
	}
	out, err := Validate(ctx, &table{}, Enforce, body)
	if err != nil || !strings.Contains(string(out), `"allowed":false`) || !strings.Contains(string(out), "could not be judged in time") {
		t.Errorf("%s %v", out, err)
	}
}

func TestHugeReviews(t *testing.T) {
	for _, door := range []string{"validate", "mutate", "provide", "imagereview"} {
		if _, err := ask(t.Context(), &table{}, door, bytes.Repeat([]byte(" "), MaxReview+1)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", door, err)
		}
	}
}

func FuzzReviews(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, door := range []string{"validate", "mutate", "provide", "pin", "imagereview"} {
			out, err := ask(t.Context(), &table{}, door, body)
			if err == nil && !json.Valid(out) {
				t.Fatalf("%s answers %q", door, out)
			}
		}
	})
}

// Whoever reaches the port writes the words of a review: what is kept of a question, and logged, is not to be as large as a body.
func TestLongNamesAreRefused(t *testing.T) {
	long := strings.Repeat("n", 2000)
	pod := `{"spec":{"containers":[{"name":"app","image":"registry.example.com/bad:v1"}]}}`
	request := func(member string) string {
		return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","kind":{"kind":"Pod"},"operation":"CREATE","object":` + pod + member + `}}`
	}
	for name, c := range map[string]struct{ door, body string }{
		"namespace": {"validate", request(`,"namespace":"` + long + `"`)},
		"name":      {"mutate", request(`,"name":"` + long + `"`)},
		"user":      {"validate", request(`,"userInfo":{"username":"` + long + `"}`)},
		"images":    {"imagereview", `{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview","spec":{"namespace":"` + long + `","containers":[{"image":"registry.example.com/bad:v1"}]}}`},
	} {
		j := &table{}
		if _, err := ask(t.Context(), j, c.door, []byte(c.body)); !errors.Is(err, ErrMalformed) || len(j.asked) > 0 {
			t.Errorf("%s: %v, asked %d times", name, err, len(j.asked))
		}
	}
	out, err := ask(t.Context(), &table{}, "validate", []byte(strings.Replace(request(""), `"app"`, `"`+long+`"`, 1)))
	if err != nil || !bytes.Contains(out, []byte(`"allowed":false`)) || len(out) > 2000 {
		t.Errorf("a container's name: %d bytes %.300s, %v", len(out), out, err)
	}
}
