package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Config is the file, with the defaults filled in. The tags drive the reader and the schema: yaml is the key, doc its description,
// enum its values, need marks a key that must be given.
type Config struct {
	Listen            string          `yaml:"listen" doc:"HOST:PORT to listen on. An empty host listens on every interface."`
	ListenPlainHTTP   string          `yaml:"listen_plain_http" enum:"refuse,unsafe" doc:"Write unsafe to serve plain HTTP beyond loopback, such as behind a proxy that ends TLS."`
	ExternalURL       string          `yaml:"external_url" doc:"Where clients reach the registry, such as https://registry.example.com. Default: as each request came."`
	TrustedProxies    []string        `yaml:"trusted_proxies" doc:"Networks of the proxies whose X-Forwarded-For counts, such as 10.0.0.0/8."`
	Data              string          `yaml:"data" doc:"Directory of everything that is stored. Created with mode 0700."`
	TLS               TLS             `yaml:"tls" doc:"Certificate and key; both empty serves plain HTTP."`
	Auth              Auth            `yaml:"auth" doc:"Who may ask."`
	Grants            []Grant         `yaml:"grants" doc:"Roles by repository."`
	Authorities       []Authority     `yaml:"authorities" doc:"Whom to trust, and for which repositories."`
	Policies          []Policy        `yaml:"policies" doc:"What is admitted. Policies combine by AND; a repository that none matches is refused."`
	PolicyAuthorities []string        `yaml:"policy_authorities" doc:"Names of the authorities whose signature puts policies from this registry (rego: oci:...) into force. They must speak for the repository that holds them."`
	Repositories      []Repository    `yaml:"repositories" doc:"Rules for some repositories; the first match counts."`
	Deletions         string          `yaml:"deletions" enum:"allow,refuse" doc:"Whether clients may delete tags, manifests and blobs: refuse answers every deletion with 405, whoever asks. Rules of repositories go before it."`
	Waivers           Waivers         `yaml:"waivers" doc:"Signed exceptions from policies."`
	Quarantine        Quarantine      `yaml:"quarantine" doc:"How long content waits for its evidence."`
	Refusals          Refusals        `yaml:"refusals" doc:"How a refusal looks."`
	SBOM              SBOM            `yaml:"sbom" doc:"Generated software bills of materials."`
	Vulnerabilities   Vulnerabilities `yaml:"vulnerabilities" doc:"Databases of vulnerabilities, which the packages of all images are matched with."`
	Verdicts          Verdicts        `yaml:"verdicts" doc:"Admissions that the registry attests, so that others need not verify again."`
	Notify            []Notify        `yaml:"notify" doc:"Who is told what happens to images, after it happened."`
	Kubernetes        Kubernetes      `yaml:"kubernetes" doc:"Clusters that ask what may run. Nothing is offered without listen."`
	Decisions         Decisions       `yaml:"decisions" doc:"The log of verdicts and of requests that were refused, chained and signed."`
	Metrics           Metrics         `yaml:"metrics" doc:"The metrics at /metrics, in Prometheus' form."`
	Log               Log             `yaml:"log" doc:"The log on standard error."`

	path      string
	warnings  []doubt
	advice    []settings.Problem
	trust     []verify.Authority
	grants    []access.Grant
	anonymous access.Roles
	proxies   []netip.Prefix
	networks  map[string][]netip.Prefix // of sources, by authority
}

// TLS names the certificate's files.
type TLS struct {
	Cert string `yaml:"cert" doc:"PEM file with the certificate and its chain."`
	Key  string `yaml:"key" doc:"PEM file with the private key."`
}

// Auth says how callers are recognised.
type Auth struct {
	HTPasswd  string            `yaml:"htpasswd" doc:"htpasswd file with bcrypt hashes; reloaded when it changes."`
	Anonymous []string          `yaml:"anonymous" enum:"pull,push,delete,sign,scan" doc:"Roles on every repository for callers without credentials, such as [pull]."`
	TokenTTL  settings.Duration `yaml:"token_ttl" doc:"How long an access token lives."`
}

// Grant gives roles on repositories to a user.
type Grant struct {
	Who          string   `yaml:"who" need:"yes" doc:"User name."`
	Repositories []string `yaml:"repositories" need:"yes" doc:"Patterns: ** for any number of path components, * within one."`
	Roles        []string `yaml:"roles" need:"yes" enum:"pull,push,delete,sign,scan,admin" doc:"What the user may do there."`
}

// Policy binds rules to repositories.
type Policy struct {
	Name         string          `yaml:"name" need:"yes" doc:"Name by which decisions speak of it."`
	Repositories []string        `yaml:"repositories" need:"yes" doc:"Patterns of the repositories for which it counts."`
	Mode         string          `yaml:"mode" enum:"enforce,warn,shadow" doc:"enforce refuses, warn admits with a warning, shadow only records."`
	Rego         string          `yaml:"rego" need:"yes" doc:"builtin:NAME (a shipped policy), tuf:NAME (the policies that an authority of kind tuf publishes), oci:REPOSITORY:TAG (an artifact of this registry, signed by one of policy_authorities), or a file or directory of Rego, or a bundle of Open Policy Agent (NAME.tar.gz)."`
	BundleKey    string          `yaml:"bundle_key" doc:"Of a bundle: PEM file with the public key of its signature; write unsigned to take it as it lies there."`
	Params       settings.Params `yaml:"params" doc:"Parameters of the policy: input.params."`
	Evidence     string          `yaml:"evidence" enum:"after,first" doc:"after quarantines what has no evidence yet; first refuses a push to a tag until evidence is there."`
	Index        string          `yaml:"index" enum:"own,all-children" doc:"own demands evidence on a multi-platform index; all-children accepts it on each child."`
	Tags         string          `yaml:"tags" enum:"promote,strict" doc:"promote serves what was admitted before until the new push is admitted; strict refuses meanwhile."`
}

// Repository is a rule for some repositories.
type Repository struct {
	Match     string          `yaml:"match" need:"yes" doc:"Pattern of the repositories."`
	Sparse    settings.Sparse `yaml:"sparse" doc:"Which platforms of an index may be absent: all requires every one, any requires none, {platforms: [...]} requires those."`
	Platforms []string        `yaml:"platforms" doc:"Short for sparse: {platforms: [...]}."`
	Evidence  string          `yaml:"evidence_repository" doc:"A repository of this registry whose signatures and attestations count for these too, as cosign writes them with COSIGN_REPOSITORY."`
	Deletions string          `yaml:"deletions" enum:"allow,refuse" doc:"Whether clients may delete there. Default: as in the whole registry."`
}

// Quarantine holds the two clocks of semantics.md.
type Quarantine struct {
	Max   settings.Duration `yaml:"max" doc:"How long content may wait for admission before it expires."`
	Grace settings.Duration `yaml:"grace" doc:"How long expired and deleted content can be restored."`
}

// Waivers says who may except from policies, and for how long.
type Waivers struct {
	Authorities []string          `yaml:"authorities" doc:"Names of the authorities whose signed waivers count. Without any, none does."`
	Max         settings.Duration `yaml:"max" doc:"The longest that a waiver may last. One of all codes (break glass) lasts 24h at most."`
}

// Decisions configures the decision log.
type Decisions struct {
	Keep settings.Duration `yaml:"keep" doc:"How long lines are kept; 0 keeps no decision log."`
	Size settings.Size     `yaml:"size" doc:"How many bytes are kept: beyond, the oldest lines go first."`
}

// Refusals says how a refusal looks.
type Refusals struct {
	Head string `yaml:"head" enum:"allow,deny" doc:"allow answers HEAD of quarantined manifests truthfully, so that clients show the reason of the GET; deny is silent."`
}

// SBOM configures the generator.
type SBOM struct {
	Worker   string            `yaml:"worker" doc:"Path of assay-sbom. Default: beside this program, then on PATH."`
	Formats  []string          `yaml:"formats" enum:"spdx-json,cyclonedx-json" doc:"Documents that are attached. An empty list generates nothing."`
	Memory   settings.Size     `yaml:"memory" doc:"Memory limit of the worker."`
	Timeout  settings.Duration `yaml:"timeout" doc:"Time limit per image."`
	Views    settings.Size     `yaml:"views" doc:"Bytes that the views of layers may take, by which an image on known layers costs less. A cache: the least used give way."`
	OnPush   string            `yaml:"on_push" enum:"later,wait" doc:"later answers a push at once and decides when the SBOM is there; wait holds the answer back until then, at most on_push_deadline, and refuses the push of a tag that policies on contents deny."`
	Patience settings.Duration `yaml:"on_push_deadline" doc:"How long on_push: wait waits. What has no answer by then is in quarantine."`
	Prefer   []SBOMPreference  `yaml:"prefer" doc:"Whose SBOMs go before the registry's own, by repository; the first match counts. Where none matches, nobody's do."`
}

// SBOMPreference names the authorities whose SBOMs go before the registry's own.
type SBOMPreference struct {
	Repositories []string `yaml:"repositories" need:"yes" doc:"Patterns of the repositories."`
	Authorities  []string `yaml:"authorities" doc:"Patterns of the authorities' names, the most preferred first. Without any it is nobody's."`
}

// Log configures the log.
type Log struct {
	Level  string `yaml:"level" enum:"debug,info,warn,error" doc:"Least level that is written."`
	Format string `yaml:"format" enum:"text,json" doc:"Form of a line."`
}

// Metrics says who sees the metrics.
type Metrics struct {
	Access string `yaml:"access" enum:"restricted,public" doc:"restricted is for administrators and direct callers on this machine; public is for everybody."`
}

// Default is the configuration of a registry that was given none: loopback, and nothing is pulled that nobody trusted has signed.
func Default() *Config {
	return &Config{
		Listen:          "127.0.0.1:5000",
		ListenPlainHTTP: "refuse",
		Data:            "./data",
		Auth:            Auth{TokenTTL: settings.Duration(5 * time.Minute)},
		Policies:        []Policy{{Name: "signed", Repositories: []string{"**"}, Mode: "enforce", Rego: "builtin:signed", Evidence: "after", Index: "own", Tags: "promote"}},
		Deletions:       "allow",
		Waivers:         Waivers{Max: settings.Duration(waiver.DefaultMax)},
		Quarantine:      Quarantine{Max: settings.Duration(168 * time.Hour), Grace: settings.Duration(720 * time.Hour)},
		Refusals:        Refusals{Head: "allow"},
		SBOM:            SBOM{Formats: []string{"spdx-json", "cyclonedx-json"}, Memory: 512 << 20, Timeout: settings.Duration(60 * time.Second), Views: 4 << 30, OnPush: "later", Patience: settings.Duration(20 * time.Second)},
		Verdicts:        Verdicts{Attest: "asked", Validity: settings.Duration(168 * time.Hour)},
		Kubernetes:      Kubernetes{Unknown: "deny"},
		Decisions:       Decisions{Keep: settings.Duration(2160 * time.Hour), Size: 1 << 30},
		Metrics:         Metrics{Access: "restricted"},
		Log:             Log{Level: "info", Format: "text"},
	}
}

// SetDefaults is what a list's element starts from.
func (p *Policy) SetDefaults() {
	p.Mode, p.Evidence, p.Index, p.Tags = "enforce", "after", "own", "promote"
}

// SetDefaults is what a list's element starts from.
func (r *Repository) SetDefaults() { r.Sparse.Mode = settings.SparseAll }

// WaiverRules are the rules about waivers as the registry uses them.
func (c *Config) WaiverRules() waiverkeep.Rules {
	return waiverkeep.Rules{Authorities: c.Waivers.Authorities, Max: time.Duration(c.Waivers.Max)}
}

// Path is the file that was read; empty if there was none.
func (c *Config) Path() string { return c.path }

// doubt is a warning, which may be about an authority that is not in the configuration.
type doubt struct {
	settings.Problem
	absent store.Glob // its name, or a pattern; empty for all other warnings
}

// Warnings are what is allowed and probably not meant. added are the names of the authorities that were added at run time, where the caller knows them: that the
// configuration does not have them is no matter then.
func (c *Config) Warnings(added ...string) []settings.Problem {
	var list []settings.Problem
	for _, w := range c.warnings {
		if w.absent == "" || !slices.ContainsFunc(added, func(name string) bool { return w.absent.Match(store.Name(name)) }) {
			list = append(list, w.Problem)
		}
	}
	return settings.SortProblems(list)
}

// Advice is what a careful reader would want to know about a configuration that is well meant.
func (c *Config) Advice() []settings.Problem { return c.advice }

// Trust is the authorities with their keys read: Origin is "config".
func (c *Config) Trust() []verify.Authority { return c.trust }

// PolicyGrants are the grants as the registry uses them.
func (c *Config) PolicyGrants() []access.Grant { return c.grants }

// AnonymousRoles are the roles of callers without credentials.
func (c *Config) AnonymousRoles() access.Roles { return c.anonymous }

// Proxies are the networks of trusted_proxies.
func (c *Config) Proxies() []netip.Prefix { return c.proxies }

// SourceNetworks are the private networks in which the source of an authority of kind tuf may be.
func (c *Config) SourceNetworks(authority string) []netip.Prefix { return c.networks[authority] }

// FollowsTUF reports whether a policy comes from a TUF repository.
func (c *Config) FollowsTUF() bool {
	return slices.ContainsFunc(c.Policies, func(p Policy) bool { return strings.HasPrefix(p.Rego, FromTUF) })
}

// ComesFromOCI and ComesAsBundle say where a policy's rules come from.
func (p Policy) ComesFromOCI() bool { return strings.HasPrefix(p.Rego, FromOCI) }

// ComesAsBundle reports whether the rules are a bundle in a file.
func (p Policy) ComesAsBundle() bool { return IsBundle(p.Rego) }

// IsBundle tells a bundle by its name.
func IsBundle(path string) bool {
	return !strings.HasPrefix(path, Builtin) && !strings.HasPrefix(path, FromTUF) && !strings.HasPrefix(path, FromOCI) &&
		(strings.HasSuffix(path, ".tar.gz") || strings.HasSuffix(path, ".tgz"))
}

// ParseOCI reads oci:REPOSITORY:TAG.
func ParseOCI(from string) (store.Name, string, error) {
	rest, _ := strings.CutPrefix(from, FromOCI)
	name, tag, ok := strings.Cut(rest, ":")
	if !ok {
		return "", "", store.Errorf(store.CodeInvalid, "%q names no tag; write oci:REPOSITORY:TAG, such as oci:acme/policies:v3", settings.Clip(from))
	}
	repo, err := store.ParseName(name)
	if err != nil {
		return "", "", err
	}
	ref, err := store.ParseReference(tag)
	if err == nil && ref.Tag == "" {
		err = store.Errorf(store.CodeInvalid, "%q names no tag", settings.Clip(from))
	}
	return repo, ref.Tag, err
}

// Host is the host of external_url, as it stands in image references; empty without one.
func (c *Config) Host() string {
	u, err := url.Parse(c.ExternalURL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Globs converts patterns that were checked at load.
func Globs(patterns []string) store.Globs {
	globs := make(store.Globs, len(patterns))
	for i, p := range patterns {
		globs[i] = store.Glob(p)
	}
	return globs
}
