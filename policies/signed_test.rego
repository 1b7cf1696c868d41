package assay_test

import data.assay
import data.assay.lib

digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

evidence(letter) := sprintf("sha256:%s", [concat("", [letter | some _ in numbers.range(1, 64)])])

defaults := {"authorities": [], "threshold": 1, "annotations": {}}

subject(kind) := {"kind": kind, "repository": "acme/app", "digest": digest}

good := {"evidence": evidence("a"), "verified": true, "authority": "release", "key_id": "sha256:k1"}

ask(kind, signatures, params) := {"subject": subject(kind), "signatures": signatures, "params": object.union(defaults, params)}

codes := {r.code | some r in assay.admit.deny}

test_one_good_signature_admits if count(assay.admit.deny) == 0 with input as ask("image", [good], {})

test_one_good_among_bad_admits[place] if {
	bad := [object.union(good, {"verified": false, "code": "signature.invalid"}) | some _ in numbers.range(1, 3)]
	some place in [0, 1, 2, 3]
	list := array.concat(array.concat(array.slice(bad, 0, place), [good]), array.slice(bad, place, 3))
	count(assay.admit.deny) == 0 with input as ask("image", list, {})
}

test_kinds_that_need_one[kind] if {
	some kind in ["image", "index", "artifact"]
	codes == {"signature.missing"} with input as ask(kind, [], {})
}

test_kinds_that_need_none[kind] if {
	some kind in ["attestation", "evidence"]
	count(assay.admit.deny) == 0 with input as ask(kind, [], {})
}

test_missing_says_how_to_sign if {
	some r in assay.admit.deny with input as ask("image", [], {"authorities": ["release", "qa"]})
	r.msg == "acme/app@sha256:0123456789ab has no signature, and one by release or qa is wanted."
	r.remedy == sprintf("cosign sign --key cosign.key <registry>/acme/app@%s", [digest])
}

test_the_registry_never_counts[params] if {
	some params in [{}, {"authorities": ["registry"]}]
	codes == {"signature.untrusted"} with input as ask("image", [object.union(good, {"authority": "registry"})], params)
}

test_a_signature_without_authority_never_counts if {
	codes == {"signature.untrusted"} with input as ask("image", [object.union(good, {"authority": ""})], {})
	codes == {"signature.invalid"} with input as ask("image", [{"verified": false}], {})
}

test_another_authority_does_not_count if {
	codes == {"signature.untrusted"} with input as ask("image", [good], {"authorities": ["qa"]})
}

test_a_listed_authority_counts if {
	count(assay.admit.deny) == 0 with input as ask("image", [good], {"authorities": ["qa", "release"]})
}

test_threshold_counts_distinct_keys if {
	other := object.union(good, {"key_id": "sha256:k2"})
	count(assay.admit.deny) == 0 with input as ask("image", [good, other], {"threshold": 2})
}

test_threshold_met_twice_by_one_key_fails if {
	again := object.union(good, {"evidence": evidence("b"), "authority": "qa"})
	codes == {"signature.threshold"} with input as ask("image", [good, again], {"threshold": 2})
}

test_threshold_counts_distinct_identities if {
	a := {"evidence": evidence("a"), "verified": true, "authority": "ci", "issuer": "https://issuer", "identity": "a@example.org"}
	b := object.union(a, {"identity": "b@example.org"})
	count(assay.admit.deny) == 0 with input as ask("image", [a, b], {"threshold": 2})
	codes == {"signature.threshold"} with input as ask("image", [a, a], {"threshold": 2})
	count(assay.admit.deny) == 0 with input as ask("image", [a, good], {"threshold": 2})
}

# Two certificates of one identity have two keys.
test_a_certificate_is_counted_by_its_identity if {
	a := {"evidence": evidence("a"), "verified": true, "authority": "ci", "issuer": "https://issuer", "identity": "a@example.org", "key_id": "sha256:k1"}
	codes == {"signature.threshold"} with input as ask("image", [a, object.union(a, {"key_id": "sha256:k2"})], {"threshold": 2})
}

test_a_tuf_repository_vouches_only_where_it_is_named if {
	pin := {"evidence": evidence("a"), "scheme": "tuf", "verified": true, "authority": "acme-tuf", "role": "targets", "target": "acme/app/v1"}
	codes == {"signature.untrusted"} with input as ask("image", [pin], {})
	count(assay.admit.deny) == 0 with input as ask("image", [pin], {"authorities": ["acme-tuf"]})
	codes == {"signature.threshold"} with input as ask("image", [pin, object.union(pin, {"target": "acme/app/v2"})], {"authorities": ["acme-tuf"], "threshold": 2})
}

test_a_signature_of_nobody_is_no_signer if {
	codes == {"signature.threshold"} with input as ask("image", [object.remove(good, ["key_id"])], {})
}

test_unverified_never_counts if {
	codes == {"signature.invalid"} with input as ask("image", [object.union(good, {"verified": false})], {})
}

test_annotations_must_be_there_with_their_values if {
	params := {"annotations": {"stage": "prod"}}
	codes == {"signature.annotations"} with input as ask("image", [good], params)
	codes == {"signature.annotations"} with input as ask("image", [object.union(good, {"annotations": {"stage": "dev"}})], params)
	count(assay.admit.deny) == 0 with input as ask("image", [object.union(good, {"annotations": {"stage": "prod", "more": "x"}})], params)
}

test_nearest_miss_wins[code] if {
	some code, ok in {"signature.other_repository": true, "signature.revoked_key": true, "signature.key_expired": true, "signature.untrusted_key": true}
	ok
	near := object.union(good, {"verified": false, "code": code})
	far := object.union(good, {"verified": false, "code": "signature.malformed"})
	codes == {code} with input as ask("image", [far, near, far], {})
}

test_another_repository_is_named if {
	s := object.union(good, {"verified": false, "code": "signature.other_repository", "claimed_reference": "registry.example.org/acme/dev"})
	some r in assay.admit.deny with input as ask("image", [s], {})
	contains(r.msg, "the valid one was made for registry.example.org/acme/dev")
	r.evidence == [evidence("a")]
}

test_who_signed_is_told if {
	stranger := {"evidence": evidence("a"), "verified": false, "code": "signature.identity", "issuer": "https://issuer", "identity": "mallory@example.org"}
	some r in assay.admit.deny with input as ask("image", [object.remove(stranger, ["issuer", "identity"]), stranger], {})
	r.code == "signature.identity"
	contains(r.msg, "it was signed by mallory@example.org (issuer https://issuer), whom no trusted authority names")
}

test_a_code_that_nobody_knows_still_denies if {
	codes == {"signature.invalid"} with input as ask("image", [object.union(good, {"verified": false, "code": "signature.of_the_future"})], {})
}

causes := array.concat(["signature.annotations", "signature.untrusted"], lib.refusals)

test_every_cause_has_its_sentence[code] if {
	some code in causes
	assay.sentence(code) != "" with input as ask("image", [], {})
	assay.remedy(code) != "" with input as ask("image", [], {})
}

test_exactly_one_refusal if {
	list := [object.union(good, {"verified": false, "code": code}) | some code in causes]
	count(assay.admit.deny) == 1 with input as ask("image", list, {})
}
