package assay_test

import data.assay

scan := "https://cosign.sigstore.dev/attestation/vuln/v1"

tested := "https://in-toto.io/attestation/test-result/v0.1"

subject := {"kind": "image", "repository": "acme/app", "digest": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}

fact(authority, kind) := {"verified": true, "authority": authority, "key_id": sprintf("k-%s", [authority]), "predicate_type": kind, "evidence": "e"}

passed(key, at, result) := object.union(fact("ci", tested), {"key_id": key, "signed_at": at, "summary": {"result": result}})

want(types) := {"predicate_types": types, "authorities": [], "issuer": [], "identity": [], "count": 1, "results": []}

document(requirements, attestations) := {"subject": subject, "attestations": attestations, "signatures": [], "params": {"require": requirements}}

found := {r.code | some r in assay.admit.deny}

test_everything_is_there if {
	count(found) == 0 with input as document([want([scan]), want(["https://in-toto.io/**"])], [fact("ci", scan), fact("ci", tested)])
}

test_each_requirement_is_asked if {
	found == {"attestation.missing"} with input as document([want([scan]), want([tested])], [fact("ci", scan)])
	count(assay.admit.deny) == 2 with input as document([want([scan]), want([tested])], [])
}

test_other_kinds_are_not_asked if {
	count(found) == 0 with input as object.union(document([want([scan])], []), {"subject": {"kind": "attestation"}})
}

test_threshold if {
	two := object.union(want([scan]), {"count": 2})
	found == {"attestation.threshold"} with input as document([two], [fact("ci", scan), fact("ci", scan)])
	count(found) == 0 with input as document([two], [fact("ci", scan), fact("other", scan)])
}

test_untrusted if {
	by := object.union(want([scan]), {"authorities": ["scanner"]})
	found == {"attestation.untrusted"} with input as document([by], [fact("ci", scan)])
	found == {"attestation.untrusted"} with input as document([by], [object.union(fact("ci", scan), {"identity": "someone@example.org", "issuer": "https://i"})])
	found == {"attestation.untrusted"} with input as document([object.union(want([scan]), {"identity": ["*@example.org"]})], [fact("ci", scan)])
	found == {"attestation.untrusted"} with input as document([want([scan])], [fact("registry", scan)])
	count(found) == 0 with input as document([by], [fact("scanner", scan)])
}

test_unverified[code] if {
	some code in ["signature.untrusted_key", "signature.no_authority"]
	found == {code} with input as document([want([scan])], [object.union(fact("", scan), {"verified": false, "code": code})])
}

test_results if {
	pass := object.union(want([tested]), {"results": ["PASSED"]})
	count(found) == 0 with input as document([pass], [passed("k", "2026-11-20T00:00:00Z", "PASSED")])
	found == {"attestation.result"} with input as document([pass], [passed("k", "2026-11-20T00:00:00Z", "FAILED")])
	found == {"attestation.result"} with input as document([pass], [fact("ci", tested)])
}

test_a_later_result_replaces_an_earlier_one if {
	pass := object.union(want([tested]), {"results": ["PASSED"]})
	old := passed("k", "2026-11-20T00:00:00Z", "FAILED")
	count(found) == 0 with input as document([pass], [old, passed("k", "2026-11-21T00:00:00Z", "PASSED")])
	found == {"attestation.result"} with input as document([pass], [passed("k", "2026-11-19T00:00:00Z", "PASSED"), old])
	found == {"attestation.result"} with input as document([pass], [old, passed("other", "2026-11-21T00:00:00Z", "PASSED")])
}

test_the_sentence_names_who_is_wanted if {
	some r in assay.admit.deny with input as document([object.union(want([scan]), {"authorities": ["a", "b"]})], [])
	contains(r.msg, "by a or b")
}
