package assay_test

import data.assay

defaults := {"latest": "deny", "immutable": [], "root_user": "deny", "max_bytes": 0, "base_images": []}

subject := {"kind": "image", "repository": "acme/app", "digest": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}

image(user) := {"subject": subject, "config": {"user": user}, "manifest": {"layers": [{"size": 600}, {"size": 500}]}, "params": defaults}

push_codes := {r.code | some r in assay.push.deny}

admit_codes := {r.code | some r in assay.admit.deny}

tag_codes := {r.code | some r in assay.tag.deny}

with_params(document, params) := object.union(document, {"params": params})

test_an_ordinary_image_passes if {
	count(assay.push.deny) == 0 with input as image("65532")
	count(assay.admit.deny) == 0 with input as image("65532")
	count(assay.tag.deny) == 0 with input as image("65532")
}

test_root[user] if {
	some user in ["", "0", "root", "0:0", "root:root", "0:1000", "00", "+0", "-0", ":0", "root:"]
	push_codes == {"config.root_user"} with input as image(user)
	admit_codes == {"config.root_user"} with input as image(user)
}

test_not_root[user] if {
	some user in ["1", "65532", "65532:0", "nonroot", "rooty", "10", "app:root"]
	count(push_codes) == 0 with input as image(user)
}

test_root_may_be_allowed if count(admit_codes) == 0 with input as with_params(image("root"), {"root_user": "allow"})

test_root_is_asked_of_images_only if {
	count(admit_codes) == 0 with input as object.union(image("root"), {"subject": {"kind": "artifact"}})
	count(admit_codes) == 0 with input as {"subject": {"kind": "index", "repository": "a", "digest": subject.digest}, "params": defaults}
}

test_an_image_without_configuration_is_not_admitted if {
	admit_codes == {"config.missing"} with input as object.remove(image("1"), ["config"])
	count(push_codes) == 0 with input as object.remove(image("1"), ["config"])
}

test_latest_moves if {
	document := object.union(image("1"), {"subject": {"tag": "latest"}})
	push_codes == {"tag.mutable"} with input as document
	tag_codes == {"tag.mutable"} with input as document
	count(tag_codes) == 0 with input as with_params(document, {"latest": "allow"})
	count(tag_codes) == 0 with input as object.union(document, {"tags": {"immutable": true}})
	tag_codes == {"tag.mutable"} with input as object.union(document, {"tags": {"immutable": false}})
	count(tag_codes) == 0 with input as object.union(image("1"), {"subject": {"tag": "v1"}})
}

test_size if {
	admit_codes == {"config.too_big"} with input as with_params(image("1"), {"max_bytes": 1099})
	push_codes == {"config.too_big"} with input as with_params(image("1"), {"max_bytes": 1099})
	count(admit_codes) == 0 with input as with_params(image("1"), {"max_bytes": 1100})
}

based(name) := with_params(object.union(image("1"), {"config": {"base": {"name": name}}}), {"base_images": ["docker.io/library/debian:*", "gcr.io/distroless/**"]})

test_base_allowed[name] if {
	some name in ["docker.io/library/debian:12", "gcr.io/distroless/static:nonroot", "gcr.io/distroless/a/b"]
	count(push_codes) == 0 with input as based(name)
}

test_base_not_allowed[name] if {
	some name in ["docker.io/library/ubuntu:24.04", "docker.io/evil/library/debian:12", "evil.example/gcr.io/distroless/static"]
	push_codes == {"base.not_allowed"} with input as based(name)
	admit_codes == {"base.not_allowed"} with input as based(name)
}

test_base_unknown if push_codes == {"base.unknown"} with input as with_params(image("1"), {"base_images": ["debian:*"]})

test_no_list_allows_every_base if count(push_codes) == 0 with input as with_params(based("anything"), {"base_images": []})

test_a_second_claim_does_not_hide if {
	document := object.union(based("docker.io/library/debian:12"), {"manifest": {"annotations": {"org.opencontainers.image.base.name": "evil:1"}}})
	push_codes == {"base.not_allowed"} with input as document
}

test_base_by_digest if {
	document := object.union(image("1"), {"config": {"base": {"name": "x:1", "digest": subject.digest}}})
	count(push_codes) == 0 with input as with_params(document, {"base_images": [subject.digest]})
}

test_layers_that_are_others if {
	admit_codes == {"sbom.diff_ids"} with input as object.union(image("1"), {"sbom": {"present": true, "diff_ids": "mismatch"}})
	count(admit_codes) == 0 with input as object.union(image("1"), {"sbom": {"present": true, "diff_ids": "match"}})
}

bound_input(tag, previous) := object.union(image("1"), {
	"subject": object.union(subject, {"tag": tag}),
	"params": object.union(defaults, {"immutable": ["v*"]}),
	"tags": {"previous_digest": previous},
})

test_an_immutable_tag_takes_no_second_image if {
	push_codes == {"tag.immutable"} with input as bound_input("v1", "sha256:other")
	tag_codes == {"tag.immutable"} with input as bound_input("v1", "sha256:other")
	tag_codes == {"tag.immutable"} with input as bound_input("v1.2.3", "sha256:other")
}

test_an_immutable_tag_takes_the_same_image_again if {
	count(push_codes) == 0 with input as bound_input("v1", subject.digest)
	count(tag_codes) == 0 with input as bound_input("v1", subject.digest)
}

test_other_tags_move if count(tag_codes) == 0 with input as bound_input("main", "sha256:other")

test_an_immutable_tag_takes_its_first_image if {
	count(push_codes) == 0 with input as object.remove(bound_input("v1", ""), ["tags"])
}
