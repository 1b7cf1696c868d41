//go:build k8s

package deploy

import (
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestHelm: helm itself renders the chart to the same objects, and its schema refuses what cannot work.
func TestHelm(t *testing.T) {
	helm, err := filepath.Abs("../.cache/bin/helm")
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command(helm, args...)
		cmd.Env = []string{"HOME=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("lint", "--strict", "chart"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, mode := range []string{"", "enforce", "audit"} {
		out, err := run("template", "assay", "chart", "--namespace", "assay", "--kube-version", "1.36.0", "--set", "webhooks.enabled=true,webhooks.caBundle="+bundle+",webhooks.defaultMode="+mode)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got, want := objects(t, out), chart(t, switchedOn(mode)); !reflect.DeepEqual(got, want) {
			t.Errorf("default mode %q: helm renders\n%v\nand text/template\n%v", mode, got, want)
		}
	}
	label := `webhooks.namespaceLabel.prefix=acme.dev,webhooks.namespaceLabel.name=tier,webhooks.namespaceLabel.values={gold,1}`
	out, err := run("template", "assay", "chart", "--namespace", "assay", "--kube-version", "1.36.0", "--set", "webhooks.enabled=true,webhooks.defaultMode=enforce,webhooks.caBundle="+bundle, "--set-string", label)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := objects(t, out), chart(t, labelled("acme.dev", "tier", "gold", "1")); !reflect.DeepEqual(got, want) {
		t.Errorf("labels: helm renders\n%v\nand text/template\n%v", got, want)
	}
	out, err = run("template", "assay", "chart", "--namespace", "assay", "--kube-version", "1.36.0", "--set", "networkPolicy.enabled=true,networkPolicy.apiServers={10.0.0.1/32},priorityClassName=system-cluster-critical,imagePullSecrets={regcred}")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := objects(t, out), chart(t, inside); !reflect.DeepEqual(got, want) {
		t.Errorf("inside: helm renders\n%v\nand text/template\n%v", got, want)
	}
	for _, set := range []string{"networkPolicy.enabled=true", "networkPolicy.apiServers={10.0.0.1}", "externalURL=https://x y", "externalURL=https://x#y", "storage=much", "webhooks.exclude={a b}", "webhooks.namespaceLabel.values={prod}", "webhooks.namespaceLabel.name=env,webhooks.namespaceLabel.values={Prod}", "webhooks.namespaceLabel.name=a/b", "webhooks.enabled=true", "unknown=maybe", "externalURL=http://x", "webhooks.defaultMode=shadow", "nothing=1"} {
		if out, err := run("template", "assay", "chart", "--kube-version", "1.36.0", "--set", set); err == nil || !strings.Contains(out, "values don't meet the specifications") {
			t.Errorf("%s: %v\n%s", set, err, out)
		}
	}
}
