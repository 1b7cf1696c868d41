package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

func (v *validator) authorities() {
	seen := map[string]int{}
	for i := range v.c.Authorities {
		a := &v.c.Authorities[i]
		path := fmt.Sprintf("authorities[%d]", i)
		v.unique(path+".name", a.Name, seen, i)
		if a.Name == verify.ReservedAuthority {
			v.fail(path+".name", "choose another", "the name %q is the registry's own", a.Name)
		}
		v.globs(path+".repositories", a.Repositories)
		if len(a.PromoteFrom) > 0 {
			v.globs(path+".promote_from", a.PromoteFrom)
		}
		v.foreignKeys(path, a)
		authority := verify.Authority{Name: a.Name, Kind: a.Kind, Repositories: Globs(a.Repositories), Binding: a.Binding, PromoteFrom: Globs(a.PromoteFrom), Attests: a.Attests, Origin: "config"}
		v.material(path, a, &authority)
		v.identities(path, a, &authority)
		v.tuf(path, a, &authority)
		v.profile(a, &authority)
		v.revoked(path+".revoked", &a.Revoked, &authority.Revoked)
		v.spans(path, a)
		v.usable(path, authority)
		v.c.trust = append(v.c.trust, authority)
	}
}

// usable asks what the form alone cannot say, where the form is right.
func (v *validator) usable(path string, authority verify.Authority) {
	if v.failedUnder(path) {
		return
	}
	if err := authority.Validate(); err != nil {
		v.fail(path, "", "%s", message(err))
		return
	}
	if v.o.Check != nil {
		if err := v.o.Check(authority); err != nil {
			v.fail(path, "", "%s", message(err))
		}
	}
}

// failedUnder reports whether something at path or below is known to be wrong.
func (v *validator) failedUnder(path string) bool {
	for _, p := range v.Problems {
		if rest, ok := strings.CutPrefix(p.Path, path); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// ofKindTUF refuses a name that is not that of an authority of kind tuf.
func (v *validator) ofKindTUF(path, name string) {
	var names []string
	for _, a := range v.c.Authorities {
		if a.Kind == verify.KindTUF {
			names = append(names, a.Name)
		}
	}
	if slices.Contains(names, name) {
		return
	}
	hint := "add an authority of kind tuf"
	if n := settings.Nearest(name, names); n != "" {
		hint = fmt.Sprintf("did you mean %q?", n)
	} else if len(names) > 0 {
		hint = "there are: " + strings.Join(names, ", ")
	}
	v.fail(path, hint, "there is no authority %q of kind tuf", settings.Clip(name))
}

// The defaults of kind tuf.
const (
	defaultRefresh = 10 * time.Minute
	defaultExpired = "refuse"
)

func (v *validator) tuf(path string, a *Authority, authority *verify.Authority) {
	if a.TUF != "" {
		v.ofKindTUF(path+".tuf", a.TUF)
		authority.Material = a.TUF
	}
	if a.Kind != verify.KindTUF {
		return
	}
	if a.Refresh == 0 {
		a.Refresh = settings.Duration(defaultRefresh)
	}
	if a.Expired == "" {
		a.Expired = defaultExpired
	}
	v.source(path+".source", a.Source)
	v.sourceNetworks(path+".source_networks", a)
	v.within(path+".refresh", a.Refresh, verify.MinRefresh, 24*time.Hour)
	authority.TUF = &verify.TUF{Root: v.fileText(path+".root", a.Root), Source: a.Source, Refresh: time.Duration(a.Refresh), Expired: a.Expired}
}

func (v *validator) source(path, source string) {
	const hint = "write https://HOST/PATH, dir:PATH, tar:PATH, or oci:REPOSITORY of this registry"
	scheme, rest, _ := strings.Cut(source, ":")
	switch scheme {
	case "http", "https":
		u, err := url.Parse(source)
		switch {
		case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
			v.fail(path, hint, "%q is not the URL of a TUF repository", settings.Clip(source))
		case u.User != nil:
			v.fail(path, "serve the metadata, which is signed, without a password", "a URL with a name or a password is not taken: the configuration holds no secrets")
		case scheme == "http" && !Loopback(u.Hostname()):
			v.warn(path, "use https", "the metadata comes without TLS: it is signed, but whoever is on the way can hold it back until it expires")
		}
	case "dir", "tar":
		if rest == "" {
			v.fail(path, hint, "names no %s", map[string]string{"dir": "directory", "tar": "file"}[scheme])
		}
	case "oci":
		if _, err := store.ParseName(rest); err != nil {
			v.fail(path, "name a repository of this registry, such as oci:acme/tuf", "%s", message(err))
		}
	case "":
		v.fail(path, hint, "has no source")
	default:
		v.fail(path, hint, "%q is no source of TUF metadata", settings.Clip(source))
	}
}

// sourceNetworks reads the private networks in which the host of a source may be.
func (v *validator) sourceNetworks(path string, a *Authority) {
	if len(a.Networks) > 0 && !strings.HasPrefix(a.Source, "http:") && !strings.HasPrefix(a.Source, "https:") {
		v.fail(path, "remove it", "has no meaning for a source that is no URL")
	}
	for i, p := range a.Networks {
		prefix, err := netip.ParsePrefix(p)
		switch {
		case err != nil:
			v.fail(fmt.Sprintf("%s[%d]", path, i), "write a network such as 10.0.0.0/8, or one address as 10.0.0.7/32", "%q is not a network", settings.Clip(p))
		case prefix.Bits() == 0:
			v.fail(fmt.Sprintf("%s[%d]", path, i), "name the network of the source", "%q would let the source lead anywhere", p)
		default:
			if v.c.networks == nil {
				v.c.networks = map[string][]netip.Prefix{}
			}
			v.c.networks[a.Name] = append(v.c.networks[a.Name], prefix.Masked())
		}
	}
}

// profile fills what was not given with the kind's default. A profile that says what is the default anyway is no difference.
func (v *validator) profile(a *Authority, authority *verify.Authority) {
	p := &a.Profile
	given := p.Tlog.Given || p.Timestamps.Given || p.SCT.Given
	wants := authority.Wants()
	if !given && wants == (verify.Profile{}) {
		return
	}
	for _, c := range []struct {
		count *settings.Count
		want  int
	}{{&p.Tlog, wants.Tlog}, {&p.Timestamps, wants.Timestamps}, {&p.SCT, wants.SCT}} {
		if !c.count.Given {
			*c.count = settings.Count{N: c.want, Given: true}
		}
	}
	if asked := (verify.Profile{Tlog: p.Tlog.N, Timestamps: p.Timestamps.N, SCT: p.SCT.N}); asked != wants {
		authority.Profile = &asked
	}
}

func (v *validator) revoked(path string, r *Revoked, out *verify.Revoked) {
	for i, id := range r.Keys {
		if !ValidKeyID(id) {
			v.fail(fmt.Sprintf("%s.keys[%d]", path, i), "assay trust list --wide shows the IDs", "%q is not the ID of a key: sha256: and 64 hexadecimal digits", settings.Clip(id))
		}
	}
	for i := range r.Serials {
		serial, ok := Serial(r.Serials[i])
		if !ok {
			v.fail(fmt.Sprintf("%s.serials[%d]", path, i), "openssl x509 -serial shows it", "%q is not a serial number in hexadecimal", settings.Clip(r.Serials[i]))
			continue
		}
		r.Serials[i] = serial
	}
	for i, s := range r.Identities {
		if s == "" || len(s) > verify.MaxPattern {
			v.fail(fmt.Sprintf("%s.identities[%d]", path, i), "write the whole subject", "an identity has 1 to %d bytes", verify.MaxPattern)
		}
	}
	out.Keys, out.Serials, out.Identities = r.Keys, r.Serials, r.Identities
	for _, n := range r.LogIndexes {
		out.LogIndexes = append(out.LogIndexes, int64(n))
	}
}

// ValidKeyID reports whether s has the form of a key's ID.
func ValidKeyID(s string) bool {
	digits, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(digits) == 64 && strings.Trim(digits, "0123456789abcdef") == ""
}

// Serial is a certificate's serial number in normal form: lower-case hexadecimal without colons and leading zeros. It reads what openssl and
// browsers write.
func Serial(s string) (string, bool) {
	s = strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(s))
	if s == "" || len(s) > 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return "", false
	}
	if s = strings.TrimLeft(s, "0"); s == "" {
		s = "0"
	}
	return s, true
}

// spans warns where a signature that names no repository would count in several.
func (v *validator) spans(path string, a *Authority) {
	wide := len(a.Repositories) > 1
	for _, p := range a.Repositories {
		wide = wide || strings.Contains(p, "*")
	}
	if wide && a.Kind != verify.KindTUF { // a target names its repository
		v.advise(path+".repositories", "split it by repository if that matters",
			"the authority %q speaks for several repositories: a signature of a format that names no repository (a sigstore bundle) counts in all of them", a.Name)
	}
	if a.Binding == verify.BindingNone {
		v.warn(path+".binding", "", "a signature by %q made for one repository counts in every repository of the authority", a.Name)
	}
}

// message is an error's sentence without its code.
func message(err error) string {
	if e, ok := err.(*store.Error); ok {
		return e.Message
	}
	return err.Error()
}
