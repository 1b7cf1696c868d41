package verify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

// authorities is one good authority of each kind.
func authorities(t testing.TB) map[string]Authority {
	where := store.Globs{"acme/**"}
	return map[string]Authority{
		KindKey: goodAuthority(t),
		KindSigstore: {Name: "github", Kind: KindSigstore, TrustedRoot: "{}", Repositories: where,
			Identities: []Identity{{Issuer: "https://issuer.example", Subject: "https://github.com/acme/**"}}},
		KindX509:     {Name: "corporate", Kind: KindX509, Roots: "PEM", Identities: []Identity{{Subject: "CN=release,O=Acme"}}, Repositories: where},
		KindNotation: {Name: "notary", Kind: KindNotation, Roots: "PEM", Identities: []Identity{{Subject: "CN=wabbit,O=Acme"}}, Repositories: where},
		KindTUF:      {Name: "acme-tuf", Kind: KindTUF, TUF: &TUF{Root: "{}", Source: "https://tuf.example", Refresh: time.Minute}, Repositories: where},
	}
}

func TestMaterial(t *testing.T) {
	type change = func(*Authority)
	for _, c := range []struct {
		kind, name string
		change     change
		says       string
	}{
		{KindSigstore, "no identity", func(a *Authority) { a.Identities = nil }, "has no identities"},
		{KindSigstore, "no root", func(a *Authority) { a.TrustedRoot = "" }, "has no trusted_root"},
		{KindSigstore, "root from TUF", func(a *Authority) { a.TrustedRoot, a.Material = "", "acme-tuf" }, ""},
		{KindSigstore, "identity without issuer", func(a *Authority) { a.Identities[0].Issuer = "" }, "has no issuer"},
		{KindSigstore, "identity without subject", func(a *Authority) { a.Identities[0].Subject = "" }, "has no subject"},
		{KindSigstore, "pattern for anybody", func(a *Authority) { a.Identities[0].Subject = "**" }, "identity 1 of authority github: the subject \"**\" matches anybody"},
		{KindSigstore, "keys", func(a *Authority) { a.Keys = []Key{goodKey(t, "a")} }, "has keys, which that kind does not look at"},
		{KindSigstore, "no time at all", func(a *Authority) { a.Profile = &Profile{SCT: 1} }, "asks for no trusted time"},
		{KindSigstore, "timestamps alone", func(a *Authority) { a.Profile = &Profile{Timestamps: 1} }, ""},
		{KindSigstore, "too much", func(a *Authority) { a.Profile = &Profile{Tlog: MaxProfile + 1} }, "asks for 9 of one thing"},
		{KindSigstore, "less than nothing", func(a *Authority) { a.Profile = &Profile{Timestamps: -1, Tlog: 1} }, "asks for -1 of one thing"},
		{KindSigstore, "root too big", func(a *Authority) { a.TrustedRoot = strings.Repeat("x", MaxTrustedRoot+1) }, "more than 1024 KiB"},
		{KindSigstore, "too many identities", func(a *Authority) { a.Identities = slices.Repeat(a.Identities, MaxIdentities+1) }, "has 257 identities"},

		{KindX509, "no roots", func(a *Authority) { a.Roots = "" }, "has no roots"},
		{KindX509, "no identity", func(a *Authority) { a.Identities = nil }, "has no identities"},
		{KindX509, "an issuer", func(a *Authority) { a.Identities[0].Issuer = "x" }, "has an issuer, which kind x509 does not look at"},
		{KindX509, "a trusted root and a log", func(a *Authority) { a.TrustedRoot, a.Profile = "{}", &Profile{Tlog: 1} }, ""},
		{KindX509, "a log of nobody", func(a *Authority) { a.Profile = &Profile{Tlog: 1} }, "which logs to trust"},
		{KindX509, "a timestamp of nobody", func(a *Authority) { a.Profile = &Profile{Timestamps: 1} }, "give timestamp_roots"},
		{KindX509, "certificate timestamps", func(a *Authority) { a.Profile = &Profile{SCT: 1} }, "which only Fulcio certificates carry"},

		{KindNotation, "no roots", func(a *Authority) { a.Roots = "" }, "has no roots"},
		{KindNotation, "no identity", func(a *Authority) { a.Identities = nil }, "has no identities"},
		{KindNotation, "everything", func(a *Authority) { a.TimestampRoots, a.CRLs = "PEM", "PEM" }, ""},
		{KindNotation, "lists too big", func(a *Authority) { a.CRLs = strings.Repeat("x", MaxTrustedRoot+1) }, "has crls of more than 1024 KiB"},
		{KindNotation, "a trusted root", func(a *Authority) { a.TrustedRoot = "{}" }, "has trusted_root, which that kind does not look at"},
		{KindNotation, "a profile", func(a *Authority) { a.Profile = &Profile{} }, "has profile, which that kind does not look at"},
		{KindNotation, "material", func(a *Authority) { a.Material = "acme-tuf" }, "has material, which that kind does not look at"},

		{KindKey, "identities", func(a *Authority) { a.Identities = []Identity{{Subject: "x"}} }, "has identities, which that kind does not look at"},
		{KindKey, "roots", func(a *Authority) { a.Roots = "PEM" }, "has roots, which that kind does not look at"},
		{KindKey, "keys from TUF", func(a *Authority) { a.Keys, a.Material = nil, "acme-tuf" }, ""},
		{KindKey, "a log of nobody", func(a *Authority) { a.Profile = &Profile{Tlog: 1} }, "which logs to trust"},
		{KindKey, "a timestamp of nobody", func(a *Authority) { a.Profile = &Profile{Timestamps: 1} }, "give trusted_root"},
		{KindKey, "a log", func(a *Authority) { a.TrustedRoot, a.Profile = "{}", &Profile{Tlog: 1} }, ""},

		{KindNotation, "revoked", func(a *Authority) {
			a.Revoked = Revoked{Serials: []string{"0", "beef"}, Keys: []string{"k"}, Identities: []string{"i"}, LogIndexes: []int64{7}}
		}, ""},
		{KindNotation, "serial in capitals", func(a *Authority) { a.Revoked.Serials = []string{"BEEF"} }, "lower-case hexadecimal"},
		{KindNotation, "serial with colons", func(a *Authority) { a.Revoked.Serials = []string{"be:ef"} }, "lower-case hexadecimal"},
		{KindNotation, "serial with zeros", func(a *Authority) { a.Revoked.Serials = []string{"0beef"} }, "lower-case hexadecimal"},
		{KindNotation, "serial empty", func(a *Authority) { a.Revoked.Serials = []string{""} }, "lower-case hexadecimal"},
		{KindNotation, "too many revoked", func(a *Authority) { a.Revoked.Identities = make([]string, MaxRevoked+1) }, "has 4097 revoked entries"},
	} {
		t.Run(c.kind+" "+c.name, func(t *testing.T) {
			a := authorities(t)[c.kind]
			c.change(&a)
			err := a.Validate()
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), a.Name) {
				t.Fatalf("got %v", err)
			}
		})
	}
	for kind, a := range authorities(t) {
		if err := a.Validate(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// What a kind asks for unless told otherwise.
func TestWants(t *testing.T) {
	all := authorities(t)
	stamped := all[KindX509]
	stamped.TimestampRoots = "PEM"
	told := all[KindSigstore]
	told.Profile = &Profile{Timestamps: 2}
	for want, a := range map[Profile]Authority{{Tlog: 1, Timestamps: 1, SCT: 1}: all[KindSigstore], {Timestamps: 1}: stamped, {Timestamps: 2}: told} {
		if a.Wants() != want {
			t.Errorf("%s wants %+v", a.Name, a.Wants())
		}
	}
	for _, kind := range []string{KindKey, KindX509, KindNotation, KindTUF} {
		if got := all[kind].Wants(); got != (Profile{}) {
			t.Errorf("%s wants %+v", kind, got)
		}
	}
}

// Everything that a fact depends on is in the revision, and nothing else: order and origin are not.
func TestRevisionOfMaterial(t *testing.T) {
	base := func() Authority {
		a := authorities(t)[KindNotation]
		a.Identities = []Identity{{Subject: "a"}, {Subject: "b"}}
		a.Revoked = Revoked{Serials: []string{"1", "2"}, LogIndexes: []int64{1, 2}}
		return a
	}
	seen := map[string]int{base().Revision(): -1}
	for i, change := range []func(*Authority){
		func(a *Authority) { a.Roots += " " }, func(a *Authority) { a.TimestampRoots = "PEM" }, func(a *Authority) { a.CRLs = "PEM" }, func(a *Authority) { a.TrustedRoot = "PEM" },
		func(a *Authority) { a.Material = "PEM" }, func(a *Authority) { a.Identities = a.Identities[:1] }, func(a *Authority) { a.Identities[0].Subject = "c" },
		func(a *Authority) { a.Identities[0] = Identity{Issuer: "a"} }, func(a *Authority) { a.Identities[0] = Identity{SubjectRegexp: "a"} }, func(a *Authority) { a.Profile = &Profile{Tlog: 1} },
		func(a *Authority) { a.Profile = &Profile{SCT: 1} }, func(a *Authority) { a.Revoked.Serials = []string{"1"} }, func(a *Authority) { a.Revoked.LogIndexes = []int64{12} },
		func(a *Authority) { a.Revoked.Keys = []string{"1"} }, func(a *Authority) { a.Revoked.Identities = []string{"1"} }, func(a *Authority) { a.TUF = &TUF{} },
		func(a *Authority) { a.TUF = &TUF{Root: "{}"} }, func(a *Authority) { a.TUF = &TUF{Source: "{}"} }, func(a *Authority) { a.TUF = &TUF{Expired: "warn"} },
	} {
		a := base()
		change(&a)
		if j, known := seen[a.Revision()]; known {
			t.Errorf("change %d has the revision of %d", i, j)
		}
		seen[a.Revision()] = i
	}
	for i, change := range []func(*Authority){
		func(a *Authority) { slices.Reverse(a.Identities) }, func(a *Authority) { slices.Reverse(a.Revoked.Serials) }, func(a *Authority) { a.Revoked.LogIndexes = []int64{2, 1, 2} },
		func(a *Authority) { a.Origin = "runtime" }, func(a *Authority) { a.Profile = &Profile{} },
	} {
		a := base()
		change(&a)
		if a.Revision() != base().Revision() {
			t.Errorf("change %d changes the revision", i)
		}
	}
}
