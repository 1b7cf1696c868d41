//go:build k8s

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// gate is a registry that a cluster asks, with a key that it trusts. It can be stopped, and comes back at the same address.
type gate struct {
	t       *testing.T
	console *console
	file    string // its configuration
	port    int    // of the webhooks
	server  *running
	secret  string // of the administrator
}

const registryHost = "registry.example.com" // as the cluster names the registry; nothing is pulled

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{t: t, console: newConsole(t, nil), port: freePort(t)}
	g.console.env["ASSAY_KEY_PASSWORD"] = ""
	delete(g.console.env, "ASSAY_USER")
	g.run("key", "new", "release")
	g.file = filepath.Join(g.console.dir, "assay.yaml")
	text := fmt.Sprintf(`listen: 127.0.0.1:0
auth: {anonymous: [pull, push, sign]}
authorities: [{name: release, kind: key, key: release.pub, repositories: ["**"]}]
sbom: {formats: []}
kubernetes: {listen: "127.0.0.1:%d", names: [127.0.0.1], registry_hosts: [%s], unknown: warn}
`, g.port, registryHost)
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start()
	g.secret = g.server.await(`^  secret: (\S+)$`)[1]
	return g
}

// asAdmin runs a command as the administrator that the first start made.
func (g *gate) asAdmin(args ...string) {
	g.t.Helper()
	g.console.env["ASSAY_USER"], g.console.env["ASSAY_PASSWORD"] = "admin", g.secret
	g.run(args...)
	delete(g.console.env, "ASSAY_USER")
}

func (g *gate) start() {
	g.server = start(g.t, g.console.dir, "--config", g.file).listening()
	eventually(g.t, "the registry is ready", func() bool {
		status, _ := ask(g.t, http.DefaultClient, g.server.url+"/readyz", "", "")
		return status == http.StatusOK
	})
	g.console.env["ASSAY_SERVER"] = g.server.url
}

func (g *gate) run(args ...string) string {
	g.t.Helper()
	code, out, errs := g.console.run(args...)
	if code != 0 {
		g.t.Fatalf("assay %s: %d %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// manifests is what the cluster is given.
func (g *gate) manifests() string {
	return g.run("kubernetes", "manifests", "--config", g.file, "--url", fmt.Sprintf("https://127.0.0.1:%d", g.port))
}

func (g *gate) put(method, path, mediaType string, body []byte) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.server.url+path, strings.NewReader(string(body)))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", mediaType)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusCreated {
		g.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, text, err)
	}
}

// push makes a small image and returns its digest.
func (g *gate) push(repo, tag, seed string) string {
	g.t.Helper()
	name := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
	layer := []byte("\x1f\x8b" + seed)
	config := fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["%s"]},"config":{"User":"65532"}}`, name(layer))
	for _, b := range [][]byte{layer, config} {
		g.put(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+name(b), "application/octet-stream", b)
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%d},
"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"%s","size":%d}]}`, name(config), len(config), name(layer), len(layer))
	g.put(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, "application/vnd.oci.image.manifest.v1+json", manifest)
	return name(manifest)
}

func (g *gate) sign(repo, digest string) {
	g.t.Helper()
	g.run("sign", "--key", "release.key", strings.TrimPrefix(g.server.url, "http://")+"/"+repo+"@"+digest)
}

// pod is a pod's specification in one line of YAML.
func pod(image string) string { return `{containers: [{name: app, image: "` + image + `"}]}` }

func object(kind, namespace, name, image string) string {
	labels := `metadata: {labels: {app: x}}`
	group, spec := "apps/v1", "spec: {selector: {matchLabels: {app: x}}, template: {"+labels+", spec: "+pod(image)+"}}"
	once := `{containers: [{name: app, image: "` + image + `"}], restartPolicy: Never}`
	switch kind {
	case "Pod":
		group, spec = "v1", "spec: "+pod(image)
	case "PodTemplate":
		group, spec = "v1", "template: {"+labels+", spec: "+pod(image)+"}"
	case "ReplicationController":
		group, spec = "v1", "spec: {selector: {app: x}, template: {"+labels+", spec: "+pod(image)+"}}"
	case "StatefulSet":
		spec = "spec: {serviceName: x, selector: {matchLabels: {app: x}}, template: {" + labels + ", spec: " + pod(image) + "}}"
	case "Job":
		group, spec = "batch/v1", "spec: {template: {spec: "+once+"}}"
	case "CronJob":
		group, spec = "batch/v1", `spec: {schedule: "* * * * *", jobTemplate: {spec: {template: {spec: `+once+`}}}}`
	}
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: %s}\n%s\n", group, kind, name, namespace, spec)
}

func podOf(namespace, name, spec string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, namespace, spec)
}

func namespace(name, mode string) string {
	labels := ""
	if mode != "" {
		labels = ", labels: {assay.dev/mode: " + mode + "}"
	}
	return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + labels + "}\n"
}

var workloads = []string{"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController", "PodTemplate"}

// story is a cluster, its registry, and the images that the tests speak of.
type story struct {
	*cluster
	gate       *gate
	good, bad  string // by tag
	goodDigest string
	pinned     string
}

func (s *story) want(t *testing.T, what string, r *reply, status int, sentence string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.text+strings.Join(r.warnings, "\n"), sentence) {
		t.Errorf("%s: %d, want %d and %q:\n%s\n%s", what, r.status, status, sentence, r.text, strings.Join(r.warnings, "\n"))
	}
}

const (
	quarantined = "acme/bad:v1 is quarantined"
	remedy      = "To fix: "
)

// TestKubernetes is the whole story with a real API server: see the names of its parts.
func TestKubernetes(t *testing.T) {
	g := newGate(t)
	s := &story{cluster: newCluster(t), gate: g, good: registryHost + "/acme/good:v1", bad: registryHost + "/acme/bad:v1"}
	s.goodDigest = g.push("acme/good", "v1", "good")
	s.pinned = s.good + "@" + s.goodDigest
	g.sign("acme/good", s.goodDigest)
	g.push("acme/bad", "v1", "bad")
	for _, mode := range []string{"enforce", "warn", "audit", ""} {
		s.apply(namespace("in-"+mode+"x", mode))
	}
	s.apply(g.manifests())
	s.inForce()
	t.Run("pods", s.pods)
	t.Run("workloads", s.workloads)
	t.Run("every place", s.everyPlace)
	t.Run("ephemeral containers", s.ephemeral)
	t.Run("modes", s.modes)
	t.Run("what runs already", s.running)
	t.Run("B41 pinned", s.pinning)
	t.Run("webhook down", s.down)
	t.Run("rotation", s.rotation)
	t.Run("ValidatingAdmissionPolicy", s.admissionPolicy)
	t.Run("manifests", s.manifestsFit)
	t.Run("ImagePolicyWebhook", s.imagePolicy)
}

// inForce waits until the API server has seen the webhooks: its informers lag.
func (s *story) inForce() {
	s.t.Helper()
	eventually(s.t, "the webhooks are in force", func() bool {
		bad := s.create(object("Pod", "in-enforcex", "probe", s.bad), "?dryRun=All")
		good := s.create(object("Pod", "in-enforcex", "probe", s.good), "?dryRun=All")
		warned := s.create(object("Pod", "in-warnx", "probe", s.bad), "?dryRun=All")
		return strings.Contains(bad.message(), quarantined) && good.at("spec", "containers", 0, "image") == s.pinned && len(warned.warnings) > 0
	})
}

func (s *story) pods(t *testing.T) {
	r := s.create(object("Pod", "in-enforcex", "dry", s.good), "?dryRun=All")
	s.want(t, "dry run", r, 201, s.pinned)
	if r := s.do(http.MethodGet, "/api/v1/namespaces/in-enforcex/pods/dry", "", ""); r.status != 404 {
		t.Errorf("a dry run stored it: %d", r.status)
	}
	s.want(t, "dry run, unsigned", s.create(object("Pod", "in-enforcex", "dry", s.bad), "?dryRun=All"), 403, quarantined)
	s.want(t, "signed", s.create(object("Pod", "in-enforcex", "good", s.good), ""), 201, s.pinned)
	r = s.create(object("Pod", "in-enforcex", "bad", s.bad), "")
	s.want(t, "unsigned", r, 403, `admission webhook \"enforce.images.assay.dev\" denied the request: container app: `+quarantined)
	s.want(t, "unsigned", r, 403, remedy)
	s.want(t, "absent", s.create(object("Pod", "in-enforcex", "bad", registryHost+"/acme/none:v1"), ""), 403, "acme/none:v1 is not in this registry")
	s.want(t, "malformed", s.create(object("Pod", "in-enforcex", "bad", registryHost+"/ACME/none:v1"), ""), 403, "names no repository that can exist")
	s.want(t, "unsigned, by digest", s.create(object("Pod", "in-enforcex", "bad", registryHost+"/acme/bad@"+s.gate.push("acme/bad", "v1", "bad")), ""), 403, "is quarantined")
	s.want(t, "another host's case", s.create(object("Pod", "in-enforcex", "bad", strings.ToUpper(registryHost)+"/acme/bad:v1"), ""), 403, quarantined)
}

func (s *story) workloads(t *testing.T) {
	for _, kind := range workloads {
		s.want(t, kind+", unsigned", s.create(object(kind, "in-enforcex", "w", s.bad), ""), 403, "container app: "+quarantined)
		r := s.create(object(kind, "in-enforcex", "w", s.good), "")
		s.want(t, kind+", signed", r, 201, s.good)
		if strings.Contains(r.text, s.pinned) {
			t.Errorf("%s was pinned", kind)
		}
	}
	// What is no change of images is not judged, and a change is.
	base := "/apis/apps/v1/namespaces/in-enforcex/deployments/w"
	s.want(t, "scale", s.do(http.MethodPatch, base+"/scale", "application/merge-patch+json", `{"spec":{"replicas":3}}`), 200, `"replicas":3`)
	s.want(t, "rollout", s.do(http.MethodPatch, base, "application/strategic-merge-patch+json", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"`+s.bad+`"}]}}}}`), 403, quarantined)
}

func (s *story) everyPlace(t *testing.T) {
	spec := `{containers: [{name: app, image: "` + s.good + `"}], initContainers: [{name: init, image: "%s"}], volumes: [{name: data, image: {reference: "%s"}}]}`
	s.want(t, "init", s.create(podOf("in-enforcex", "places", fmt.Sprintf(spec, s.bad, s.good)), ""), 403, "init init: "+quarantined)
	s.want(t, "volume", s.create(podOf("in-enforcex", "places", fmt.Sprintf(spec, s.good, s.bad)), ""), 403, "volume data: "+quarantined)
	r := s.create(podOf("in-enforcex", "places", fmt.Sprintf(spec, s.good, s.good)), "")
	s.want(t, "all signed", r, 201, "")
	for _, got := range []any{r.at("spec", "containers", 0, "image"), r.at("spec", "initContainers", 0, "image"), r.at("spec", "volumes", 0, "image", "reference")} {
		if got != s.pinned {
			t.Errorf("%v is not pinned", got)
		}
	}
}

func (s *story) ephemeral(t *testing.T) {
	add := func(image string) *reply {
		return s.do(http.MethodPatch, "/api/v1/namespaces/in-enforcex/pods/good/ephemeralcontainers", "application/strategic-merge-patch+json",
			`{"spec":{"ephemeralContainers":[{"name":"debug","image":"`+image+`"}]}}`)
	}
	s.want(t, "unsigned", add(s.bad), 403, "ephemeral debug: "+quarantined)
	r := add(s.good)
	if s.want(t, "signed", r, 200, ""); r.at("spec", "ephemeralContainers", 0, "image") != s.pinned {
		t.Errorf("not pinned: %s", r.text)
	}
}

func (s *story) modes(t *testing.T) {
	r := s.create(object("Pod", "in-warnx", "p", s.bad), "")
	if s.want(t, "warn", r, 201, quarantined); len(r.warnings) != 1 {
		t.Errorf("%v", r.warnings)
	}
	for _, ns := range []string{"in-auditx", "in-x"} {
		if r := s.create(object("Pod", ns, "p", s.bad), ""); r.status != 201 || len(r.warnings) > 0 {
			t.Errorf("%s: %d %v %s", ns, r.status, r.warnings, r.text)
		}
	}
	s.want(t, "another registry", s.create(object("Pod", "in-enforcex", "elsewhere", "nginx"), ""), 201, "the image nginx lies in another registry")
}

// running: what is stored may be labelled and deleted, although its image would be refused now.
func (s *story) running(t *testing.T) {
	d := s.gate.push("acme/later", "v1", "later")
	s.gate.sign("acme/later", d)
	s.want(t, "signed", s.create(object("Pod", "in-enforcex", "later", registryHost+"/acme/later:v1"), ""), 201, d)
	s.gate.asAdmin("revoke", strings.TrimPrefix(s.gate.server.url, "http://")+"/acme/later@"+d, "--reason", "CVE-2026-1")
	s.want(t, "again", s.create(object("Pod", "in-enforcex", "later2", registryHost+"/acme/later:v1"), ""), 403, "acme/later:v1 is revoked: CVE-2026-1")
	path := "/api/v1/namespaces/in-enforcex/pods/later"
	s.want(t, "label", s.do(http.MethodPatch, path, "application/merge-patch+json", `{"metadata":{"labels":{"a":"b"}}}`), 200, `"a":"b"`)
	s.want(t, "delete", s.do(http.MethodDelete, path, "", ""), 200, "")
}

// pinning: the digest that was judged is the one that runs, although the tag names another image by then.
func (s *story) pinning(t *testing.T) {
	first := s.gate.push("acme/moving", "v1", "moving-1")
	s.gate.sign("acme/moving", first)
	image := registryHost + "/acme/moving:v1"
	r := s.create(object("Pod", "in-enforcex", "moving", image), "")
	s.want(t, "first", r, 201, image+"@"+first)
	second := s.gate.push("acme/moving", "v1", "moving-2")
	s.want(t, "the tag still shows the image before", s.create(object("Pod", "in-enforcex", "moving2", image), ""), 201, image+"@"+first)
	s.gate.sign("acme/moving", second)
	s.want(t, "second", s.create(object("Pod", "in-enforcex", "moving3", image), ""), 201, image+"@"+second)
	if r := s.do(http.MethodGet, "/api/v1/namespaces/in-enforcex/pods/moving", "", ""); r.at("spec", "containers", 0, "image") != image+"@"+first {
		t.Errorf("the first pod runs %v", r.at("spec", "containers", 0, "image"))
	}
}

// down: under enforce no answer refuses, under warn it lets pass.
func (s *story) down(t *testing.T) {
	s.gate.server.end()
	s.want(t, "Fail", s.create(object("Pod", "in-enforcex", "down", s.good), ""), 500, "failed calling webhook")
	s.want(t, "Ignore", s.create(object("Pod", "in-warnx", "down", s.bad), ""), 201, "")
	s.want(t, "label", s.do(http.MethodPatch, "/api/v1/namespaces/kube-system", "application/merge-patch+json", `{"metadata":{"labels":{"assay.dev/mode":"enforce"}}}`), 200, "enforce")
	s.want(t, "what the cluster starts from", s.create(object("Pod", "kube-system", "down", s.bad), ""), 201, s.bad)
	s.gate.start()
	s.want(t, "up again", s.create(object("Pod", "in-enforcex", "up", s.good), ""), 201, s.pinned)
}

// rotation: a new CA, without a question that fails on the way; the old bundle is refused after it.
func (s *story) rotation(t *testing.T) {
	old := s.gate.manifests()
	works := func(what string) {
		t.Helper()
		s.want(t, what, s.create(object("Pod", "in-enforcex", "rotated", s.good), "?dryRun=All"), 201, s.pinned)
		s.want(t, what, s.create(object("Pod", "in-enforcex", "rotated", s.bad), "?dryRun=All"), 403, quarantined)
	}
	s.gate.run("kubernetes", "rotate", "--config", s.gate.file)
	s.apply(s.gate.manifests())
	works("both are trusted")
	s.seen(t, s.gate.manifests())
	s.gate.run("kubernetes", "rotate", "--config", s.gate.file)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.gate.server.await(`msg=reloaded`)
	works("the new one is served")
	s.apply(s.gate.manifests())
	works("the new one alone is trusted")
	s.gate.server.end() // so that no connection from before is left
	s.gate.start()
	works("after a restart")
	s.apply(old)
	eventually(t, "the old bundle is refused", func() bool {
		r := s.create(object("Pod", "in-enforcex", "rotated", s.good), "?dryRun=All")
		return r.status == 500 && strings.Contains(r.text, "x509: certificate signed by unknown authority")
	})
	s.apply(s.gate.manifests())
	s.inForce()
}

// seen waits until the API server uses a bundle: it sees a configuration some time after it was stored. A webhook of the test's own, with a name that only
// the new configuration has, tells.
func (s *story) seen(t *testing.T, manifests string) {
	t.Helper()
	marked := strings.Replace(manifests, "enforce.images.assay.dev", "seen.images.assay.dev", 1)
	s.apply(marked)
	eventually(t, "the API server uses the new bundle", func() bool {
		r := s.create(object("Pod", "in-enforcex", "seen", s.bad), "?dryRun=All")
		return strings.Contains(r.message(), "seen.images.assay.dev") && strings.Contains(r.message(), quarantined)
	})
}

func (s *story) admissionPolicy(t *testing.T) {
	for _, kind := range []string{"validating", "mutating"} {
		if r := s.do(http.MethodDelete, "/apis/admissionregistration.k8s.io/v1/"+kind+"webhookconfigurations/assay", "", ""); r.status != 200 {
			t.Fatal(r.text)
		}
	}
	text, err := os.ReadFile("../../deploy/validating-admission-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s.apply(string(text))
	const noDigest, elsewhere = "an image names no digest", "an image lies in none of the allowed registries (registry.example.com)"
	digest := "@" + s.goodDigest
	eventually(t, "the policy is in force, and its parameters known", func() bool {
		return strings.Contains(s.create(object("Pod", "in-enforcex", "vap", s.good), "?dryRun=All").message(), noDigest) &&
			s.create(object("Pod", "in-enforcex", "vap", s.pinned), "?dryRun=All").status == 201
	})
	for _, kind := range append([]string{"Pod"}, workloads...) {
		s.want(t, kind+" by tag", s.create(object(kind, "in-enforcex", "vap", s.good), "?dryRun=All"), 403, noDigest)
		s.want(t, kind+" elsewhere", s.create(object(kind, "in-enforcex", "vap", "docker.io/library/nginx"+digest), "?dryRun=All"), 403, elsewhere)
		s.want(t, kind+" of a host that begins alike", s.create(object(kind, "in-enforcex", "vap", "registry.example.com.evil.org/acme/good"+digest), "?dryRun=All"), 403, elsewhere)
		s.want(t, kind+" by digest", s.create(object(kind, "in-enforcex", "vap", s.pinned), "?dryRun=All"), 201, s.pinned)
	}
	spec := `{containers: [{name: app, image: "` + s.pinned + `"}], initContainers: [{name: init, image: "%s"}], volumes: [{name: data, image: {reference: "%s"}}, {name: none, emptyDir: {}}]}`
	s.want(t, "init", s.create(podOf("in-enforcex", "vap", fmt.Sprintf(spec, s.good, s.pinned)), "?dryRun=All"), 403, noDigest)
	s.want(t, "volume", s.create(podOf("in-enforcex", "vap", fmt.Sprintf(spec, s.pinned, s.good)), "?dryRun=All"), 403, noDigest)
	s.want(t, "all", s.create(podOf("in-enforcex", "vap", fmt.Sprintf(spec, s.pinned, s.pinned)), "?dryRun=All"), 201, "")
	s.want(t, "ephemeral", s.do(http.MethodPatch, "/api/v1/namespaces/in-enforcex/pods/good/ephemeralcontainers", "application/strategic-merge-patch+json",
		`{"spec":{"ephemeralContainers":[{"name":"more","image":"`+s.good+`"}]}}`), 403, noDigest)
	s.want(t, "another namespace", s.create(object("Pod", "in-x", "vap", s.good), "?dryRun=All"), 201, "")
	s.admissionPolicyBefore(t, noDigest, elsewhere)
	for path, name := range map[string]string{"validatingadmissionpolicybindings": "assay-images", "validatingadmissionpolicies": "assay-images"} {
		s.do(http.MethodDelete, "/apis/admissionregistration.k8s.io/v1/"+path+"/"+name, "", "")
	}
}

// admissionPolicyBefore: what was there before its namespace had the label may be changed, and deleted, as long as no other image comes in.
func (s *story) admissionPolicyBefore(t *testing.T, noDigest, elsewhere string) {
	s.want(t, "before", s.create(object("Pod", "in-x", "before", s.good), ""), 201, s.good)
	s.want(t, "before", s.create(object("Deployment", "in-x", "before", s.good), ""), 201, s.good)
	label := func(mode string) {
		s.want(t, "label", s.do(http.MethodPatch, "/api/v1/namespaces/in-x", "application/merge-patch+json", `{"metadata":{"labels":{"assay.dev/mode":`+mode+`}}}`), 200, "")
	}
	label(`"enforce"`)
	defer label("null")
	eventually(t, "the label is seen", func() bool {
		return strings.Contains(s.create(object("Pod", "in-x", "vap", s.good), "?dryRun=All").message(), noDigest)
	})
	pod, deployment := "/api/v1/namespaces/in-x/pods/before", "/apis/apps/v1/namespaces/in-x/deployments/before"
	for _, path := range []string{pod, deployment} {
		s.want(t, path, s.do(http.MethodPatch, path, "application/merge-patch+json", `{"metadata":{"labels":{"a":"b"}}}`), 200, `"a":"b"`)
	}
	rollout := func(container, image string) *reply {
		return s.do(http.MethodPatch, deployment, "application/strategic-merge-patch+json", `{"spec":{"template":{"spec":{"containers":[{"name":"`+container+`","image":"`+image+`"}]}}}}`)
	}
	s.want(t, "another tag", rollout("app", s.bad), 403, noDigest)
	s.want(t, "one more", rollout("more", "docker.io/library/nginx@"+s.goodDigest), 403, elsewhere)
	s.want(t, "ephemeral", s.do(http.MethodPatch, pod+"/ephemeralcontainers", "application/strategic-merge-patch+json", `{"spec":{"ephemeralContainers":[{"name":"more","image":"`+s.bad+`"}]}}`), 403, noDigest)
	s.want(t, "by digest", rollout("app", s.pinned), 200, s.pinned)
	s.want(t, "back to a tag", rollout("app", s.good), 403, noDigest)
	s.want(t, "deleted", s.do(http.MethodDelete, pod, "", ""), 200, "")
}

// manifestsFit: the API server takes what is shipped for the registry itself.
func (s *story) manifestsFit(t *testing.T) {
	text, err := os.ReadFile("../../deploy/manifests/assay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s.apply(string(text))
}

// imagePolicy: an API server that was told at its start to ask about every pod.
func (s *story) imagePolicy(t *testing.T) {
	s.cluster.stop()
	var ca struct {
		Bundle string `json:"ca_bundle"`
	}
	if err := json.Unmarshal([]byte(s.gate.run("kubernetes", "ca", "--config", s.gate.file, "-o", "json")), &ca); err != nil {
		t.Fatal(err)
	}
	if _, err := base64.StdEncoding.DecodeString(ca.Bundle); err != nil {
		t.Fatal(err)
	}
	kubeconfig := s.write("image-policy.kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: assay, cluster: {server: "https://127.0.0.1:%d/k8s/v1/imagereview", certificate-authority-data: %s}}]
users: [{name: api-server, user: {}}]
contexts: [{name: assay, context: {cluster: assay, user: api-server}}]
current-context: assay
`, s.gate.port, ca.Bundle))
	control := s.write("admission.yaml", `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: ImagePolicyWebhook
    configuration:
      imagePolicy: {kubeConfigFile: `+kubeconfig+`, allowTTL: 1, denyTTL: 1, retryBackoff: 100, defaultAllow: false}
`)
	s.cluster.start("--enable-admission-plugins=ImagePolicyWebhook", "--admission-control-config-file", control)
	r := s.create(object("Pod", "in-x", "ipw", s.bad), "?dryRun=All")
	s.want(t, "unsigned", r, 403, quarantined)
	s.want(t, "signed", s.create(object("Pod", "in-x", "ipw", s.good), "?dryRun=All"), 201, s.good)
	s.gate.server.end()
	r = s.create(object("Pod", "in-x", "ipw", registryHost+"/acme/good:v1@"+s.goodDigest), "?dryRun=All")
	if r.status == 201 {
		t.Errorf("with the registry down: %d %s", r.status, r.text)
	}
	s.gate.start()
}
