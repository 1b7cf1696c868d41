// Package gatekeeper asks the registry as Gatekeeper does: with its client of external data, and with the constraint template that the registry ships. It is a
// module of its own, so that nothing of Gatekeeper comes near the registry's.
package gatekeeper

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis/externaldata/unversioned"
	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"
	"sigs.k8s.io/yaml"
)

// registry is a server of the built program: repositories below open/ are admitted, those below closed/ wait for a signature.
type registry struct {
	t         *testing.T
	program   string
	config    string
	url       string
	manifests []map[string]any
}

func start(t *testing.T) *registry {
	t.Helper()
	dir := t.TempDir()
	r := &registry{t: t, program: filepath.Join(dir, "assay"), config: filepath.Join(dir, "assay.yaml")}
	build := exec.Command("go", "build", "-o", r.program, "./cmd/assay")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port := freePort(t)
	text := fmt.Sprintf(`listen: 127.0.0.1:0
auth: {anonymous: [pull, push]}
sbom: {formats: []}
policies:
  - {name: open, repositories: ["open/**"], rego: "builtin:open"}
  - {name: signed, repositories: ["closed/**"], rego: "builtin:signed"}
kubernetes: {listen: "127.0.0.1:%d", names: [127.0.0.1], registry_hosts: [registry.example.com]}
`, port)
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(r.program, "serve", "--config", r.config, "--data", filepath.Join(dir, "data"))
	cmd.Dir = dir
	lines, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	scan := bufio.NewScanner(lines)
	for scan.Scan() {
		if url, ok := strings.CutPrefix(scan.Text(), "listening on "); ok {
			r.url = url
		}
		if strings.Contains(scan.Text(), "see why") { // the last line of the greeting
			break
		}
	}
	go func() {
		for scan.Scan() { // so that the server never waits for its reader
		}
	}()
	out, err := exec.Command(r.program, "kubernetes", "manifests", "--gatekeeper", "--url", fmt.Sprintf("https://127.0.0.1:%d", port), "--config", r.config, "--data", filepath.Join(dir, "data")).Output()
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(out), "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		r.manifests = append(r.manifests, o)
	}
	return r
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// push puts a manifest of nothing but a small config, and returns its digest.
func (r *registry) push(repo, tag string) string {
	r.t.Helper()
	name := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
	config := fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","config":{"Labels":{"n":%q}},"rootfs":{"type":"layers","diff_ids":[]}}`, repo+tag)
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]}`,
		name(config), len(config))
	for _, step := range []struct {
		method, path, mediaType string
		body                    []byte
	}{
		{http.MethodPost, "/v2/" + repo + "/blobs/uploads/?digest=" + name(config), "application/octet-stream", config},
		{http.MethodPut, "/v2/" + repo + "/manifests/" + tag, "application/vnd.oci.image.manifest.v1+json", manifest},
	} {
		q, err := http.NewRequest(step.method, r.url+step.path, bytes.NewReader(step.body))
		if err != nil {
			r.t.Fatal(err)
		}
		q.Header.Set("Content-Type", step.mediaType)
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			r.t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusCreated {
			r.t.Fatalf("%s %s: %s", step.method, step.path, res.Status)
		}
	}
	return name(manifest)
}

// provider is one of the shipped manifests as Gatekeeper holds it.
func (r *registry) provider(name string) *unversioned.Provider {
	r.t.Helper()
	for _, o := range r.manifests {
		if o["kind"] != "Provider" || o["metadata"].(map[string]any)["name"] != name {
			continue
		}
		text, err := json.Marshal(o)
		if err != nil {
			r.t.Fatal(err)
		}
		var p unversioned.Provider
		if err := json.Unmarshal(text, &p); err != nil {
			r.t.Fatal(err)
		}
		return &p
	}
	r.t.Fatalf("no provider %s", name)
	return nil
}

const host = "registry.example.com/"

func TestGatekeeper(t *testing.T) {
	r := start(t)
	digest := r.push("open/app", "v1")
	r.push("closed/app", "v1")
	good, bad, absent, elsewhere := host+"open/app:v1", host+"closed/app:v1", host+"open/app:v2", "docker.io/library/nginx"
	t.Run("validate", func(t *testing.T) {
		answer, status, err := externaldata.DefaultSendRequestToProvider(t.Context(), r.provider("assay"), []string{good, bad, absent, elsewhere}, nil)
		if err != nil || status != http.StatusOK || len(answer.Response.Items) != 4 || answer.Response.SystemError != "" {
			t.Fatalf("%+v %d %v", answer, status, err)
		}
		for i, want := range []string{"", "closed/app:v1 is quarantined", "open/app:v2 is not in this registry", "lies in another registry"} {
			item := answer.Response.Items[i]
			if want == "" && (item.Error != "" || item.Value == nil) || !strings.Contains(item.Error, want) {
				t.Errorf("%+v, want %q", item, want)
			}
		}
	})
	t.Run("mutate", func(t *testing.T) {
		answer, status, err := externaldata.DefaultSendRequestToProvider(t.Context(), r.provider("assay-pin"), []string{good, bad}, nil)
		if err != nil || status != http.StatusOK || !answer.Response.Idempotent || answer.Response.Items[0].Value != good+"@"+digest || answer.Response.Items[1].Error == "" {
			t.Fatalf("%+v %d %v", answer, status, err)
		}
		again, _, err := externaldata.DefaultSendRequestToProvider(t.Context(), r.provider("assay-pin"), []string{good + "@" + digest}, nil)
		if err != nil || again.Response.Items[0].Value != good+"@"+digest {
			t.Errorf("what was pinned is pinned to something else: %+v %v", again, err)
		}
	})
	t.Run("too many", func(t *testing.T) {
		answer, status, err := externaldata.DefaultSendRequestToProvider(t.Context(), r.provider("assay"), make([]string, 1001), nil)
		if err != nil || status != http.StatusBadRequest || !strings.Contains(answer.Response.SystemError, "at most 1000") {
			t.Errorf("%+v %d %v", answer, status, err)
		}
	})
	t.Run("template", func(t *testing.T) { r.template(t, good, bad, elsewhere) })
}

// template evaluates the shipped ConstraintTemplate over objects, with Gatekeeper's client below external_data.
func (r *registry) template(t *testing.T, good, bad, elsewhere string) {
	provider := r.provider("assay")
	external := rego.Function1(&rego.Function{Name: "external_data", Decl: types.NewFunction(types.Args(types.A), types.A)}, func(b rego.BuiltinContext, arg *ast.Term) (*ast.Term, error) {
		var request externaldata.RegoRequest
		if err := ast.As(arg.Value, &request); err != nil {
			return nil, err
		}
		answer, status, err := externaldata.DefaultSendRequestToProvider(b.Context, provider, request.Keys, nil)
		if err != nil {
			return nil, err // as a call that fails: undefined, since Gatekeeper's built-ins are not strict
		}
		return externaldata.PrepareRegoResponse(externaldata.NewRegoResponse(status, answer))
	})
	module := ""
	for _, o := range r.manifests {
		if o["kind"] == "ConstraintTemplate" {
			target := o["spec"].(map[string]any)["targets"].([]any)[0].(map[string]any)
			source := target["code"].([]any)[0].(map[string]any)["source"].(map[string]any)
			if source["version"] != "v1" {
				t.Errorf("the language is %v", source["version"])
			}
			module, _ = source["rego"].(string)
		}
	}
	query, err := rego.New(external, rego.SetRegoVersion(ast.RegoV1), rego.Module("template.rego", module), rego.Query("data.assayimages.violation")).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	violations := func(object string) string {
		t.Helper()
		var o any
		if err := json.Unmarshal([]byte(object), &o); err != nil {
			t.Fatal(err)
		}
		result, err := query.Eval(t.Context(), rego.EvalInput(map[string]any{"review": map[string]any{"object": o}}))
		if err != nil || len(result) != 1 {
			t.Fatal(result, err)
		}
		return fmt.Sprint(result[0].Expressions[0].Value)
	}
	spec := func(containers, init, ephemeral, volume string) string {
		return fmt.Sprintf(`{"containers":[{"name":"c","image":%q}],"initContainers":[{"name":"i","image":%q}],"ephemeralContainers":[{"name":"e","image":%q}],"volumes":[{"name":"v","image":{"reference":%q}},{"name":"n"}]}`,
			containers, init, ephemeral, volume)
	}
	pod := func(s string) string { return `{"kind":"Pod","spec":` + s + `}` }
	deployment := func(s string) string { return `{"kind":"Deployment","spec":{"template":{"spec":` + s + `}}}` }
	cron := func(s string) string {
		return `{"kind":"CronJob","spec":{"jobTemplate":{"spec":{"template":{"spec":` + s + `}}}}}`
	}
	for _, kind := range []func(string) string{pod, deployment, cron} {
		if got := violations(kind(spec(good, good, good, good))); got != "[]" {
			t.Errorf("all good: %s", got)
		}
		for i := range 4 {
			images := []string{good, good, good, good}
			images[i] = bad
			if got := violations(kind(spec(images[0], images[1], images[2], images[3]))); !strings.Contains(got, "closed/app:v1 is quarantined") {
				t.Errorf("bad in place %d: %s", i, got)
			}
		}
	}
	if got := violations(pod(spec(elsewhere, good, good, good))); !strings.Contains(got, "lies in another registry") {
		t.Errorf("elsewhere: %s", got)
	}
	provider.Spec.URL = fmt.Sprintf("https://127.0.0.1:%d/", freePort(t))
	if got := violations(pod(spec(good, good, good, good))); !strings.Contains(got, "the registry did not answer, which refuses") {
		t.Errorf("nobody there: %s", got)
	}
}
