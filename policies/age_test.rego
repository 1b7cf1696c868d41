package assay_test

import data.assay

now() := time.parse_rfc3339_ns("2026-11-21T12:00:00Z")

scan := "https://cosign.sigstore.dev/attestation/vuln/v1"

subject := {"kind": "image", "repository": "acme/app", "digest": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "first_seen": "2026-11-01T00:00:00Z"}

defaults := {"created_days": 0, "seen_days": 0, "attested_days": 0, "predicate_types": [scan], "authorities": []}

document(params) := {"subject": subject, "config": {"user": "1", "created": "2026-10-22T12:00:00Z"}, "signatures": [], "attestations": [], "params": object.union(defaults, params)}

found := {r.code | some r in assay.admit.deny}

scanned(fact) := {"attestations": [object.union({"verified": true, "authority": "scanner", "key_id": "k", "predicate_type": scan, "evidence": "e"}, fact)]}

test_nothing_is_asked if {
	count(found) == 0 with input as document({}) with time.now_ns as now
	assay.admit.valid_until == {"2026-11-22T12:00:00Z"} with input as document({}) with time.now_ns as now
}

test_created if {
	count(found) == 0 with input as document({"created_days": 31}) with time.now_ns as now
	found == {"config.too_old"} with input as document({"created_days": 30}) with time.now_ns as now
	"2026-11-22T12:00:00Z" in assay.admit.valid_until with input as document({"created_days": 31}) with time.now_ns as now
}

test_no_date[created] if {
	some created in ["", "0001-01-01T00:00:00Z", "yesterday"]
	found == {"config.no_date"} with input as object.union(document({"created_days": 30}), {"config": {"created": created}}) with time.now_ns as now
}

test_an_index_has_no_date if {
	count(found) == 0 with input as object.union(document({"created_days": 30}), {"subject": {"kind": "index"}}) with time.now_ns as now
}

test_seen if {
	count(found) == 0 with input as document({"seen_days": 21}) with time.now_ns as now
	found == {"image.too_old"} with input as document({"seen_days": 20}) with time.now_ns as now
	found == {"image.too_old"} with input as object.union(document({"seen_days": 20}), {"subject": {"first_seen": ""}}) with time.now_ns as now
}

test_attested if {
	found == {"attestation.missing"} with input as document({"attested_days": 7}) with time.now_ns as now
	count(found) == 0 with input as object.union(document({"attested_days": 7}), scanned({"signed_at": "2026-11-20T00:00:00Z"})) with time.now_ns as now
	count(found) == 0 with input as object.union(document({"attested_days": 7}), scanned({"summary": {"finished": "2026-11-20T00:00:00Z"}})) with time.now_ns as now
	found == {"attestation.too_old"} with input as object.union(document({"attested_days": 7}), scanned({"signed_at": "2026-11-10T00:00:00Z"})) with time.now_ns as now
	found == {"attestation.too_old"} with input as object.union(document({"attested_days": 7}), scanned({})) with time.now_ns as now
	found == {"attestation.missing"} with input as object.union(document({"attested_days": 7, "authorities": ["x"]}), scanned({"signed_at": "2026-11-20T00:00:00Z"})) with time.now_ns as now
}

test_the_verdict_ends_with_the_attestation if {
	document_of_today := object.union(document({"attested_days": 7}), scanned({"signed_at": "2026-11-15T00:00:00Z"}))
	"2026-11-22T00:00:00Z" in assay.admit.valid_until with input as document_of_today with time.now_ns as now
}

test_other_kinds_are_not_asked if {
	count(found) == 0 with input as object.union(document({"seen_days": 1, "attested_days": 1}), {"subject": {"kind": "attestation"}}) with time.now_ns as now
}
