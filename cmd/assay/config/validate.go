package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// validator checks what the form alone cannot say.
type validator struct {
	*settings.Binder
	c        *Config
	o        Options
	warnings []doubt
	advice   []settings.Problem
}

func (v *validator) problem(path, hint, format string, args ...any) settings.Problem {
	at := v.At[path]
	for p := path; at.Line == 0 && p != ""; { // a key that was not given: the place of what holds it
		i := strings.LastIndexAny(p, ".[")
		if i < 0 {
			break
		}
		p = p[:i]
		at = v.At[p]
	}
	return settings.Problem{Line: at.Line, Column: at.Column, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// fail notes a problem, unless the value could not even be read.
func (v *validator) fail(path, hint, format string, args ...any) {
	if slices.ContainsFunc(v.Problems, func(p settings.Problem) bool { return p.Path == path && path != "" }) {
		return
	}
	v.Problems = append(v.Problems, v.problem(path, hint, format, args...))
}

func (v *validator) warn(path, hint, format string, args ...any) {
	v.warnings = append(v.warnings, doubt{Problem: v.problem(path, hint, format, args...)})
}

// absent warns of a pattern that no authority of the configuration matches, as long as none does that was added at run time.
func (v *validator) absent(pattern, path, hint, format string, args ...any) {
	v.warnings = append(v.warnings, doubt{v.problem(path, hint, format, args...), store.Glob(pattern)})
}

func (v *validator) advise(path, hint, format string, args ...any) {
	v.advice = append(v.advice, v.problem(path, hint, format, args...))
}

func (v *validator) run() {
	v.listen()
	v.auth()
	v.grants()
	v.authorities()
	v.policyAuthorities()
	v.policies()
	v.repositories()
	v.clocks()
	v.waivers()
	v.decisions()
	v.sbom()
	v.vulnerabilities()
	v.verdicts()
	v.notify()
	v.kubernetes()
}

func (v *validator) listen() {
	c := v.c
	v.tls()
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		v.fail("listen", "write HOST:PORT, such as 127.0.0.1:5000", "%q is not an address to listen on", settings.Clip(c.Listen))
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		v.fail("listen", "a port is 0 to 65535, 0 for any free one", "%q is not a port", settings.Clip(port))
	}
	plain := c.TLS.Cert == "" && c.TLS.Key == ""
	switch {
	case plain && !Loopback(host) && c.ListenPlainHTTP != "unsafe":
		v.fail("listen", "set tls.cert and tls.key, or listen on 127.0.0.1; behind a proxy that ends TLS, ask for it by name: listen_plain_http: unsafe",
			"plain HTTP beyond loopback would send passwords and images in the clear")
	case plain && !Loopback(host):
		v.warn("listen_plain_http", "", "plain HTTP is served on %s: only a proxy that ends TLS may reach it", c.Listen)
	case c.ListenPlainHTTP == "unsafe":
		v.warn("listen_plain_http", "remove it", "has no effect here")
	}
}

func (v *validator) tls() {
	c := v.c
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		v.fail("tls", "give both, or neither for plain HTTP on loopback", "cert and key go together")
	}
	v.readable("tls.cert", c.TLS.Cert)
	v.readable("tls.key", c.TLS.Key)
	if c.ExternalURL != "" && !validURL(c.ExternalURL) {
		v.fail("external_url", "write scheme and host and nothing behind them, such as https://registry.example.com", "%q is not such a URL", settings.Clip(c.ExternalURL))
	}
	for i, p := range c.TrustedProxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			v.fail(fmt.Sprintf("trusted_proxies[%d]", i), "write a network such as 10.0.0.0/8, or one address as 10.0.0.7/32", "%q is not a network", settings.Clip(p))
			continue
		}
		if prefix.Bits() == 0 {
			v.fail(fmt.Sprintf("trusted_proxies[%d]", i), "name the proxies' own network", "%q would let everybody claim any address", p)
		}
		c.proxies = append(c.proxies, prefix.Masked())
	}
	if c.Data == "" {
		v.fail("data", "", "is empty")
	}
}

// validURL reports whether s is http(s)://host[:port].
func validURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && hostPattern.MatchString(u.Host) && s == u.Scheme+"://"+u.Host
}

var hostPattern = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*|\[[0-9a-fA-F:.]{2,45}\])(?::[0-9]{1,5})?$`)

// Loopback reports whether host, without its port, is this machine itself.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.Unmap().IsLoopback()
}

// readable reports a file that is named and is not there.
func (v *validator) readable(path, file string) bool {
	if file == "" {
		return true
	}
	info, err := v.o.Stat(file)
	switch {
	case err != nil:
		v.fail(path, "", "%v", err)
	case info.IsDir():
		v.fail(path, "name a file", "%s is a directory", settings.Clip(file))
	default:
		return true
	}
	return false
}

func (v *validator) auth() {
	a := v.c.Auth
	v.readable("auth.htpasswd", a.HTPasswd)
	v.c.anonymous = v.roles("auth.anonymous", a.Anonymous)
	if v.c.anonymous.Has(access.RolePush | access.RoleDelete | access.RoleSign | access.RoleScan) {
		v.warn("auth.anonymous", "grant pull at most", "callers without credentials hold %s on every repository", v.c.anonymous)
	}
	v.within("auth.token_ttl", a.TokenTTL, time.Minute, time.Hour)
}

func (v *validator) within(path string, d settings.Duration, least, most time.Duration) {
	if t := time.Duration(d); t < least || t > most {
		v.fail(path, "", "%s is outside %s to %s", d, settings.Duration(least), settings.Duration(most))
	}
}

func (v *validator) roles(path string, names []string) access.Roles {
	var roles access.Roles
	for i, n := range names {
		role, _ := access.ParseRole(n) // the words were checked when they were read
		if roles.Has(role) && role != 0 {
			v.fail(fmt.Sprintf("%s[%d]", path, i), "remove it", "the role %q is listed twice", n)
		}
		roles |= role
	}
	return roles
}

// namePattern is what users, authorities and policies may be called: it goes into logs, URLs and signed documents.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,126}[A-Za-z0-9])?$`)

// ValidName reports whether s may name a user, an authority or a policy.
func ValidName(s string) bool { return namePattern.MatchString(s) }

func (v *validator) name(path, s string) {
	if s != "" && !ValidName(s) {
		v.fail(path, "use letters, digits, '.', '_', '-' and '@', 128 at most, with a letter or digit at both ends", "%q is not a name", settings.Clip(s))
	}
}

func (v *validator) globs(path string, patterns []string) {
	if len(patterns) == 0 && v.At[path].Line > 0 {
		v.fail(path, `write ["**"] for every repository`, "is empty and would match nothing")
	}
	for i, p := range patterns {
		if _, err := store.ParseGlob(p); err != nil {
			v.fail(fmt.Sprintf("%s[%d]", path, i), `write one such as "acme/**" or "**"`, "%s", message(err))
		}
	}
}

func (v *validator) grants() {
	for i, g := range v.c.Grants {
		path := fmt.Sprintf("grants[%d]", i)
		v.name(path+".who", g.Who)
		v.globs(path+".repositories", g.Repositories)
		if len(g.Roles) == 0 && v.At[path+".roles"].Line > 0 {
			v.fail(path+".roles", "", "is empty and would grant nothing")
		}
		v.c.grants = append(v.c.grants, access.Grant{Who: g.Who, Repositories: Globs(g.Repositories), Roles: v.roles(path+".roles", g.Roles)})
	}
}

func (v *validator) policies() {
	seen := map[string]int{}
	for i, p := range v.c.Policies {
		path := fmt.Sprintf("policies[%d]", i)
		v.name(path+".name", p.Name)
		v.unique(path+".name", p.Name, seen, i)
		v.globs(path+".repositories", p.Repositories)
		v.rego(path+".rego", p.Rego)
		v.supplied(path, p)
		v.ownSource(path, p)
		if p.Mode != "enforce" {
			v.warn(path+".mode", "", "the policy %q refuses nothing in mode %s", p.Name, p.Mode)
		}
	}
	if len(v.c.Policies) == 0 {
		v.warn("policies", "name builtin:open to admit everything", "there is no policy, so that every repository is refused")
	}
}

// rego checks where a policy's rules come from.
func (v *validator) rego(path, from string) {
	if name, ok := strings.CutPrefix(from, Builtin); ok {
		if !slices.Contains(Builtins(), name) {
			hint := "shipped are: " + strings.Join(Builtins(), ", ")
			if n := settings.Nearest(name, Builtins()); n != "" {
				hint = fmt.Sprintf("did you mean %q?", Builtin+n)
			}
			v.fail(path, hint, "there is no shipped policy %q", settings.Clip(name))
		}
	} else if name, ok := strings.CutPrefix(from, FromTUF); ok {
		v.ofKindTUF(path, name)
	} else if strings.HasPrefix(from, FromOCI) {
		if _, _, err := ParseOCI(from); err != nil {
			v.fail(path, "write oci:REPOSITORY:TAG, such as oci:acme/policies:v3", "%s", message(err))
		}
	} else if from != "" {
		if _, err := v.o.Stat(from); err != nil {
			v.fail(path, "name a shipped policy, such as builtin:signed, or a file or directory of Rego", "%v", err)
		}
	}
}

// supplied checks who vouches for rules that come from elsewhere.
func (v *validator) supplied(path string, p Policy) {
	switch {
	case p.ComesAsBundle() && p.BundleKey == "":
		v.fail(path+".bundle_key", "name the PEM file of the public key; a bundle without a signature is taken by asking for it by name: bundle_key: unsigned", "nobody vouches for the bundle")
	case p.ComesAsBundle() && p.BundleKey != Unsigned:
		v.readable(path+".bundle_key", p.BundleKey)
	case !p.ComesAsBundle() && p.BundleKey != "":
		v.fail(path+".bundle_key", "remove it", "only a bundle (NAME.tar.gz) has a key")
	}
	repo, _, err := ParseOCI(p.Rego)
	if !p.ComesFromOCI() || err != nil {
		return
	}
	if len(v.c.PolicyAuthorities) == 0 {
		v.fail(path+".rego", "name the authorities whose signature counts for policies: policy_authorities: [...]", "nobody vouches for policies from this registry")
	} else if !slices.ContainsFunc(v.c.Authorities, func(a Authority) bool {
		return slices.Contains(v.c.PolicyAuthorities, a.Name) && Globs(a.Repositories).Match(repo)
	}) {
		v.fail(path+".rego", "add it to the repositories of one of them", "none of policy_authorities speaks for %s", repo)
	}
	if Globs(p.Repositories).Match(repo) {
		v.warn(path+".repositories", "leave that repository to another policy", "the policies of %s also decide about where they come from: what they refuse cannot bring better ones", repo)
	}
}

func (v *validator) policyAuthorities() {
	for i, name := range v.c.PolicyAuthorities {
		if !slices.ContainsFunc(v.c.Authorities, func(a Authority) bool { return a.Name == name && a.Kind != "tuf" }) {
			v.fail(fmt.Sprintf("policy_authorities[%d]", i), "name one of authorities, other than of kind tuf, whose policies are rego: tuf:NAME", "there is no such authority %q", settings.Clip(name))
		}
	}
}

// ownSource warns where the policies of a TUF repository in this registry decide about that repository itself: while they are absent or have expired, nobody could
// push the metadata that brings them back.
func (v *validator) ownSource(path string, p Policy) {
	authority, ok := strings.CutPrefix(p.Rego, FromTUF)
	for _, a := range v.c.Authorities {
		name, own := strings.CutPrefix(a.Source, "oci:")
		if !ok || !own || a.Name != authority {
			continue
		}
		if repo, err := store.ParseName(name); err == nil && Globs(p.Repositories).Match(repo) {
			v.warn(path+".repositories", "leave that repository to another policy", "the policies of %q also decide about %s, where they come from: once they have expired, only assay trust import brings them back", a.Name, repo)
		}
	}
}

// Builtins are the shipped policies.
func Builtins() []string {
	return []string{"open", "signed", "threshold", "provenance", "attested", "pinned", "baseline", "config", "tags", "sbom", "licences", "vulnerabilities", "age", "cluster"}
}

func (v *validator) unique(path, name string, seen map[string]int, i int) {
	if first, twice := seen[name]; twice && name != "" {
		v.fail(path, "", "the name %q is already that of entry %d", settings.Clip(name), first)
		return
	}
	seen[name] = i
}

func (v *validator) repositories() {
	for i := range v.c.Repositories {
		r := &v.c.Repositories[i]
		path := fmt.Sprintf("repositories[%d]", i)
		if r.Match != "" {
			if _, err := store.ParseGlob(r.Match); err != nil {
				v.fail(path+".match", `write one such as "mirror/**"`, "%s", message(err))
			}
		}
		if r.Evidence != "" {
			if _, err := store.ParseName(r.Evidence); err != nil {
				v.fail(path+".evidence_repository", "write the name of one repository, such as acme/signatures", "%s", message(err))
			}
		}
		field := path + ".sparse.platforms"
		if len(r.Platforms) > 0 || v.At[path+".platforms"].Line > 0 {
			if v.At[path+".sparse"].Line > 0 {
				v.fail(path+".platforms", "keep one of them", "sparse and platforms say the same thing twice")
			}
			field = path + ".platforms"
			r.Sparse = settings.Sparse{Mode: settings.SparsePlatforms, Platforms: r.Platforms}
			r.Platforms = nil
		}
		if r.Sparse.Mode == settings.SparsePlatforms && len(r.Sparse.Platforms) == 0 {
			v.fail(field, "list those that must be there, or write sparse: any", "is empty")
		}
		for j, p := range r.Sparse.Platforms {
			if !platformPattern.MatchString(p) {
				v.fail(fmt.Sprintf("%s[%d]", field, j), "write os/architecture, such as linux/amd64 or linux/arm/v7", "%q is not a platform", settings.Clip(p))
			}
		}
	}
}

var platformPattern = regexp.MustCompile(`^[a-z0-9]{1,32}/[a-z0-9_]{1,32}(?:/[a-z0-9.]{1,32})?$`)

const year = 365 * 24 * time.Hour

func (v *validator) clocks() {
	v.within("quarantine.max", v.c.Quarantine.Max, time.Minute, 10*year)
	v.within("quarantine.grace", v.c.Quarantine.Grace, 0, 10*year)
}

func (v *validator) waivers() {
	v.within("waivers.max", v.c.Waivers.Max, time.Minute, year)
	for i, name := range v.c.Waivers.Authorities {
		path := fmt.Sprintf("waivers.authorities[%d]", i)
		known := slices.IndexFunc(v.c.Authorities, func(a Authority) bool { return a.Name == name })
		switch {
		case name == verify.ReservedAuthority:
			v.fail(path, "name an authority of whoever answers for exceptions", "the registry's own statements waive nothing")
		case slices.Contains(v.c.Waivers.Authorities[:i], name):
			v.fail(path, "remove it", "%q is listed twice", settings.Clip(name))
		case known >= 0 && v.c.Authorities[known].Kind == verify.KindTUF:
			v.fail(path, "name an authority of kind key, sigstore or x509", "%q is a TUF repository, which signs no statements", settings.Clip(name))
		case known < 0:
			v.absent(name, path, "add it to authorities, or with assay trust add", "%q is no authority of this configuration: no waiver of it counts until it is added at run time", settings.Clip(name))
		}
	}
}

func (v *validator) decisions() {
	if v.c.Decisions.Keep == 0 {
		v.warn("decisions.keep", "", "no decision log is kept: nobody will know what was refused to whom")
		return
	}
	v.within("decisions.keep", v.c.Decisions.Keep, time.Hour, 10*year)
	if v.c.Decisions.Size < 16<<20 {
		v.fail("decisions.size", "1GiB is the default", "%s is too little to keep anything in", v.c.Decisions.Size)
	}
}

// namesAuthority reports whether a pattern matches an authority of the configuration.
func (v *validator) namesAuthority(pattern string) bool {
	return slices.ContainsFunc(v.c.Authorities, func(a Authority) bool { return store.Glob(pattern).Match(store.Name(a.Name)) })
}

func (v *validator) sbom() {
	s := v.c.SBOM
	if s.Memory < 64<<20 {
		v.fail("sbom.memory", "512MiB suits most images", "%s is too little to read an image", s.Memory)
	}
	v.within("sbom.timeout", s.Timeout, time.Second, time.Hour)
	if s.Views < 16<<20 {
		v.fail("sbom.views", "4GiB is the default", "%s is too little to keep what is known of layers", s.Views)
	}
	v.within("sbom.on_push_deadline", s.Patience, time.Second, 5*time.Minute)
	if s.OnPush == "wait" && len(s.Formats) == 0 {
		v.warn("sbom.on_push", "list spdx-json in sbom.formats", "pushes wait for SBOMs, and none is made")
	}
	for i, p := range s.Prefer {
		path := fmt.Sprintf("sbom.prefer[%d]", i)
		v.globs(path+".repositories", p.Repositories)
		for j, pattern := range p.Authorities {
			if !ValidName(strings.ReplaceAll(pattern, "*", "x")) {
				v.fail(fmt.Sprintf("%s.authorities[%d]", path, j), `write a name, or a pattern such as "ci-*"`, "%q names no authority", settings.Clip(pattern))
			} else if !v.namesAuthority(pattern) {
				v.absent(pattern, fmt.Sprintf("%s.authorities[%d]", path, j), "", "no authority of this configuration is called %q; one that is added at run time may be", settings.Clip(pattern))
			}
		}
	}
	for i, f := range s.Formats {
		if slices.Contains(s.Formats[:i], f) {
			v.fail(fmt.Sprintf("sbom.formats[%d]", i), "remove it", "%q is listed twice", f)
		}
	}
}
