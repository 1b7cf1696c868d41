//go:build k8s

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// cluster is a kube-apiserver over an etcd: what is created is admitted and stored, and nothing runs.
type cluster struct {
	t      *testing.T
	dir    string
	etcd   string // its URL
	url    string
	client *http.Client
	stop   func() // ends the API server
}

const clusterToken = "administrator-of-the-test"

// program is a binary that testdata/tools-k8s.sh built.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../.cache/bin", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v: run testdata/tools-k8s.sh", err)
	}
	return path
}

// freePort is a port that nobody listens on at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// daemon runs a program until stop, or until the test ends. Its output is shown if the test fails.
func daemon(t *testing.T, name string, args ...string) (stop func(), exited <-chan struct{}) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(t, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	stop = func() { _ = cmd.Process.Kill(); <-done }
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the end of %s:\n%s", log.Name(), text[max(0, len(text)-2000):])
		}
		log.Close()
	})
	return stop, done
}

// eventually asks until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(3 * patience)
	for !so() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("never: %s", what)
		}
	}
}

// newCluster starts etcd and an API server with further flags.
func newCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir()}
	peer := fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	c.etcd = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	daemon(t, "etcd", "--data-dir", filepath.Join(c.dir, "etcd"), "--unsafe-no-fsync", "--listen-client-urls", c.etcd, "--advertise-client-urls", c.etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--logger", "zap", "--log-level", "error")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c.write("sa.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	c.write("tokens.csv", clusterToken+`,admin,admin,"system:masters"`+"\n")
	c.start(flags...)
	return c
}

func (c *cluster) write(name, text string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// start runs the API server; with other flags again after stop.
func (c *cluster) start(flags ...string) {
	c.t.Helper()
	port := freePort(c.t)
	certificates := filepath.Join(c.dir, fmt.Sprint(port))
	args := append([]string{
		"--etcd-servers", c.etcd, "--cert-dir", certificates, "--secure-port", fmt.Sprint(port), "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://127.0.0.1/", "--service-account-key-file", filepath.Join(c.dir, "sa.key"),
		"--service-account-signing-key-file", filepath.Join(c.dir, "sa.key"), "--token-auth-file", filepath.Join(c.dir, "tokens.csv"), "--authorization-mode=RBAC",
		"--disable-admission-plugins=ServiceAccount", "--allow-privileged=true",
	}, flags...)
	var exited <-chan struct{}
	c.stop, exited = daemon(c.t, "kube-apiserver", args...)
	c.url = fmt.Sprintf("https://127.0.0.1:%d", port)
	eventually(c.t, "the API server is ready", func() bool {
		select {
		case <-exited:
			c.t.Fatal("the API server ended")
		default:
		}
		text, err := os.ReadFile(filepath.Join(certificates, "apiserver.crt"))
		if err != nil {
			return false
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
		r, err := c.request(http.MethodGet, "/readyz", "", nil)
		return err == nil && r.status == http.StatusOK
	})
}

// reply is an answer of the API server.
type reply struct {
	status   int
	text     string
	warnings []string
	object   map[string]any
}

// at follows member names and indexes.
func (r *reply) at(path ...any) any {
	var v any = r.object
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}

func (r *reply) message() string {
	s, _ := r.at("message").(string)
	return s
}

func (c *cluster) request(method, path, mediaType string, body []byte) (*reply, error) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(c.t.Context()), method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+clusterToken)
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	r := &reply{status: res.StatusCode, text: string(text), warnings: res.Header.Values("Warning")}
	_ = json.Unmarshal(text, &r.object) // some answers are text
	return r, nil
}

func (c *cluster) do(method, path, mediaType, body string) *reply {
	c.t.Helper()
	r, err := c.request(method, path, mediaType, []byte(body))
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// plural of the kinds that the tests use.
var plural = map[string]string{
	"Namespace": "namespaces", "ConfigMap": "configmaps", "Service": "services", "Pod": "pods", "PodTemplate": "podtemplates", "ReplicationController": "replicationcontrollers",
	"ReplicaSet": "replicasets", "Deployment": "deployments", "DaemonSet": "daemonsets", "StatefulSet": "statefulsets", "Job": "jobs", "CronJob": "cronjobs",
	"ValidatingWebhookConfiguration": "validatingwebhookconfigurations", "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
	"ServiceAccount": "serviceaccounts", "ValidatingAdmissionPolicy": "validatingadmissionpolicies", "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}

// collection is the path of an object's kind, and its name.
func collection(t *testing.T, document string) (path, name string) {
	t.Helper()
	var o struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   struct {
			Name      string `yaml:"name"`
			Namespace string `yaml:"namespace"`
		} `yaml:"metadata"`
	}
	if err := yaml.Unmarshal([]byte(document), &o); err != nil || plural[o.Kind] == "" {
		t.Fatalf("%v: what is this?\n%s", err, document)
	}
	path = "/apis/" + o.APIVersion
	if o.APIVersion == "v1" {
		path = "/api/v1"
	}
	if o.Metadata.Namespace != "" {
		path += "/namespaces/" + o.Metadata.Namespace
	}
	return path + "/" + plural[o.Kind], o.Metadata.Name
}

// create posts one object; query is such as "?dryRun=All".
func (c *cluster) create(document, query string) *reply {
	c.t.Helper()
	path, _ := collection(c.t, document)
	return c.do(http.MethodPost, path+query, "application/yaml", document)
}

// apply makes every object of a file what it says, as kubectl apply --server-side does.
func (c *cluster) apply(documents string) {
	c.t.Helper()
	for document := range strings.SplitSeq(documents, "\n---\n") {
		path, name := collection(c.t, document)
		if r := c.do(http.MethodPatch, path+"/"+name+"?fieldManager=test&force=true", "application/apply-patch+yaml", document); r.status/100 != 2 {
			c.t.Fatalf("apply %s/%s: %d %s", path, name, r.status, r.text)
		}
	}
}
