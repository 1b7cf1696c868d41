package assay_test

import data.assay as policy

now() := time.parse_rfc3339_ns("2026-11-21T12:00:00Z")

type := "https://cosign.sigstore.dev/attestation/vuln/v1"

hex := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

subject := {"kind": "image", "repository": "acme/app", "digest": concat(":", ["sha256", hex]), "parents": ["sha256:ffff"]}

defaults := {
	"severities": ["critical", "high"], "allowed": {}, "fixable_only": false, "grace_days": 0, "scan_days": 30, "db_days": 0, "origins": ["attested", "matched"],
	"authorities": [], "vex": "respect", "vex_authorities": [], "ignore": [],
}

summary(counts, top) := {"finished": "2026-11-20T12:00:00Z", "db_time": "2026-11-20T00:00:00Z", "counts": counts, "fixable": {"critical": 0, "high": 1}, "top": top}

scan(s) := {"verified": true, "authority": "scanner", "key_id": "k", "predicate_type": type, "evidence": "e", "summary": s}

document(attestations, params) := {"subject": subject, "signatures": [], "attestations": attestations, "params": object.union(defaults, params)}

clean := scan(summary({"critical": 0, "high": 0, "medium": 7}, []))

openssl := {"id": "CVE-2026-1", "severity": "critical", "package": "pkg:deb/debian/openssl@3.0?arch=amd64", "published": "2026-11-18T00:00:00Z"}

zlib := {"id": "CVE-2026-2", "severity": "high", "package": "pkg:deb/debian/zlib@1.2", "fixed_in": "1.3", "published": "2026-01-01T00:00:00Z"}

bad := scan(summary({"critical": 1, "high": 1}, [openssl, zlib]))

found := {r.code | some r in policy.admit.deny}

said := concat(" ", [r.msg | some r in policy.admit.deny])

test_clean if {
	count(found) == 0 with input as document([clean], {}) with time.now_ns as now
	"2026-12-20T12:00:00Z" in policy.admit.valid_until with input as document([clean], {}) with time.now_ns as now
	"2026-11-27T00:00:00Z" in policy.admit.valid_until with input as document([clean], {"db_days": 7}) with time.now_ns as now
}

test_findings if {
	found == {"vuln.threshold"} with input as document([bad], {}) with time.now_ns as now
	contains(said, "too many findings, 1 critical and 1 high (the scan by scanner)") with input as document([bad], {}) with time.now_ns as now
	contains(said, "CVE-2026-1, CVE-2026-2") with input as document([bad], {}) with time.now_ns as now
}

test_allowed if {
	count(found) == 0 with input as document([bad], {"allowed": {"critical": 1, "high": 1}}) with time.now_ns as now
	contains(said, "findings, 1 high (") with input as document([bad], {"allowed": {"critical": 1}}) with time.now_ns as now
	count(found) == 0 with input as document([bad], {"severities": ["medium"]}) with time.now_ns as now
}

test_fixable_only if {
	count(found) == 0 with input as document([bad], {"fixable_only": true, "allowed": {"high": 1}}) with time.now_ns as now
	contains(said, "findings, 1 high (") with input as document([bad], {"fixable_only": true}) with time.now_ns as now
	untold := scan(object.remove(summary({"critical": 1}, []), ["fixable"]))
	found == {"vuln.threshold"} with input as document([untold], {"fixable_only": true}) with time.now_ns as now
}

test_what_is_not_named_cannot_be_excused if {
	many := scan(summary({"critical": 2, "high": 0}, [openssl]))
	found == {"vuln.threshold"} with input as document([many], {"ignore": [entry("CVE-2026-1", "2026-12-01T00:00:00Z", "**")]}) with time.now_ns as now
	contains(said, "does not name them") with input as document([scan(summary({"critical": 2}, []))], {}) with time.now_ns as now
}

entry(id, expires, name) := {"id": id, "expires": expires, "package": name, "reason": "known"}

test_ignored if {
	both := [entry("CVE-2026-1", "2026-12-01T00:00:00Z", "**"), entry("CVE-2026-2", "2026-12-02T00:00:00Z", "pkg:deb/debian/zlib@*")]
	count(found) == 0 with input as document([bad], {"ignore": both}) with time.now_ns as now
	"2026-12-01T00:00:00Z" in policy.admit.valid_until with input as document([bad], {"ignore": both}) with time.now_ns as now
	contains(said, "findings, 1 high (") with input as document([bad], {"ignore": [both[0], entry("CVE-2026-2", "2026-12-02T00:00:00Z", "pkg:npm/*")]}) with time.now_ns as now
}

test_what_was_ignored_comes_back if {
	found == {"vuln.threshold"} with input as document([bad], {"severities": ["critical"], "ignore": [entry("CVE-2026-1", "2026-11-21T12:00:00Z", "**")]}) with time.now_ns as now
}

test_new_findings_warn_for_some_days if {
	some r in policy.admit.deny with input as document([bad], {"severities": ["critical"], "grace_days": 7}) with time.now_ns as now
	r.effective_on == "2026-11-25T00:00:00Z"
	count(policy.admit.deny) == 1 with input as document([bad], {"severities": ["critical"], "grace_days": 7}) with time.now_ns as now
	some late in policy.admit.deny with input as document([bad], {"severities": ["critical"], "grace_days": 3}) with time.now_ns as now
	not late.effective_on
	some old in policy.admit.deny with input as document([bad], {"grace_days": 7}) with time.now_ns as now
	contains(old.msg, "findings, 1 high (")
}

test_a_finding_without_a_date_is_not_new if {
	undated := scan(summary({"critical": 1}, [object.remove(openssl, ["published"])]))
	some r in policy.admit.deny with input as document([undated], {"grace_days": 7}) with time.now_ns as now
	not r.effective_on
}

test_no_report if {
	found == {"vuln.missing"} with input as document([], {}) with time.now_ns as now
	found == {"vuln.missing"} with input as document([object.union(clean, {"verified": false})], {}) with time.now_ns as now
	found == {"vuln.missing"} with input as document([clean], {"authorities": ["other"]}) with time.now_ns as now
	found == {"vuln.missing"} with input as document([clean], {"origins": ["matched"]}) with time.now_ns as now
}

test_unreadable if found == {"vuln.unreadable"} with input as document([scan({"scanner": "x", "finished": "2026-11-20T12:00:00Z"})], {}) with time.now_ns as now

test_other_kinds_are_not_asked if count(found) == 0 with input as object.union(document([], {}), {"subject": {"kind": "index"}}) with time.now_ns as now

test_old_reports if {
	found == {"vuln.scan_too_old"} with input as document([clean], {"scan_days": 1}) with time.now_ns as now
	count(found) == 0 with input as document([clean], {"scan_days": 2}) with time.now_ns as now
	found == {"vuln.db_too_old"} with input as document([clean], {"db_days": 1}) with time.now_ns as now
	undated := scan({"counts": {"critical": 0}})
	found == {"vuln.scan_too_old", "vuln.db_too_old"} with input as document([undated], {"db_days": 1}) with time.now_ns as now
	count(found) == 0 with input as document([undated], {"scan_days": 0}) with time.now_ns as now
}

test_the_newest_of_one_scanner_counts if {
	older := object.union(bad, {"summary": {"finished": "2026-11-19T12:00:00Z"}})
	count(found) == 0 with input as document([older, clean], {}) with time.now_ns as now
	newer := object.union(bad, {"summary": {"finished": "2026-11-21T10:00:00Z"}})
	found == {"vuln.threshold"} with input as document([newer, clean], {}) with time.now_ns as now
}

test_every_scanner_counts if {
	other := object.union(bad, {"authority": "second", "key_id": "k2", "summary": {"finished": "2026-11-01T12:00:00Z"}})
	found == {"vuln.threshold"} with input as document([other, clean], {}) with time.now_ns as now
}

matched(findings) := {"vulnerabilities": {"present": true, "origin": "matched", "db_time": "2026-11-21T00:00:00Z", "counts": {"critical": count(findings)}, "fixable": {}, "top": findings}}

test_matched if {
	found == {"vuln.threshold"} with input as object.union(document([], {}), matched([openssl])) with time.now_ns as now
	count(found) == 0 with input as object.union(document([], {}), matched([])) with time.now_ns as now
	count(found) == 0 with input as object.union(document([], {}), matched([object.union(openssl, {"vex": "not_affected"})])) with time.now_ns as now
	found == {"vuln.threshold"} with input as object.union(document([], {"vex": "ignore"}), matched([object.union(openssl, {"vex": "not_affected"})])) with time.now_ns as now
	found == {"vuln.missing"} with input as object.union(document([], {"origins": ["attested"]}), matched([])) with time.now_ns as now
	found == {"vuln.missing"} with input as object.union(document([], {}), {"vulnerabilities": {"present": true, "origin": "attested"}}) with time.now_ns as now
}

# VEX. The layer of a statement tells the test's own reader what it says.

vex(name) := {"verified": true, "authority": "vendor", "key_id": "v", "predicate_type": "https://openvex.dev/ns/v0.2.0", "evidence": "v", "layer": name}

statement(status, more) := object.union({"vulnerability": {"name": "CVE-2026-1", "aliases": ["GHSA-1"]}, "status": status, "justification": "vulnerable_code_not_present"}, more)

contents := {
	"not affected": {"timestamp": "2026-11-20T00:00:00Z", "statements": [statement("not_affected", {})]},
	"fixed": {"statements": [statement("fixed", {"timestamp": "2026-11-20T00:00:00Z"})]},
	"of old": {"statements": [{"vulnerability": "CVE-2026-1", "status": "not_affected", "impact_statement": "it is not called"}]},
	"by alias": {"statements": [statement("fixed", {"vulnerability": {"name": "OSV-1", "aliases": ["CVE-2026-1"]}})]},
	"without a reason": {"statements": [{"vulnerability": {"name": "CVE-2026-1"}, "status": "not_affected"}]},
	"affected": {"timestamp": "2026-11-20T00:00:00Z", "statements": [statement("affected", {})]},
	"affected since": {"timestamp": "2026-11-19T00:00:00Z", "statements": [statement("affected", {"last_updated": "2026-11-21T00:00:00Z"})]},
	"affected before": {"timestamp": "2026-11-19T00:00:00Z", "statements": [statement("affected", {})]},
	"under investigation": {"statements": [statement("under_investigation", {})]},
	"another finding": {"statements": [statement("fixed", {"vulnerability": {"name": "CVE-2026-9"}})]},
	"this image": {"statements": [statement("fixed", {"products": [{"@id": concat("", ["pkg:oci/app@sha256%3A", hex])}]})]},
	"this image by its hash": {"statements": [statement("fixed", {"products": [{"hashes": {"sha-256": hex}}]})]},
	"its index": {"statements": [statement("fixed", {"products": [{"identifiers": {"purl": "pkg:oci/app@sha256:ffff"}}]})]},
	"another image": {"statements": [statement("fixed", {"products": [{"@id": "pkg:oci/app@sha256%3Aeeee"}]})]},
	"a package of this image": {"statements": [statement("fixed", {"products": [{"@id": hex, "subcomponents": [{"@id": "pkg:deb/debian/openssl@3.0"}]}]})]},
	"another package of this image": {"statements": [statement("fixed", {"products": [{"@id": hex, "subcomponents": [{"@id": "pkg:deb/debian/libssl@3.0"}]}]})]},
	"the package anywhere": {"statements": [statement("fixed", {"products": ["pkg:deb/debian/openssl"]})]},
	"the package as it is named": {"statements": [statement("fixed", {"products": ["pkg:deb/debian/openssl@3.0?arch=amd64"]})]},
	"the package in another version": {"statements": [statement("fixed", {"products": ["pkg:deb/debian/openssl@3.1"]})]},
}

read(_, layer) := {"value": contents[layer]}

one := scan(summary({"critical": 1}, [openssl]))

excused(names) if {
	count(found) == 0 with input as document(array.concat([one], [vex(name) | some name in names]), {}) with time.now_ns as now with assay.predicate as read
}

test_vex[name] if {
	some name in ["not affected", "fixed", "of old", "by alias", "this image", "this image by its hash", "its index", "a package of this image", "the package anywhere", "the package as it is named"]
	excused([name])
}

test_vex_that_excuses_nothing[name] if {
	some name in ["without a reason", "affected", "under investigation", "another finding", "another image", "another package of this image", "the package in another version"]
	not excused([name])
}

test_the_latest_statement_decides if {
	excused(["not affected", "affected before"])
	not excused(["not affected", "affected since"])
	not excused(["not affected", "affected"])
}

test_vex_is_ignored if {
	found == {"vuln.threshold"} with input as document([one, vex("fixed")], {"vex": "ignore"}) with time.now_ns as now with assay.predicate as read
	found == {"vuln.threshold"} with input as document([one, vex("fixed")], {"vex_authorities": ["other"]}) with time.now_ns as now with assay.predicate as read
	found == {"vuln.threshold"} with input as document([one, object.union(vex("fixed"), {"verified": false})], {}) with time.now_ns as now with assay.predicate as read
}

test_vex_that_cannot_be_read if found == {"vuln.threshold"} with input as document([one, vex("fixed")], {}) with time.now_ns as now
