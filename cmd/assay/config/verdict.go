package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/policy/outbox"
)

// Verdicts say which admissions the registry attests with its own verdict key.
type Verdicts struct {
	Attest   string            `yaml:"attest" enum:"asked,all" doc:"all attests every admission as a SLSA verification summary; asked those whose policies have the obligation emit_vsa."`
	Verifier string            `yaml:"verifier" doc:"URI that summaries name as their verifier. Default: external_url, else one made of the verdict key."`
	Validity settings.Duration `yaml:"validity" doc:"The longest that a summary holds; it is renewed when half of that is over, and withdrawn when the verdict ends."`
	Levels   []VerdictLevel    `yaml:"levels" doc:"Levels of SLSA that provenance verified under an authority stands for."`
}

// VerdictLevel is what provenance of one authority is worth.
type VerdictLevel struct {
	Authority string `yaml:"authority" need:"yes" doc:"Name of the authority of the builder."`
	Level     string `yaml:"level" need:"yes" doc:"Such as SLSA_BUILD_LEVEL_3."`
}

// Notify is somebody who is told what happens to images.
type Notify struct {
	URL          string   `yaml:"url" need:"yes" doc:"Where CloudEvents are posted as JSON. Its path may be a secret: logs, reports and metrics show its host alone."`
	Repositories []string `yaml:"repositories" need:"yes" doc:"Patterns of the repositories that it is told of."`
	Events       []string `yaml:"events" enum:"admitted,quarantined,revoked,expired,deleted,obligation" doc:"What it is told: new states of images, and what a policy asks to be told (the obligation notify)."`
	Networks     []string `yaml:"networks" doc:"Private networks that its host may be in, such as 10.0.0.0/8. Without them it is public, or an address that the URL names itself."`
}

// SetDefaults is what a list's element starts from.
func (n *Notify) SetDefaults() { n.Events = []string{outbox.EventObligation} }

// Limits of what is told to whom.
const (
	maxTargets = 32
	maxURL     = 2048
)

var levelPattern = regexp.MustCompile(`^SLSA_[A-Z]{1,16}_LEVEL_[0-9]$`)

func (v *validator) verdicts() {
	c := v.c.Verdicts
	v.within("verdicts.validity", c.Validity, 2*time.Hour, year)
	if u, err := url.Parse(c.Verifier); c.Verifier != "" && (err != nil || u.Scheme == "" || len(c.Verifier) > maxURL) {
		v.fail("verdicts.verifier", "write one such as https://registry.example.com", "%q is no URI", settings.Clip(c.Verifier))
	}
	for i, l := range c.Levels {
		path := fmt.Sprintf("verdicts.levels[%d]", i)
		if !levelPattern.MatchString(l.Level) {
			v.fail(path+".level", "write one such as SLSA_BUILD_LEVEL_3", "%q is no level of SLSA", settings.Clip(l.Level))
		}
		if !slices.ContainsFunc(v.c.Authorities, func(a Authority) bool { return a.Name == l.Authority }) {
			v.absent(l.Authority, path+".authority", "add it to authorities, or with assay trust add", "%q is no authority of this configuration", settings.Clip(l.Authority))
		}
	}
}

func (v *validator) notify() {
	seen := map[string]int{}
	for i, n := range v.c.Notify {
		path := fmt.Sprintf("notify[%d]", i)
		u, err := url.Parse(n.URL)
		switch {
		case err != nil || u.Scheme != "https" && u.Scheme != "http" || !hostPattern.MatchString(u.Host) || len(n.URL) > maxURL:
			v.fail(path+".url", "write one such as https://hooks.example.com/assay", "this is no URL to post to")
		case u.User != nil:
			v.fail(path+".url", "put what is secret into the path", "a URL with a user name and a password is not posted to")
		case u.Scheme == "http" && !Loopback(u.Hostname()):
			v.warn(path+".url", "use https", "events to %s are sent in the clear", u.Host)
		}
		if first, twice := seen[n.URL]; twice { // said without the address, which may be a secret
			v.fail(path+".url", "keep one of them", "the address is already that of entry %d", first)
		}
		seen[n.URL] = i
		v.globs(path+".repositories", n.Repositories)
		for j, text := range n.Networks {
			if p, err := netip.ParsePrefix(text); err != nil || p.Bits() == 0 {
				v.fail(fmt.Sprintf("%s.networks[%d]", path, j), "write a network such as 10.0.0.0/8", "%q is not a network of its own", settings.Clip(text))
			}
		}
	}
	if len(v.c.Notify) > maxTargets {
		v.fail("notify", "put a distributor in front of them", "has more than %d targets", maxTargets)
	}
}

// NetworksOf are the private networks in which the host of a target may be. They were checked at load.
func (n Notify) NetworksOf() (list []netip.Prefix) {
	for _, text := range n.Networks {
		if p, err := netip.ParsePrefix(text); err == nil {
			list = append(list, p.Masked())
		}
	}
	return list
}

// VerifierOf is the URI by which summaries and events name this registry: what is configured, else external_url, else otherwise.
func (c *Config) VerifierOf(otherwise string) string {
	for _, s := range []string{c.Verdicts.Verifier, strings.TrimSuffix(c.ExternalURL, "/")} {
		if s != "" {
			return s
		}
	}
	return otherwise
}
