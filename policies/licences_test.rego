package assay_test

import data.assay as policy

subject := {"kind": "image", "repository": "acme/app", "digest": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}

defaults := {"allowed": [], "denied": [], "allowed_categories": [], "denied_categories": ["network", "restricted"], "unlicensed": "allow", "exceptions": [], "origins": ["attested", "generated"]}

sbom(licences) := {"present": true, "origin": "generated", "origins": ["generated"], "verified": true, "packages": {"count": 10, "by_license": licences, "unlicensed": 0}}

document(licences, params) := {"subject": subject, "sbom": sbom(licences), "params": object.union(defaults, params)}

found := {r.code | some r in policy.admit.deny}

test_licences_that_are_not_denied if {
	count(found) == 0 with input as document({"MIT": 9, "GPL-3.0-only": 1, "Strange": 1}, {})
	count(policy.admit.obligations) == 0 with input as document({"MIT": 9}, {})
}

test_denied_by_category if {
	found == {"license.denied"} with input as document({"MIT": 9, "AGPL-3.0-only": 1}, {})
	count(found) == 0 with input as document({"MIT": 9, "AGPL-3.0-only": 1}, {"denied_categories": []})
	count(found) == 0 with input as document({"MIT": 9, "AGPL-3.0-only": 1}, {"allowed": ["agpl-3.0-only"], "allowed_categories": ["permissive"]})
}

test_denied_by_name if {
	found == {"license.denied"} with input as document({"GPL-3.0-only": 1}, {"denied": ["gpl-*"]})
	found == {"license.denied"} with input as document({"GPL-3.0-only": 1}, {"denied": ["GPL-3.0-only"], "allowed": ["GPL-3.0-only"]})
}

test_only_allowed_categories if {
	permissive := {"allowed_categories": ["permissive"]}
	count(found) == 0 with input as document({"MIT": 9, "Apache-2.0": 1}, permissive)
	found == {"license.not_allowed"} with input as document({"MIT": 9, "GPL-2.0-only": 1}, permissive)
	found == {"license.not_allowed"} with input as document({"MIT": 9, "Strange": 1}, permissive)
	count(found) == 0 with input as document({"MIT": 9, "Strange": 1}, object.union(permissive, {"allowed": ["Strange"]}))
}

test_only_allowed_names if {
	found == {"license.not_allowed"} with input as document({"MIT": 9, "ISC": 1}, {"allowed": ["MIT"]})
	count(found) == 0 with input as document({"MIT": 9}, {"allowed": ["MIT"]})
}

test_of_an_expression_one_alternative_is_enough if {
	permissive := {"allowed_categories": ["permissive"]}
	count(found) == 0 with input as document({"MIT OR GPL-2.0-only": 1}, permissive)
	found == {"license.not_allowed"} with input as document({"MIT AND GPL-2.0-only": 1}, permissive)
	found == {"license.denied"} with input as document({"AGPL-3.0-only OR SSPL-1.0": 1}, {})
	count(found) == 0 with input as document({"AGPL-3.0-only OR MIT": 1}, {})
	count(found) == 0 with input as document({"see the file": 1}, {"allowed": ["see the file"]})
}

test_unlicensed if {
	bare := object.union(document({"MIT": 9}, {"unlicensed": "deny"}), {"sbom": {"packages": {"count": 12}}})
	found == {"license.unlicensed"} with input as bare
	count(found) == 0 with input as object.union(bare, {"params": {"unlicensed": "allow"}})
	found == {"license.unlicensed"} with input as object.union(document({"MIT": 90}, {"unlicensed": "deny"}), {"sbom": {"packages": {"unlicensed": 1}}})
	count(found) == 0 with input as document({"MIT": 90}, {"unlicensed": "deny"})
}

test_an_sbom_without_licences if {
	found == {"license.unknown"} with input as document({}, {})
	found == {"license.unknown"} with input as {"subject": subject, "params": defaults, "sbom": {"present": true, "origin": "attested", "packages": {"count": 5, "unlicensed": 0}}}
	count(found) == 0 with input as {"subject": subject, "params": defaults, "sbom": {"present": true, "origin": "attested", "packages": {"count": 0, "unlicensed": 0}}}
	count(found) == 0 with input as {"subject": subject, "params": defaults, "sbom": {"present": true, "origin": "attested", "packages": {"count": 3, "unlicensed": 3}}}
}

test_no_sbom if {
	found == {"sbom.missing"} with input as {"subject": subject, "params": defaults}
	found == {"sbom.missing"} with input as {"subject": subject, "params": defaults, "sbom": {"present": true, "origin": "attached", "packages": {"count": 1, "unlicensed": 0, "by_license": {"MIT": 1}}}}
	count(policy.admit.obligations) == 1 with input as {"subject": subject, "params": defaults}
	count(policy.admit.obligations) == 0 with input as {"subject": subject, "params": object.union(defaults, {"origins": ["attested"]})}
	count(policy.admit.obligations) == 0 with input as {"subject": subject, "params": defaults, "sbom": {"present": false, "failed": "no room"}}
	count(policy.admit.obligations) == 0 with input as {"subject": subject, "params": defaults, "sbom": {"present": true, "origin": "attested", "origins": ["attested", "generated"]}}
}

test_other_kinds_are_not_asked if {
	count(found) == 0 with input as object.union(document({"AGPL-3.0-only": 1}, {}), {"subject": {"kind": "index"}})
	count(policy.admit.obligations) == 0 with input as object.union(document({}, {}), {"subject": {"kind": "index"}})
}

excepting := {"exceptions": [{"purl": "pkg:npm/%40acme/*", "licences": ["**"], "reason": "ours"}, {"purl": "pkg:deb/debian/mongo@1", "licences": ["SSPL-1.0"], "reason": "bought"}]}

index(query) := {"value": {"more": false, "packages": [{"purl": "pkg:npm/%40acme/db@1.0.0", "licences": []}]}} if query.licence == "AGPL-3.0-only"

index(query) := {"value": {"more": false, "packages": [{"purl": "pkg:deb/debian/mongo@1?arch=amd64", "licences": []}, {"purl": "pkg:deb/debian/other@1", "licences": []}]}} if query.licence == "SSPL-1.0"

index(query) := {"value": {"more": true, "packages": [{"purl": "pkg:npm/%40acme/db@1.0.0", "licences": []}]}} if query.licence == "Elastic-2.0"

test_exceptions if {
	count(found) == 0 with input as document({"AGPL-3.0-only": 1}, excepting) with assay.packages as index
	found == {"license.denied"} with input as document({"AGPL-3.0-only": 1}, {}) with assay.packages as index
	found == {"license.denied"} with input as document({"SSPL-1.0": 2}, excepting) with assay.packages as index
	found == {"license.denied"} with input as document({"Elastic-2.0": 2}, excepting) with assay.packages as index
	count(found) == 0 with input as document({"AGPL-3.0-only": 1}, object.union(excepting, {"allowed_categories": ["permissive"], "denied_categories": []})) with assay.packages as index
}

test_without_an_index_there_is_no_exception if found == {"license.denied"} with input as document({"AGPL-3.0-only": 1}, excepting)
