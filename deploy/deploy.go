// Package deploy holds what is put into a cluster: the configuration of the webhooks and of Gatekeeper, which the command line fills in, and, as files alone,
// manifests of the registry itself, a Helm chart, and a ValidatingAdmissionPolicy for clusters without webhooks.
package deploy

import (
	"bytes"
	"embed"
	"text/template"
)

//go:embed *.tmpl
var files embed.FS

// Options fill in the manifests.
type Options struct {
	Namespace  string // of the service "assay"
	URL        string // https://HOST:PORT of the webhooks; empty: the service
	Host       string // the name under which the cluster reaches them: in Namespace, or of URL
	CABundle   string // base64 of PEM
	Gatekeeper bool   // Gatekeeper's objects instead of webhooks
}

// Webhooks renders what makes a cluster ask, as YAML for kubectl apply. All values but the bundle are names that the caller has checked.
func Webhooks(o Options) ([]byte, error) {
	name := "webhooks.yaml.tmpl"
	if o.Gatekeeper {
		name = "gatekeeper.yaml.tmpl"
	}
	t, err := template.New(name).Option("missingkey=error").ParseFS(files, name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, o)
	return b.Bytes(), err
}

// Spared are the namespaces that are never asked about where no answer refuses: the cluster starts from them, and the registry, which must be able to start to answer. A registry that is not
// in the cluster has none there.
func (o Options) Spared() []string {
	names := []string{"kube-system", "kube-public", "kube-node-lease"}
	if o.URL == "" {
		names = append([]string{o.Namespace}, names...)
	}
	return names
}

// webhook is one entry of a webhook configuration.
type webhook struct {
	Options
	Mode, Failure string
}

// Webhook is the entry of a mode, or "pin".
func (o Options) Webhook(mode, failure string) any { return webhook{o, mode, failure} }

// Path is what the cluster asks.
func (w webhook) Path() string {
	if w.Mode == "pin" {
		return "/k8s/v1/mutate"
	}
	return "/k8s/v1/validate/" + w.Mode
}

// Address is where Gatekeeper's providers are.
func (o Options) Address() string {
	if o.URL != "" {
		return o.URL
	}
	return "https://" + o.Host + ":8443"
}
