package assay_test

import data.assay as policy

now() := time.parse_rfc3339_ns("2026-11-21T12:00:00Z")

type := "https://cosign.sigstore.dev/attestation/vuln/v1"

hex := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

subject := {"kind": "image", "repository": "acme/app", "digest": concat(":", ["sha256", hex]), "parents": ["sha256:ffff"]}

defaults := {
	"severities": ["critical", "high"], "allowed": {}, "fixable_only": false, "grace_days": 0, "scan_days": 30, "db_days": 0, "origins": ["attested", "matched"], "uncovered": "refuse",
	"authorities": [], "vex": "respect", "vex_authorities": [], "ignore": [], "unlooked": [],
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
	found == {"vuln.missing"} with input as object.union(document([], {"origins": ["attested"]}), matched([])) with time.now_ns as now
	found == {"vuln.missing"} with input as object.union(document([], {}), {"vulnerabilities": {"present": true, "origin": "attested"}}) with time.now_ns as now
}

blind := object.union(document([], {}), {"vulnerabilities": object.union(matched([]).vulnerabilities, {"uncovered": ["Debian:9", "generic"], "uncovered_systems": ["Debian:9"]})})

test_what_no_database_speaks_of_is_not_clean if {
	found == {"vuln.uncovered"} with input as blind with time.now_ns as now
	count(found) == 0 with input as object.union(blind, {"params": {"uncovered": "allow"}}) with time.now_ns as now
	count(found) == 0 with input as object.union(blind, {"attestations": [clean]}) with time.now_ns as now
	count(found) == 0 with input as object.union(blind, {"vulnerabilities": {"uncovered_systems": []}}) with time.now_ns as now
}

tongues := object.union(document([], {}), {"vulnerabilities": object.union(
	matched([]).vulnerabilities,
	{"uncovered": ["PyPI", "generic", "npm"], "uncovered_languages": ["PyPI", "npm"], "uncovered_packages": {"PyPI": 1, "npm": 12, "generic": 3}},
)})

test_languages_that_no_database_speaks_of_are_not_clean if {
	found == {"vuln.uncovered_language"} with input as tongues with time.now_ns as now
	contains(said, "has packages of PyPI (1), npm (12), of which") with input as tongues with time.now_ns as now
	count(found) == 0 with input as object.union(tongues, {"params": {"uncovered": "allow"}}) with time.now_ns as now
	count(found) == 0 with input as object.union(tongues, {"params": {"uncovered": "systems"}}) with time.now_ns as now
	count(found) == 0 with input as object.union(tongues, {"params": {"unlooked": ["npm", "PyPI"]}}) with time.now_ns as now
	contains(said, "has packages of npm (12), of which") with input as object.union(tongues, {"params": {"unlooked": ["PyPI"]}}) with time.now_ns as now
	count(found) == 0 with input as object.union(tongues, {"attestations": [clean]}) with time.now_ns as now
	count(found) == 0 with input as object.union(tongues, {"vulnerabilities": {"uncovered_languages": []}}) with time.now_ns as now
	found == {"vuln.uncovered"} with input as object.union(blind, {"params": {"uncovered": "systems"}}) with time.now_ns as now
}

test_why_nothing_was_matched if {
	bare := object.union(document([], {}), {"vulnerabilities": {"present": false, "unmatched": "no SBOM of it is indexed yet"}})
	found == {"vuln.missing"} with input as bare with time.now_ns as now
	contains(said, "(attested or matched); no SBOM of it is indexed yet.") with input as bare with time.now_ns as now
	only := object.union(bare, {"params": object.union(defaults, {"origins": ["matched"]})})
	some r in policy.admit.deny with input as only with time.now_ns as now
	contains(r.remedy, "assay vulndb import")
	attested := object.union(bare, {"params": object.union(defaults, {"origins": ["attested"]})})
	not contains(said, "SBOM") with input as attested with time.now_ns as now
}

test_an_sbom_is_asked_for_where_it_is_needed if {
	asked := {{"type": "generate_sbom"}}
	policy.admit.obligations == asked with input as document([], {}) with time.now_ns as now
	policy.admit.obligations == asked with input as object.union(document([clean], {}), {"sbom": {"present": true, "origin": "attached", "origins": ["attached"]}}) with time.now_ns as now
	count(policy.admit.obligations) == 0 with input as document([], {"origins": ["attested"]}) with time.now_ns as now
	count(policy.admit.obligations) == 0 with input as object.union(document([], {}), matched([])) with time.now_ns as now
	count(policy.admit.obligations) == 0 with input as object.union(document([], {}), {"sbom": {"present": false, "failed": "a bomb"}}) with time.now_ns as now
	count(policy.admit.obligations) == 0 with input as object.union(document([], {}), {"sbom": {"present": true, "origins": ["generated"]}}) with time.now_ns as now
	count(policy.admit.obligations) == 0 with input as object.union(document([], {}), {"subject": {"kind": "index"}}) with time.now_ns as now
}

test_ignored_by_an_alias if {
	found_under := object.union(openssl, {"aliases": ["GHSA-1", "OSV-1"]})
	count(found) == 0 with input as object.union(document([], {"ignore": [entry("GHSA-1", "2026-12-01T00:00:00Z", "**")]}), matched([found_under])) with time.now_ns as now
	found == {"vuln.threshold"} with input as object.union(document([], {"ignore": [entry("GHSA-2", "2026-12-01T00:00:00Z", "**")]}), matched([found_under])) with time.now_ns as now
}

# VEX. What statements say of a finding stands beside it, in attested reports as in the registry's own.

statement(authority, suppresses) := {"authority": authority, "status": "not_affected", "suppresses": suppresses, "evidence": "v"}

spoken_of(statements) := object.union(openssl, {"vex": "not_affected", "statements": statements})

one(statements) := scan(summary({"critical": 1}, [spoken_of(statements)]))

excused(statements, params) if {
	count(found) == 0 with input as document([one(statements)], params) with time.now_ns as now
	count(found) == 0 with input as object.union(document([], params), matched([spoken_of(statements)])) with time.now_ns as now
}

refused(statements, params) if {
	found == {"vuln.threshold"} with input as document([one(statements)], params) with time.now_ns as now
	found == {"vuln.threshold"} with input as object.union(document([], params), matched([spoken_of(statements)])) with time.now_ns as now
}

test_vex_excuses if excused([statement("vendor", true)], {})

test_the_most_trusted_decides if {
	excused([statement("vendor", true), statement("ci", false)], {})
	refused([statement("ci", false), statement("vendor", true)], {})
}

test_whose_statements_count if {
	excused([statement("ci", false), statement("vendor", true)], {"vex_authorities": ["vendor"]})
	refused([statement("ci", true), statement("vendor", false)], {"vex_authorities": ["vendor"]})
	refused([statement("ci", true)], {"vex_authorities": ["vendor"]})
	refused([statement("registry", true)], {})
	refused([statement("registry", true)], {"vex_authorities": ["vendor", "ci"]})
}

test_whose_word_does_not_count_is_said if {
	barred := {"verified": false, "code": "signature.out_of_scope", "authority": "release", "predicate_type": type, "evidence": "x"}
	contains(said, "(attested or matched); what release attested counts where attests of that authority names vulnerabilities.") with input as document([barred], {}) with time.now_ns as now
}

test_whose_statement_does_not_count_is_said if {
	barred := {"verified": false, "code": "signature.out_of_scope", "authority": "release", "predicate_type": "https://openvex.dev/ns/v0.2.0", "evidence": "x"}
	some r in policy.admit.deny with input as document([bad, barred], {}) with time.now_ns as now
	contains(r.remedy, "; what release attested counts where attests of that authority names vex")
}

test_vex_is_ignored if {
	refused([statement("vendor", true)], {"vex": "ignore"})
	refused([], {})
	refused([statement("vendor", false)], {})
}
