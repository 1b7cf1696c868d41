package assay_test

import data.assay

digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

other := "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

subject(kind) := {"kind": kind, "repository": "acme/app", "digest": digest}

pin := {"evidence": other, "scheme": "tuf", "found": "tuf", "verified": true, "authority": "acme-tuf", "role": "acme-app", "target": "acme/app/v1"}

signature := {"evidence": other, "scheme": "cosign", "verified": true, "authority": "release", "key_id": "sha256:k1"}

ask(kind, signatures, authorities) := {"subject": subject(kind), "signatures": signatures, "attestations": [], "params": {"authorities": authorities}}

codes := {r.code | some r in assay.admit.deny}

tag_codes := {r.code | some r in assay.tag.deny}

failed(code) := object.union(pin, {"verified": false, "code": code})

test_a_pinned_digest_is_admitted[authorities] if {
	some authorities in [[], ["acme-tuf"], ["other", "acme-tuf"]]
	count(codes) == 0 with input as ask("image", [signature, pin], authorities)
}

test_an_inherited_pin_counts if count(codes) == 0 with input as ask("image", [object.union(pin, {"inherited_from": other})], [])

test_kinds[kind] if {
	some kind, want in {"image": {"tuf.missing"}, "index": {"tuf.missing"}, "artifact": {"tuf.missing"}, "attestation": set(), "evidence": set()}
	codes == want with input as ask(kind, [], [])
}

test_a_signature_pins_nothing if codes == {"tuf.missing"} with input as ask("image", [signature], [])

test_another_authority_does_not_count if {
	codes == {"tuf.untrusted"} with input as ask("image", [pin], ["other"])
	codes == {"tuf.untrusted"} with input as ask("image", [object.union(pin, {"authority": "registry"})], [])
	codes == {"tuf.untrusted"} with input as ask("image", [object.remove(pin, ["authority"])], [])
}

test_expired if {
	codes == {"tuf.expired"} with input as ask("image", [failed("tuf.expired")], [])
	codes == {"tuf.expired"} with input as ask("image", [failed("tuf.expired")], ["acme-tuf"])
	codes == {"tuf.missing"} with input as ask("image", [failed("tuf.expired")], ["other"])
	codes == {"tuf.expired"} with input as ask("image", [object.remove(failed("tuf.expired"), ["authority"])], ["acme-tuf"])
}

test_mismatch if {
	codes == {"tuf.digest_mismatch"} with input as ask("image", [failed("signature.digest_mismatch")], [])
	codes == {"tuf.expired"} with input as ask("image", [failed("signature.digest_mismatch"), failed("tuf.expired")], [])
	some r in assay.admit.deny with input as ask("image", [failed("signature.digest_mismatch")], [])
	contains(r.msg, "acme/app/v1")
}

test_one_good_among_bad if count(codes) == 0 with input as ask("image", [failed("tuf.expired"), pin, failed("signature.digest_mismatch")], [])

target := {"authority": "acme-tuf", "role": "acme-app", "target": "acme/app/v1", "digest_match": true, "version": 7}

tagged(tuf, authorities) := {
	"subject": object.union(subject("image"), {"tag": "v1"}), "signatures": [], "attestations": [], "tuf": tuf,
	"params": {"authorities": authorities},
}

test_a_pinned_tag_shows_its_image[authorities] if {
	some authorities in [[], ["acme-tuf"]]
	count(tag_codes) == 0 with input as tagged(target, authorities)
}

test_a_tag_that_nothing_pins if {
	tag_codes == {"tuf.not_pinned"} with input as object.remove(tagged({}, []), ["tuf"])
	tag_codes == {"tuf.not_pinned"} with input as object.remove(tagged({}, ["acme-tuf"]), ["tuf"])
}

test_a_moved_tag if {
	moved := object.union(target, {"digest_match": false})
	tag_codes == {"tuf.digest_mismatch"} with input as tagged(moved, [])
	some r in assay.tag.deny with input as tagged(moved, [])
	r.msg == "The tag v1 of acme/app is pinned to another digest than sha256:0123456789ab (target acme/app/v1, role acme-app)."
	r.remedy == sprintf("pin it and publish: assay tuf add acme/app/v1 %s", [digest])
}

test_a_tag_that_expired_metadata_pinned if {
	tag_codes == {"tuf.expired"} with input as tagged(object.union(target, {"digest_match": false, "code": "tuf.expired"}), [])
}

test_a_tag_that_another_pins if {
	tag_codes == {"tuf.untrusted"} with input as tagged(target, ["other"])
	tag_codes == {"tuf.untrusted"} with input as tagged(object.union(target, {"authority": "registry"}), [])
}

test_a_match_that_is_not_said if tag_codes == {"tuf.digest_mismatch"} with input as tagged(object.remove(target, ["digest_match"]), [])

test_what_is_missing_refuses[name] if {
	some name, want in {"authority": "tuf.untrusted", "role": "tuf.digest_mismatch", "target": "tuf.not_pinned"}
	tag_codes == {want} with input as tagged(object.remove(object.union(target, {"digest_match": false}), [name]), [])
}

test_tags_of_evidence_are_not_judged if {
	count(tag_codes) == 0 with input as object.union(object.remove(tagged({}, []), ["tuf"]), {"subject": {"kind": "evidence", "tag": "v1"}})
}
