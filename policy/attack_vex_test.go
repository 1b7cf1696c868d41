package policy_test

import "testing"

const openVEXType = "https://openvex.dev/ns/v0.2.0"

// What is dated in the future excuses nothing before that day: no later word of the same signer could take it back. That something is affected is believed at once.
func TestStatementsOfTheFuture(t *testing.T) {
	m := matchingKit(t)
	i := m.image(app, "v1", "pkg:npm/left-pad@1.0.0")
	m.database(1, osvRecord("CVE-2026-7", "left-pad", "1.1.0", "critical"))
	say := func(status, at string) {
		m.say(m.key, openVEXType, openVEX("CVE-2026-7", status, "component_not_present", at, i.desc.Digest), i.desc.Digest)
	}
	say("not_affected", "2999-01-01T00:00:00Z")
	want(t, "not affected, in the future", m.get(puller, app, "v1"), denied)
	say("not_affected", "2026-11-19T00:00:00Z")
	want(t, "not affected, now", m.get(puller, app, "v1"), string(i.desc.Digest))
	say("affected", "2998-01-01T00:00:00Z")
	want(t, "affected, in the future", m.get(puller, app, "v1"), denied)
}
