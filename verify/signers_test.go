package verify_test

import (
	"testing"

	"github.com/assay-registry/assay/verify"
)

func TestWhoIsOneSigner(t *testing.T) {
	bare := func(key string) verify.Fact { return verify.Fact{Verified: true, Authority: "release", KeyID: key} }
	certified := func(authority, key, issuer, identity string) verify.Fact {
		return verify.Fact{Verified: true, Authority: authority, KeyID: key, Issuer: issuer, Identity: identity}
	}
	role := func(name string) verify.Fact {
		return verify.Fact{Verified: true, Authority: "tuf", Scheme: verify.SchemeTUF, Role: name, Issuer: "tuf:tuf", Identity: name}
	}
	refused := bare("k2")
	refused.Verified = false
	for _, c := range []struct {
		name  string
		facts []verify.Fact
		want  int
	}{
		{"nobody", nil, 0},
		{"refused", []verify.Fact{refused}, 0},
		{"two keys", []verify.Fact{bare("k1"), bare("k2")}, 2},
		{"one key twice", []verify.Fact{bare("k1"), bare("k1")}, 1},
		{"one key with and without a certificate", []verify.Fact{bare("k1"), certified("pki", "k1", "CA 1", "alice")}, 1},
		{"one identity by two issuers of an authority", []verify.Fact{certified("pki", "k1", "CA 1", "alice"), certified("pki", "k2", "CA 2", "alice")}, 1},
		{"one certificate under two authorities", []verify.Fact{certified("pki", "k1", "CA 1", "alice"), certified("other", "k1", "CA 1", "alice")}, 1},
		{"a name that two authorities know", []verify.Fact{certified("pki", "k1", "CA 1", "release"), certified("other", "k2", "CA 2", "release")}, 2},
		{"joined by the last", []verify.Fact{bare("k1"), certified("pki", "k2", "CA 1", "alice"), bare("k3"), certified("pki", "k1", "CA 1", "alice")}, 2},
		{"roles", []verify.Fact{role("targets"), role("targets"), role("acme")}, 2},
		{"a role is no identity", []verify.Fact{role("targets"), certified("tuf", "k1", "tuf:tuf", "targets")}, 2},
		{"names of nobody", []verify.Fact{{Verified: true, Authority: "a"}, {Verified: true, Authority: "a"}}, 0},
		{"joined in a long chain", []verify.Fact{bare("k1"), certified("pki", "k4", "CA", "d"), certified("pki", "k2", "CA", "a"), certified("pki", "k1", "CA", "a"),
			certified("pki", "k2", "CA", "c"), certified("pki", "k4", "CA", "c")}, 1},
	} {
		distinct := map[string]bool{}
		for i, name := range verify.Signers(c.facts) {
			if distinct[name] = true; name == "" {
				delete(distinct, name)
			}
			if f := c.facts[i]; (name == "") != (!f.Verified || f.KeyID+f.Identity == "") {
				t.Errorf("%s: %+v is by %q", c.name, f, name)
			}
		}
		if len(distinct) != c.want {
			t.Errorf("%s: %d signers, want %d: %v", c.name, len(distinct), c.want, distinct)
		}
	}
}
