package assay_test

import data.assay

subject := {"kind": "image", "repository": "acme/app", "digest": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}

defaults := {"authorities": [], "threshold": 0, "groups": [], "logs": 0}

s(authority, key) := {"verified": true, "authority": authority, "key_id": key, "evidence": "e"}

document(params, signatures) := {"subject": subject, "signatures": signatures, "attestations": [], "params": object.union(defaults, params)}

found := {r.code | some r in assay.admit.deny}

three := {"authorities": ["alice", "bob", "carol"], "threshold": 2}

group(name, authorities, n) := {"name": name, "authorities": authorities, "issuer": [], "identity": [], "count": n}

test_enough if {
	count(found) == 0 with input as document(three, [s("alice", "a"), s("carol", "c")])
	count(found) == 0 with input as document(three, [s("alice", "a"), s("bob", "b"), s("carol", "c")])
}

test_too_few if {
	found == {"signature.threshold"} with input as document(three, [s("alice", "a")])
	found == {"signature.threshold"} with input as document(three, [s("alice", "a"), s("alice", "a2")])
	found == {"signature.threshold"} with input as document(three, [s("alice", "a"), s("mallory", "m")])
	found == {"signature.threshold"} with input as document(three, [s("mallory", "m")])
}

test_all_of_them_without_a_threshold if {
	all := {"authorities": ["alice", "bob"]}
	found == {"signature.threshold"} with input as document(all, [s("alice", "a")])
	count(found) == 0 with input as document(all, [s("alice", "a"), s("bob", "b")])
}

test_one_key_under_two_names_is_one_signer if {
	found == {"signature.threshold"} with input as document(three, [s("alice", "same"), s("bob", "same")])
	count(found) == 0 with input as document(three, [s("alice", "same"), s("bob", "same"), s("alice", "a")])
}

test_nothing_is_signed if found == {"signature.missing"} with input as document(three, [])

test_nothing_verified[code] if {
	some code in ["signature.untrusted_key", "signature.revoked_key"]
	found == {code} with input as document(three, [{"verified": false, "code": code}])
}

test_other_kinds_are_not_asked if {
	count(found) == 0 with input as object.union(document(three, []), {"subject": {"kind": "attestation"}})
}

test_nobody_named_is_nobody_enough if found == {"signature.threshold"} with input as document({}, [s("alice", "a")])

test_more_than_there_are_is_never_met if {
	found == {"signature.threshold"} with input as document({"authorities": ["alice"], "threshold": 2}, [s("alice", "a"), s("alice", "b")])
}

test_a_threshold_without_authorities_is_never_met if {
	found == {"signature.threshold"} with input as document({"threshold": 1, "groups": [group("g", ["alice"], 1)]}, [s("alice", "a")])
}

test_groups if {
	both := {"groups": [group("developers", ["dev"], 2), group("release", ["release"], 1)]}
	count(found) == 0 with input as document(both, [s("dev", "d1"), s("dev", "d2"), s("release", "r")])
	found == {"signature.threshold"} with input as document(both, [s("dev", "d1"), s("release", "r")])
	found == {"signature.threshold"} with input as document(both, [s("dev", "d1"), s("dev", "d2"), s("release", "d2")])
	count(found) == 0 with input as document(both, [s("dev", "d1"), s("dev", "d2"), s("dev", "d3"), s("release", "d2")])
}

test_a_group_of_identities if {
	people := {"groups": [object.union(group("people", [], 1), {"identity": ["*@example.org"]})]}
	count(found) == 0 with input as document(people, [object.union(s("sso", "k"), {"identity": "a@example.org", "issuer": "i"})])
	found == {"signature.threshold"} with input as document(people, [object.union(s("sso", "k"), {"identity": "a@example.com", "issuer": "i"})])
}

test_more_places_than_can_be_counted_refuse if {
	found == {"signature.threshold"} with input as document({"groups": [group(sprintf("g%d", [i]), ["a"], 16) | some i in numbers.range(1, 5)]}, [s("a", "k")])
}

test_logs if {
	two := {"authorities": ["alice"], "logs": 2}
	count(found) == 0 with input as document(two, [object.union(s("alice", "a"), {"logs": [{"log": "x"}, {"log": "y"}]})])
	found == {"signature.threshold"} with input as document(two, [object.union(s("alice", "a"), {"logs": [{"log": "x"}, {"log": "x"}]})])
	found == {"signature.threshold"} with input as document(two, [s("alice", "a")])
}
