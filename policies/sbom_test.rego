package assay_test

import data.assay

defaults := {"origins": ["attested", "attached", "generated"], "formats": [], "max_absent": -1, "max_undeclared": -1}

subject := {"kind": "image", "repository": "acme/app", "digest": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}

ask(sbom, params) := {"subject": subject, "sbom": sbom, "params": object.union(defaults, params)}

found := {"present": true, "origin": "generated", "verified": true, "format": "spdx-2.3"}

codes := {r.code | some r in assay.admit.deny}

wants_one if {"type": "generate_sbom"} in assay.admit.obligations

test_one_that_is_there_admits[origin] if {
	some origin in ["attested", "attached", "generated"]
	count(codes) == 0 with input as ask(object.union(found, {"origin": origin}), {})
}

test_none_is_refused_and_asked_for if {
	codes == {"sbom.missing"} with input as {"subject": subject, "params": defaults}
	wants_one with input as {"subject": subject, "params": defaults}
	codes == {"sbom.missing"} with input as ask({"present": false, "verified": false}, {})
}

test_none_is_not_asked_for_where_generated_ones_do_not_count if {
	codes == {"sbom.missing"} with input as {"subject": subject, "params": object.union(defaults, {"origins": ["attested"]})}
	not wants_one with input as {"subject": subject, "params": object.union(defaults, {"origins": ["attested"]})}
}

test_a_final_failure_is_not_asked_for_again if {
	failure := {"present": false, "verified": false, "failed": "the layer expands too far."}
	codes == {"sbom.failed"} with input as ask(failure, {})
	not wants_one with input as ask(failure, {})
	some r in assay.admit.deny with input as ask(failure, {})
	endswith(r.msg, "the layer expands too far.")
}

test_a_clients_document_outlives_a_failure if {
	count(codes) == 0 with input as ask(object.union(found, {"origin": "attached", "failed": "no"}), {})
}

test_origin if {
	codes == {"sbom.origin"} with input as ask(object.union(found, {"origin": "attached"}), {"origins": ["generated"]})
	wants_one with input as ask(object.union(found, {"origin": "attached"}), {"origins": ["generated"]})
	codes == {"sbom.origin"} with input as ask(found, {"origins": ["attested"]})
	codes == {"sbom.origin"} with input as ask(object.union(found, {"origins": ["generated"]}), {"origins": ["attested"]})
	codes == set() with input as ask(object.union(found, {"origins": ["generated", "attached"]}), {"origins": ["attached"]})
	codes == {"sbom.origin"} with input as ask({"present": true, "verified": true}, {})
}

test_attested_means_verified if {
	codes == {"sbom.unverified"} with input as ask(object.union(found, {"origin": "attested", "verified": false}), {})
}

test_formats if {
	count(codes) == 0 with input as ask(found, {"formats": ["spdx"]})
	count(codes) == 0 with input as ask(found, {"formats": ["cyclonedx", "spdx-2.3"]})
	codes == {"sbom.format"} with input as ask(found, {"formats": ["cyclonedx"]})
	codes == {"sbom.format"} with input as ask(found, {"formats": ["spd"]})
	codes == {"sbom.format"} with input as ask({"present": true, "origin": "generated", "verified": true}, {"formats": ["spdx"]})
}

test_images_only[kind] if {
	some kind in ["index", "artifact", "attestation", "evidence"]
	document := {"subject": object.union(subject, {"kind": kind}), "params": defaults}
	count(codes) == 0 with input as document
	count(assay.admit.obligations) == 0 with input as document
}

both := object.union(found, {"origin": "attested", "origins": ["attested", "generated"]})

differing := object.union(both, {"drift": {"declared": "attested", "absent": 2, "undeclared": 7, "absent_top": ["pkg:npm/a@1", "pkg:npm/b@1"], "undeclared_top": ["pkg:npm/c@1"]}})

test_drift_is_not_asked_about if count(codes) == 0 with input as ask(differing, {})

test_drift_within_bounds if count(codes) == 0 with input as ask(differing, {"max_absent": 2, "max_undeclared": 7})

test_drift_of_what_is_absent if {
	codes == {"sbom.drift"} with input as ask(differing, {"max_absent": 1})
	some r in assay.admit.deny with input as ask(differing, {"max_absent": 1})
	contains(r.msg, "declares 2 packages that are not in it, and at most 1 may be: pkg:npm/a@1, pkg:npm/b@1.")
}

test_drift_of_what_is_undeclared if {
	codes == {"sbom.drift"} with input as ask(differing, {"max_undeclared": 0})
	some r in assay.admit.deny with input as ask(differing, {"max_undeclared": 0})
	contains(r.msg, "has 7 packages that its attested SBOM does not declare, and at most 0 may be: pkg:npm/c@1 and more.")
}

test_drift_waits_for_both if {
	codes == {"sbom.drift"} with input as ask(both, {"max_absent": 0})
	not wants_one with input as ask(both, {"max_absent": 0})
	alone := object.union(found, {"origin": "attested", "origins": ["attested"]})
	codes == {"sbom.drift"} with input as ask(alone, {"max_absent": 0})
	wants_one with input as ask(alone, {"max_absent": 0})
	given_up := object.union(alone, {"failed": "no."})
	codes == {"sbom.drift"} with input as ask(given_up, {"max_undeclared": 0})
	not wants_one with input as ask(given_up, {"max_undeclared": 0})
}

test_drift_of_nothing_declared if count(codes) == 0 with input as ask(object.union(found, {"origins": ["generated"]}), {"max_absent": 0, "max_undeclared": 0})
