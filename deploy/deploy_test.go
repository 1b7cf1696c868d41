package deploy

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"
)

var bundle = strings.Repeat("QUJD", 30)

// objects parses YAML documents, by kind.
func objects(t *testing.T, text string) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var o map[string]any
		if err := d.Decode(&o); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if o == nil {
			continue
		}
		kind, _ := o["kind"].(string)
		if o["apiVersion"] == nil || kind == "" || all[kind] != nil && kind != "Provider" {
			t.Fatalf("an object without a kind, or the second of it: %v", o)
		}
		all[kind] = o
	}
}

func webhooks(t *testing.T, o Options) map[string]map[string]any {
	t.Helper()
	text, err := Webhooks(o)
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, string(text))
}

// values are the chart's, with some changed.
func values(t *testing.T, change func(map[string]any)) map[string]any {
	t.Helper()
	text, err := os.ReadFile("chart/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	change(v)
	return v
}

// chart renders the chart's templates, which use nothing that text/template has not.
func chart(t *testing.T, change func(map[string]any)) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob("chart/templates/*")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	data := map[string]any{"Values": values(t, change), "Release": map[string]any{"Namespace": "assay", "Name": "assay"}}
	var all bytes.Buffer
	for _, file := range files {
		tmpl, err := template.New(filepath.Base(file)).Option("missingkey=error").ParseFiles(file)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := tmpl.Execute(&out, data); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".yaml") {
			all.WriteString(out.String() + "\n---\n")
		}
	}
	return objects(t, all.String())
}

func switchedOn(mode string) func(map[string]any) {
	return func(v map[string]any) {
		w := v["webhooks"].(map[string]any)
		w["enabled"], w["caBundle"], w["defaultMode"] = true, bundle, mode
	}
}

// TestChartIsWhatTheCommandPrints: the two ways to webhooks make the same ones.
func TestChartIsWhatTheCommandPrints(t *testing.T) {
	want := webhooks(t, Options{Namespace: "assay", Host: "assay.assay.svc", CABundle: bundle})
	got := chart(t, switchedOn(""))
	for kind, o := range want {
		if !reflect.DeepEqual(got[kind], o) {
			t.Errorf("%s differs:\n%v\n%v", kind, got[kind], o)
		}
	}
	if len(want) != 2 {
		t.Errorf("%d objects", len(want))
	}
}

// TestChart: without webhooks there are none, and the registry is what the manifests say.
func TestChart(t *testing.T) {
	got := chart(t, func(v map[string]any) {
		v["config"] = "authorities:\n  - {name: release, kind: key, key: /etc/assay-files/cosign.pub, repositories: [\"**\"]}\n"
		v["files"] = "assay-files"
	})
	if got["ValidatingWebhookConfiguration"] != nil {
		t.Error("webhooks without being asked for")
	}
	text, _ := got["ConfigMap"]["data"].(map[string]any)["assay.yaml"].(string)
	var config map[string]any
	if err := yaml.Unmarshal([]byte(text), &config); err != nil || config["external_url"] != "https://registry.example.com" || len(config["authorities"].([]any)) != 1 {
		t.Errorf("%v\n%s", err, text)
	}
	plain, err := os.ReadFile("manifests/assay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := objects(t, string(plain))
	bare := chart(t, func(map[string]any) {})
	for _, path := range [][]string{{"spec", "template"}, {"spec", "volumeClaimTemplates"}} {
		var a, b any = bare["StatefulSet"], want["StatefulSet"]
		for _, step := range path {
			a, b = a.(map[string]any)[step], b.(map[string]any)[step]
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%v of chart and manifests differ:\n%v\n%v", path, a, b)
		}
	}
}

// TestDefaultMode: a namespace without the label has the default mode, one with another label that one, and the registry's own is left out.
func TestDefaultMode(t *testing.T) {
	all := chart(t, switchedOn("enforce"))
	for kind, names := range map[string][]string{"ValidatingWebhookConfiguration": {"enforce", "warn", "audit"}, "MutatingWebhookConfiguration": {"pin"}} {
		for i, w := range all[kind]["webhooks"].([]any) {
			hook := w.(map[string]any)
			if !strings.HasPrefix(hook["name"].(string), names[i]+".") {
				t.Errorf("%s %d is %s", kind, i, hook["name"])
			}
			for namespace, labels := range map[string]map[string]string{"bare": {}, "warned": {"assay.dev/mode": "warn"}, "off": {"assay.dev/mode": "off"}, "kube-system": {}, "assay": {}} {
				labels["kubernetes.io/metadata.name"] = namespace
				want := names[i] == "warn" && namespace == "warned" || (names[i] == "enforce" || names[i] == "pin") && namespace == "bare"
				if got := selects(hook["namespaceSelector"], labels); got != want {
					t.Errorf("%s, namespace %s: %t", hook["name"], namespace, got)
				}
			}
		}
	}
}

// TestWhatAClusterStartsFrom: where no answer refuses, what the cluster and the registry itself start from is not asked about, whatever its label; what only tells is told.
func TestWhatAClusterStartsFrom(t *testing.T) {
	for name, all := range map[string]map[string]map[string]any{
		"printed": webhooks(t, Options{Namespace: "assay", Host: "assay.assay.svc", CABundle: bundle}), "chart": chart(t, switchedOn("")), "chart, by default": chart(t, switchedOn("enforce")),
	} {
		for _, namespace := range []string{"kube-system", "kube-public", "kube-node-lease", "assay"} {
			for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
				if got := asked(all[kind], map[string]string{"assay.dev/mode": "enforce", "kubernetes.io/metadata.name": namespace}); got != nil {
					t.Errorf("%s: %s asks at %v", name, namespace, got)
				}
				if got := asked(all[kind], map[string]string{"assay.dev/mode": "enforce", "kubernetes.io/metadata.name": "team"}); len(got) != 1 {
					t.Errorf("%s: team asks at %v", name, got)
				}
			}
		}
	}
	outside := webhooks(t, Options{Namespace: "assay", URL: "https://10.0.0.7:8443", Host: "10.0.0.7", CABundle: bundle})["MutatingWebhookConfiguration"]["webhooks"].([]any)[0].(map[string]any)
	if !selects(outside["namespaceSelector"], map[string]string{"assay.dev/mode": "enforce", "kubernetes.io/metadata.name": "assay"}) {
		t.Error("of a registry outside the cluster a namespace is spared that has its usual name")
	}
	for _, url := range []string{"", "https://10.0.0.7:8443"} {
		o := webhooks(t, Options{Namespace: "registry", Host: "assay.registry.svc", URL: url, CABundle: bundle, Gatekeeper: true})
		for _, selector := range []any{o["AssayImages"]["spec"].(map[string]any)["match"].(map[string]any)["namespaceSelector"], o["Assign"]["spec"].(map[string]any)["match"].(map[string]any)["namespaceSelector"]} {
			for namespace, want := range map[string]bool{"kube-system": false, "registry": url != "", "team": true} {
				if got := selects(selector, map[string]string{"assay.dev/mode": "enforce", "kubernetes.io/metadata.name": namespace}); got != want {
					t.Errorf("Gatekeeper, %s: %t", namespace, got)
				}
			}
		}
	}
}

// TestRegistryInACluster: what the registry's own objects must have, by whichever way they come.
func TestRegistryInACluster(t *testing.T) {
	plain, err := os.ReadFile("manifests/assay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, all := range map[string]map[string]map[string]any{"manifests": objects(t, string(plain)), "chart": chart(t, func(map[string]any) {})} {
		if all["ServiceAccount"]["automountServiceAccountToken"] != false || all["Role"] != nil || all["ClusterRole"] != nil {
			t.Errorf("%s: the registry has rights in the cluster", name)
		}
		pod := all["StatefulSet"]["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
		if pod["serviceAccountName"] != "assay" || pod["automountServiceAccountToken"] != false || pod["enableServiceLinks"] != false {
			t.Errorf("%s: %v", name, pod)
		}
		c := pod["containers"].([]any)[0].(map[string]any)
		for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
			if p, _ := c[probe].(map[string]any); p == nil || p["timeoutSeconds"].(int) < 5 {
				t.Errorf("%s: %s %v", name, probe, c[probe])
			}
		}
		for context, want := range map[string]map[string]any{"securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": map[string]any{"drop": []any{"ALL"}}}} {
			if !reflect.DeepEqual(c[context], any(want)) {
				t.Errorf("%s: %v", name, c[context])
			}
		}
		if sc := pod["securityContext"].(map[string]any); sc["runAsNonRoot"] != true || sc["seccompProfile"].(map[string]any)["type"] != "RuntimeDefault" || sc["fsGroupChangePolicy"] != "OnRootMismatch" {
			t.Errorf("%s: %v", name, sc)
		}
	}
	all := chart(t, inside)
	if all["NetworkPolicy"] == nil || !reflect.DeepEqual(all["NetworkPolicy"]["spec"].(map[string]any)["ingress"].([]any)[1].(map[string]any)["from"], []any{map[string]any{"ipBlock": map[string]any{"cidr": "10.0.0.1/32"}}}) {
		t.Errorf("%v", all["NetworkPolicy"])
	}
	pod := all["StatefulSet"]["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	if pod["priorityClassName"] != "system-cluster-critical" || !reflect.DeepEqual(pod["imagePullSecrets"], []any{map[string]any{"name": "regcred"}}) {
		t.Errorf("%v", pod)
	}
}

// inside are values that a careful operator sets.
func inside(v map[string]any) {
	v["networkPolicy"] = map[string]any{"enabled": true, "apiServers": []any{"10.0.0.1/32"}}
	v["priorityClassName"], v["imagePullSecrets"] = "system-cluster-critical", []any{"regcred"}
}

func labelled(prefix, name string, of ...any) func(map[string]any) {
	return func(v map[string]any) {
		switchedOn("enforce")(v)
		v["webhooks"].(map[string]any)["namespaceLabel"] = map[string]any{"prefix": prefix, "name": name, "values": of}
	}
}

// TestNamespaceLabel: each namespace asks at one path, which tells the label where it has one of the values.
func TestNamespaceLabel(t *testing.T) {
	for prefix, told := range map[string]string{"": "label/tier/", "acme.dev": "prefixed/acme.dev/tier/"} {
		all := chart(t, labelled(prefix, "tier", "gold", "1"))
		key := strings.TrimPrefix(prefix+"/tier", "/")
		for _, c := range []struct {
			labels         map[string]string
			validate, told string
		}{
			{map[string]string{}, "/k8s/v1/validate/enforce", ""},
			{map[string]string{key: "lead"}, "/k8s/v1/validate/enforce", ""},
			{map[string]string{key: "gold"}, "/k8s/v1/validate/enforce", "/" + told + "gold"},
			{map[string]string{key: "1", "assay.dev/mode": "warn"}, "/k8s/v1/validate/warn", "/" + told + "1"},
			{map[string]string{key: "gold", "assay.dev/mode": "off"}, "", ""},
			{map[string]string{key: "gold", "kubernetes.io/metadata.name": "kube-system"}, "", ""},
		} {
			mutate := ""
			if strings.HasSuffix(c.validate, "enforce") {
				mutate = "/k8s/v1/mutate" + c.told
			}
			for kind, want := range map[string]string{"ValidatingWebhookConfiguration": c.validate + c.told, "MutatingWebhookConfiguration": mutate} {
				if got := strings.Join(asked(all[kind], c.labels), " "); got != want {
					t.Errorf("%v: %s asks at %q, and not at %q", c.labels, kind, got, want)
				}
			}
		}
	}
}

// asked are the paths at which a namespace asks. Webhooks' names are different.
func asked(configuration map[string]any, labels map[string]string) (paths []string) {
	names := map[any]bool{}
	for _, w := range configuration["webhooks"].([]any) {
		hook := w.(map[string]any)
		if names[hook["name"]] {
			paths = append(paths, "twice")
		}
		names[hook["name"]] = true
		if selects(hook["namespaceSelector"], labels) {
			paths = append(paths, hook["clientConfig"].(map[string]any)["service"].(map[string]any)["path"].(string))
		}
	}
	return paths
}

// selects is a label selector of matchExpressions (meta/v1 LabelSelector).
func selects(selector any, labels map[string]string) bool {
	for _, e := range selector.(map[string]any)["matchExpressions"].([]any) {
		m := e.(map[string]any)
		value, has := labels[m["key"].(string)]
		in := has && slices.ContainsFunc(m["values"].([]any), func(v any) bool { return v == value })
		if (m["operator"] == "In") != in {
			return false
		}
	}
	return true
}

func TestWebhooksByURL(t *testing.T) {
	all := webhooks(t, Options{URL: "https://10.0.0.7:8443", Host: "10.0.0.7", CABundle: bundle})
	hook := all["ValidatingWebhookConfiguration"]["webhooks"].([]any)[0].(map[string]any)
	want := map[string]any{"url": "https://10.0.0.7:8443/k8s/v1/validate/enforce", "caBundle": bundle}
	if !reflect.DeepEqual(hook["clientConfig"], want) || hook["failurePolicy"] != "Fail" {
		t.Errorf("%v", hook)
	}
	for _, url := range []string{"", "https://10.0.0.7:8443"} {
		all := webhooks(t, Options{Namespace: "assay", Host: "assay.assay.svc", URL: url, CABundle: bundle, Gatekeeper: true})
		if len(all) != 4 || all["Assign"] == nil || all["ConstraintTemplate"] == nil {
			t.Errorf("%d kinds", len(all))
		}
	}
}

func TestFilesAreObjects(t *testing.T) {
	for _, file := range []string{"manifests/assay.yaml", "validating-admission-policy.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(objects(t, string(text))) < 3 {
			t.Errorf("%s has too little", file)
		}
	}
}
