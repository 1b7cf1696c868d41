package assay_test

import data.assay

digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

other := "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

defaults := {"allowed": [], "denied": [], "immutable": ["semver"], "promotion": []}

document(tag, params, tags) := {
	"subject": {"kind": "image", "repository": "acme/app", "digest": digest, "tag": tag},
	"tags": tags, "signatures": [], "attestations": [], "params": object.union(defaults, params),
}

push := {r.code | some r in assay.push.deny}

tag := {r.code | some r in assay.tag.deny}

test_any_name_is_allowed_unless_it_is_said if {
	count(push) == 0 with input as document("anything", {}, {})
	count(tag) == 0 with input as document("anything", {}, {})
}

test_names[name] if {
	some name in ["1.2.3", "v1.2.3", "v1.2.3-rc.1", "main", "pr-7"]
	count(push) == 0 with input as document(name, {"allowed": ["semver", "main", "pr-*"]}, {})
}

test_other_names[name] if {
	some name in ["latest", "v1.2", "1", "mainline", "pr", "release"]
	push == {"tag.not_allowed"} with input as document(name, {"allowed": ["semver", "main", "pr-*"]}, {})
	tag == {"tag.not_allowed"} with input as document(name, {"allowed": ["semver", "main", "pr-*"]}, {})
}

test_denied_names if {
	push == {"tag.not_allowed"} with input as document("latest", {"denied": ["latest"]}, {})
	push == {"tag.not_allowed"} with input as document("pr-secret", {"denied": ["*-secret"], "allowed": ["pr-*"]}, {})
	count(push) == 0 with input as document("main", {"denied": ["latest"]}, {})
}

test_a_push_by_digest_has_no_name if {
	count(push) == 0 with input as document("", {"allowed": ["semver"], "promotion": [{"tags": ["*"], "from": ["x"], "from_repositories": []}]}, {})
}

test_versions_do_not_move if {
	push == {"tag.immutable"} with input as document("v1.2.3", {}, {"previous_digest": other})
	tag == {"tag.immutable"} with input as document("v1.2.3", {}, {"previous_digest": other})
	count(push) == 0 with input as document("v1.2.3", {}, {"previous_digest": digest})
	count(push) == 0 with input as document("main", {}, {"previous_digest": other})
	push == {"tag.immutable"} with input as document("main", {"immutable": ["m*"]}, {"previous_digest": other})
}

# A dot is a character as any other.
test_globs_match_versions if {
	push == {"tag.immutable"} with input as document("v1.2.3", {"immutable": ["v*"]}, {"previous_digest": other})
	push == {"tag.not_allowed"} with input as document("nightly-1.2", {"denied": ["nightly*"]}, {})
	count(push) == 0 with input as document("v1.2", {"allowed": ["v*"]}, {})
	push == {"tag.not_promoted"} with input as document("prod-1.2", promote, {})
	count(push) == 0 with input as document("prod-1.2", promote, {"visible": ["rc-1.2"]})
}

promote := {"immutable": [], "promotion": [{"tags": ["prod", "prod-*"], "from": ["staging", "rc-*"], "from_repositories": [], "predicate_types": [], "annotations": {}, "authorities": []}]}

test_promotion_from_a_repository if {
	from := {"immutable": [], "promotion": [{"tags": ["*"], "from": [], "from_repositories": ["staging/**"], "predicate_types": [], "annotations": {}, "authorities": []}]}
	count(push) == 0 with input as document("v1", from, {"admitted_in": ["dev/app", "staging/app"]})
	count(push) == 0 with input as document("v1", from, {"previous_digest": digest})
	count(push) == 0 with input as document("", from, {})
	push == {"tag.not_promoted"} with input as document("v1", from, {"admitted_in": ["dev/app"]})
	push == {"tag.not_promoted"} with input as document("v1", from, {"previous_digest": other})
	push == {"tag.not_promoted"} with input as document("v1", from, {})
	count(tag) == 0 with input as document("v1", from, {})
}

test_promotion_from_a_tag if {
	count(push) == 0 with input as document("prod", promote, {"visible": ["staging"]})
	count(push) == 0 with input as document("prod-eu", promote, {"visible": ["rc-1"], "previous_digest": other})
	count(push) == 0 with input as document("prod", promote, {"previous_digest": digest})
	count(push) == 0 with input as document("dev", promote, {})
}

test_not_promoted[name] if {
	some name, tags in {
		"nothing shows it": {}, "another tag shows it": {"visible": ["dev"]}, "it moves": {"visible": ["dev"], "previous_digest": other},
		"a tag does not promote itself": {"visible": ["prod"]},
	}
	push == {"tag.not_promoted"} with input as document("prod", promote, tags)
	count(tag) == 0 with input as document("prod", promote, tags)
}

attested := {"promotion": [{"tags": ["prod"], "from": [], "predicate_types": ["https://example.org/approved"], "annotations": {}, "authorities": ["qa"]}]}

test_promotion_by_attestation if {
	carries := {"attestations": [{"verified": true, "authority": "qa", "key_id": "k", "predicate_type": "https://example.org/approved"}]}
	tag == {"tag.not_attested"} with input as document("prod", attested, {})
	count(push) == 0 with input as document("prod", attested, {})
	count(tag) == 0 with input as document("staging", attested, {})
	count(tag) == 0 with input as object.union(document("prod", attested, {}), carries)
}

test_promotion_by_annotation if {
	rule := {"promotion": [{"tags": ["prod"], "from": [], "predicate_types": [], "annotations": {"stage": "tested"}, "authorities": []}]}
	tag == {"tag.not_attested"} with input as document("prod", rule, {})
}

test_promotion_by_an_annotation_of_that_value if {
	rule := {"promotion": [{"tags": ["prod"], "from": [], "predicate_types": [], "annotations": {"stage": "tested"}, "authorities": []}]}
	count(tag) == 0 with input as object.union(document("prod", rule, {}), signed("tested"))
	tag == {"tag.not_attested"} with input as object.union(document("prod", rule, {}), signed("new"))
}

signed(value) := {"signatures": [{"verified": true, "authority": "qa", "key_id": "k", "annotations": {"stage": value}}]}
