package kubernetescmd

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/webhooktls"
	"github.com/assay-registry/assay/deploy"
	"github.com/spf13/cobra"
)

// Command is assay kubernetes.
func Command(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "kubernetes", Aliases: []string{"k8s"}, Short: "Let clusters ask what may run",
		Long: `Let clusters ask what may run. The webhooks listen where kubernetes.listen in the
configuration says, with a certificate under a CA that the registry makes for this alone.
These commands read the data directory, beside the server or without one.`})
	c.AddCommand(kubernetesCA(a), kubernetesManifests(a), kubernetesRotate(a))
	return c
}

// withWebhookKeys gives a command the directory of the keys of a registry whose webhooks are configured.
func withWebhookKeys(a *cli.App, c *cobra.Command, run func(keys string, cfg *config.Config) error) *cobra.Command {
	var p place.Flags
	c.Args = cli.Exactly()
	c.RunE = func(*cobra.Command, []string) error {
		cfg, err := place.Load(a, p)
		if err != nil {
			return err
		}
		if cfg.Kubernetes.Listen == "" {
			return errors.New("no cluster can ask this registry: name HOST:PORT as kubernetes.listen in the configuration, and --config")
		}
		return run(filepath.Join(cfg.Data, "keys"), cfg)
	}
	c.Flags().StringVar(&p.Data, "data", "", "directory of everything that is stored (ASSAY_DATA; default ./data)")
	return place.WithFlags(a, c, &p)
}

// bundle is what clusters are told to trust. Where there is nothing yet it is made, unless a server holds the directory.
func bundle(a *cli.App, keys string) ([]byte, error) {
	bundle, err := webhooktls.Bundle(keys)
	if !errors.Is(err, fs.ErrNotExist) {
		return bundle, err
	}
	dir, err := place.OpenDirectory(filepath.Dir(keys), true)
	if err != nil {
		return nil, fmt.Errorf("the registry has no CA for its webhooks yet: start it with kubernetes.listen, or run this while it is stopped: %w", err)
	}
	defer func() { _ = dir.Release() }()
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return nil, err
	}
	if _, err := webhooktls.OpenCA(a, keys); err != nil {
		return nil, err
	}
	return webhooktls.Bundle(keys)
}

func kubernetesCA(a *cli.App) *cobra.Command {
	return a.WithOutput(withWebhookKeys(a, &cobra.Command{
		Use: "ca", Short: "Print the CA of the webhooks, in PEM and as caBundle",
	}, func(keys string, _ *config.Config) error {
		bundle, err := bundle(a, keys)
		if err != nil {
			return err
		}
		text := base64.StdEncoding.EncodeToString(bundle)
		return a.PrintValue(map[string]string{"pem": string(bundle), "ca_bundle": text}, func() error {
			return a.Say("%scaBundle: %s", bundle, text)
		})
	}))
}

func kubernetesManifests(a *cli.App) *cobra.Command {
	var o deploy.Options
	c := withWebhookKeys(a, &cobra.Command{
		Use: "manifests", Short: "Print the configuration of the cluster's webhooks, with the CA filled in",
		Long: `Print the configuration of the cluster's webhooks, with the CA filled in, for
kubectl apply -f -. Namespaces choose by their label assay.dev/mode: enforce refuses,
warn tells the person, audit leaves a mark in the audit log. With --url the API server asks
that address instead of the service "assay" in --namespace.`,
	}, func(keys string, cfg *config.Config) error {
		bundle, err := bundle(a, keys)
		if err != nil {
			return err
		}
		o.CABundle = base64.StdEncoding.EncodeToString(bundle)
		if o.Host, err = clusterHost(o.URL, o.Namespace); err != nil {
			return err
		}
		if !certified(o.Host, cfg.Kubernetes.Names) {
			fmt.Fprintf(a.Stderr, "assay: the certificate is not for %s; add it to kubernetes.names\n", o.Host)
		}
		text, err := deploy.Webhooks(o)
		if err != nil {
			return err
		}
		_, err = a.Stdout.Write(text)
		return err
	})
	c.Flags().StringVar(&o.Namespace, "namespace", "assay", "namespace of the service \"assay\" that leads to the webhooks")
	c.Flags().StringVar(&o.URL, "url", "", "https://HOST:PORT of the webhooks, where no service leads to them")
	c.Flags().BoolVar(&o.Gatekeeper, "gatekeeper", false, "print Gatekeeper's providers, constraint template and mutation instead")
	return c
}

// clusterHost is the name under which the cluster reaches the webhooks.
func clusterHost(url, namespace string) (string, error) {
	if url == "" {
		if !dnsLabel(namespace) {
			return "", cli.Usage("%q is no namespace", namespace)
		}
		return "assay." + namespace + ".svc", nil
	}
	rest, ok := strings.CutPrefix(url, "https://")
	host, _, err := net.SplitHostPort(rest)
	if err != nil {
		host = rest
	}
	if !ok || host == "" || strings.ContainsAny(rest, "/\"' \n") {
		return "", cli.Usage("%q is not https://HOST:PORT", url)
	}
	return host, nil
}

// dnsLabel is the name of a namespace (RFC 1123).
func dnsLabel(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && s[0] != '-' && s[len(s)-1] != '-'
}

func certified(host string, names []string) bool {
	for _, n := range names {
		if strings.EqualFold(n, host) {
			return true
		}
	}
	return false
}

func kubernetesRotate(a *cli.App) *cobra.Command {
	return withWebhookKeys(a, &cobra.Command{
		Use: "rotate", Short: "Replace the CA of the webhooks, in two steps",
		Long: `Replace the CA of the webhooks, in two steps, so that no question fails between them.
The first makes a new CA, which signs nothing yet: apply the manifests again, which trust both.
The second puts it into force: then let the server reload (SIGHUP), and apply the manifests
once more, which trust the new one alone, and the one before for as long as the server serves
under that. assay doctor says 90 days ahead that a CA ends.`,
	}, func(keys string, _ *config.Config) error {
		inForce, err := webhooktls.RotateCA(a, keys)
		if err != nil {
			return err
		}
		if inForce {
			return a.Say("the new CA is in force: send the server SIGHUP, then apply assay kubernetes manifests again")
		}
		return a.Say("a new CA is ready: apply assay kubernetes manifests, which trusts both, and run this again")
	})
}
