package config

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/settings"
)

// Kubernetes says how clusters ask about images: see server/kubernetes.
type Kubernetes struct {
	Listen        string   `yaml:"listen" doc:"HOST:PORT of the webhooks: a listener of their own, with TLS under a CA that the registry makes. Empty: none."`
	Names         []string `yaml:"names" doc:"DNS names and addresses under which clusters reach the webhooks, such as assay.assay.svc: what the certificate is for."`
	RegistryHosts []string `yaml:"registry_hosts" doc:"HOST[:PORT] by which clusters pull from this registry, as image references have it. That of external_url is one of them."`
	Unknown       string   `yaml:"unknown" enum:"deny,warn,allow" doc:"What follows for an image of another registry. Policies with rules at the entry point k8s may refuse more."`
	ClientCA      string   `yaml:"client_ca" doc:"PEM file with the CAs of the clients that may ask. Empty: whoever can connect."`
}

// maxHosts bounds names and hosts: they stand in a certificate, and are compared for each image.
const maxHosts = 100

func (v *validator) kubernetes() {
	k := v.c.Kubernetes
	for i, host := range k.RegistryHosts {
		if !hostPattern.MatchString(host) {
			v.fail(fmt.Sprintf("kubernetes.registry_hosts[%d]", i), "write HOST or HOST:PORT, as images have it before the first slash", "%q is no registry's host", settings.Clip(host))
		}
	}
	for i, name := range k.Names {
		if _, err := netip.ParseAddr(name); err != nil && (!hostPattern.MatchString(name) || strings.ContainsAny(name, ":[")) {
			v.fail(fmt.Sprintf("kubernetes.names[%d]", i), "write a DNS name or an address, without a port", "%q is no name for a certificate", settings.Clip(name))
		}
		if slices.Contains(k.Names[:i], name) {
			v.fail(fmt.Sprintf("kubernetes.names[%d]", i), "remove it", "%q is listed twice", settings.Clip(name))
		}
	}
	if len(k.RegistryHosts) > maxHosts || len(k.Names) > maxHosts {
		v.fail("kubernetes", "", "has more than %d names", maxHosts)
	}
	v.clientCA(k.ClientCA)
	if k.Listen == "" {
		if len(k.Names) > 0 || k.ClientCA != "" {
			v.fail("kubernetes", "name HOST:PORT in kubernetes.listen", "names and client_ca have no effect without listen")
		}
		return
	}
	_, port, err := net.SplitHostPort(k.Listen)
	if n, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || strconv.FormatUint(n, 10) != port {
		v.fail("kubernetes.listen", "write HOST:PORT, such as 0.0.0.0:8443", "%q is not an address to listen on", settings.Clip(k.Listen))
	}
	if len(k.Names) == 0 {
		v.fail("kubernetes.names", "write the service's name, such as [assay.assay.svc]", "is empty, and a certificate for nothing is accepted by no cluster")
	}
	if len(k.RegistryHosts) == 0 && v.c.ExternalURL == "" {
		v.fail("kubernetes.registry_hosts", "name the host by which clusters pull, or set external_url", "is empty, so that every image would be one of another registry")
	}
	if k.Unknown == "allow" {
		v.advise("kubernetes.unknown", "write deny or warn, or refuse them by a policy with rules at the entry point k8s", "images of other registries run without a word")
	}
}

func (v *validator) clientCA(file string) {
	if !v.readable("kubernetes.client_ca", file) || file == "" {
		return
	}
	text, err := v.o.ReadFile(file)
	if err == nil && (len(text) > settings.MaxFile || !x509.NewCertPool().AppendCertsFromPEM(text)) {
		err = fmt.Errorf("%s has no certificate in PEM", settings.Clip(file))
	}
	if err != nil {
		v.fail("kubernetes.client_ca", "", "%v", err)
	}
}
