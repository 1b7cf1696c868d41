package verify

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
)

// Wants is what a signature must bring along under the authority: its profile, or the default of its kind. Kind sigstore asks for one log entry, one
// trusted time and one certificate timestamp; kind x509 for one trusted time where it has timestamp roots; the others for nothing.
func (a Authority) Wants() Profile {
	switch {
	case a.Profile != nil:
		return *a.Profile
	case a.Kind == KindSigstore:
		return Profile{Tlog: 1, Timestamps: 1, SCT: 1}
	case a.Kind == KindX509 && a.TimestampRoots != "":
		return Profile{Timestamps: 1}
	}
	return Profile{}
}

func (a Authority) bad(format string, args ...any) error {
	return store.Errorf(store.CodeInvalid, "authority %s "+format, append([]any{a.Name}, args...)...)
}

// checkMaterial checks that the kind has what it needs and nothing that it would pass over: what is given and not looked at is taken for protection.
func (a Authority) checkMaterial() error {
	given := map[string]bool{
		"keys": len(a.Keys) > 0, "trusted_root": a.TrustedRoot != "", "roots": a.Roots != "", "timestamp_roots": a.TimestampRoots != "", "crls": a.CRLs != "",
		"identities": len(a.Identities) > 0, "profile": a.Profile != nil, "material": a.Material != "", "tuf": a.TUF != nil,
	}
	var need, may []string
	switch a.Kind {
	case KindKey:
		may = []string{"keys", "trusted_root", "profile", "material"}
	case KindSigstore:
		need, may = []string{"identities"}, []string{"trusted_root", "profile", "material"}
		if a.TrustedRoot == "" && a.Material == "" {
			return a.bad("of kind sigstore has no trusted_root; give the file trusted_root.json of the instance")
		}
	case KindX509:
		need, may = []string{"roots", "identities"}, []string{"timestamp_roots", "crls", "profile", "trusted_root"}
	case KindNotation:
		need, may = []string{"roots", "identities"}, []string{"timestamp_roots", "crls"}
	case KindTUF:
		need = []string{"tuf"}
	}
	for _, what := range need {
		if !given[what] {
			return a.bad("of kind %s has no %s, which it needs", a.Kind, what)
		}
	}
	for _, what := range []string{"keys", "trusted_root", "roots", "timestamp_roots", "crls", "identities", "profile", "material", "tuf"} {
		if given[what] && !slices.Contains(need, what) && !slices.Contains(may, what) {
			return a.bad("of kind %s has %s, which that kind does not look at; remove it", a.Kind, what)
		}
	}
	for what, text := range map[string]string{"trusted_root": a.TrustedRoot, "roots": a.Roots, "timestamp_roots": a.TimestampRoots, "crls": a.CRLs} {
		if len(text) > MaxTrustedRoot {
			return a.bad("has %s of more than %d KiB", what, MaxTrustedRoot>>10)
		}
	}
	for _, check := range []func() error{a.checkIdentities, a.checkProfile, a.checkRevoked, a.checkTUF, a.checkAttests} {
		if err := check(); err != nil {
			return err
		}
	}
	if a.Kind == KindKey {
		return a.checkKeys()
	}
	return nil
}

func (a Authority) checkIdentities() error {
	if len(a.Identities) > MaxIdentities {
		return a.bad("has %d identities; at most %d are taken", len(a.Identities), MaxIdentities)
	}
	for n, i := range a.Identities {
		if _, err := i.Compile(); err != nil {
			return store.Errorf(store.CodeInvalid, "identity %d of authority %s: %s", n+1, a.Name, sentence(err))
		}
		noSubject, noIssuer := i.Subject == "" && i.SubjectRegexp == "", i.Issuer == "" && i.IssuerRegexp == ""
		switch {
		case noSubject:
			return store.Errorf(store.CodeInvalid, "identity %d of authority %s has no subject; say who may sign, not only who vouches for them", n+1, a.Name)
		case noIssuer && a.Kind == KindSigstore:
			return store.Errorf(store.CodeInvalid, "identity %d of authority %s has no issuer; without it, any identity provider could name that subject", n+1, a.Name)
		case !noIssuer && a.Kind != KindSigstore:
			return store.Errorf(store.CodeInvalid, "identity %d of authority %s has an issuer, which kind %s does not look at; the roots say who may issue", n+1, a.Name, a.Kind)
		}
	}
	return nil
}

func (a Authority) checkProfile() error {
	p := a.Wants()
	for _, n := range []int{p.Tlog, p.Timestamps, p.SCT} {
		if n < 0 || n > MaxProfile {
			return a.bad("asks for %d of one thing in its profile; 0 to %d can be had", n, MaxProfile)
		}
	}
	switch {
	case a.Kind == KindSigstore && p.Tlog == 0 && p.Timestamps == 0:
		return a.bad("asks for no trusted time: a certificate that lives for minutes would never count; ask for timestamps or a log entry in its profile")
	case a.Kind == KindKey && p.SCT > 0, a.Kind == KindX509 && p.SCT > 0:
		return a.bad("asks for certificate timestamps (sct), which only Fulcio certificates carry")
	case a.Kind != KindSigstore && p.Tlog > 0 && a.TrustedRoot == "" && a.Material == "":
		return a.bad("asks for log entries without saying which logs to trust; give trusted_root")
	case a.Kind == KindKey && p.Timestamps > 0 && a.TrustedRoot == "" && a.Material == "":
		return a.bad("asks for timestamps without saying whose to trust; give trusted_root")
	case a.Kind == KindX509 && p.Timestamps > 0 && a.TimestampRoots == "" && a.TrustedRoot == "":
		return a.bad("asks for timestamps without saying whose to trust; give timestamp_roots")
	}
	return nil
}

func (a Authority) checkRevoked() error {
	r := a.Revoked
	if n := max(len(r.Keys), len(r.Serials), len(r.Identities), len(r.LogIndexes)); n > MaxRevoked {
		return a.bad("has %d revoked entries of one kind; at most %d are taken", n, MaxRevoked)
	}
	for _, s := range r.Serials {
		if s == "" || strings.Trim(s, "0123456789abcdef") != "" || len(s) > 64 || s[0] == '0' && s != "0" {
			return a.bad("lists the revoked serial %q; write it in lower-case hexadecimal without colons and leading zeros", cut(s, 80))
		}
	}
	return nil
}

// MinRefresh is how often a TUF source may be asked at most.
const MinRefresh = time.Second

func (a Authority) checkTUF() error {
	t := a.TUF
	if t == nil {
		return nil
	}
	scheme, rest, _ := strings.Cut(t.Source, ":")
	switch {
	case len(t.Root) == 0 || len(t.Root) > MaxTrustedRoot:
		return a.bad("of kind tuf needs a root.json of at most %d KiB", MaxTrustedRoot>>10)
	case !slices.Contains([]string{"http", "https", "dir", "tar", "oci"}, scheme) || rest == "" || len(t.Source) > MaxPattern:
		return a.bad("has the TUF source %q; write https://..., dir:PATH, tar:PATH or oci:REPOSITORY", cut(t.Source, 80))
	case t.Refresh < MinRefresh && scheme != "tar":
		return a.bad("asks its TUF source every %s; at least %s lie between two questions", t.Refresh, MinRefresh)
	case t.Expired != "" && t.Expired != "refuse" && t.Expired != "warn":
		return a.bad("has %q for expired TUF metadata; use refuse or warn", cut(t.Expired, 40))
	}
	return nil
}

func (a Authority) identityRevisions() []string {
	var all []string
	for _, i := range a.Identities {
		all = append(all, hashLists([]string{i.Issuer, i.IssuerRegexp, i.Subject, i.SubjectRegexp}))
	}
	slices.Sort(all)
	return all
}

func (p Profile) revision() []string {
	return []string{strconv.Itoa(p.Tlog), strconv.Itoa(p.Timestamps), strconv.Itoa(p.SCT)}
}

func (r Revoked) revision() []string {
	indexes := make([]string, len(r.LogIndexes))
	for i, n := range r.LogIndexes {
		indexes[i] = strconv.FormatInt(n, 10)
	}
	return []string{sortedHash(r.Keys), sortedHash(r.Serials), sortedHash(r.Identities), sortedHash(indexes)}
}

func sortedHash(list []string) string {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return hashLists(slices.Compact(sorted))
}

func (t *TUF) revision() []string {
	if t == nil {
		return nil
	}
	return []string{t.Root, t.Source, t.Expired}
}
