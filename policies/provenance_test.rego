package assay_test

import data.assay
import data.assay.lib

digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

evidence(letter) := sprintf("sha256:%s", [concat("", [letter | some _ in numbers.range(1, 64)])])

v02 := "https://slsa.dev/provenance/v0.2"

v1 := "https://slsa.dev/provenance/v1"

github := "https://token.actions.githubusercontent.com"

generator := "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v1.10.0"

workflow := "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v13"

defaults := {
	"builder": [], "issuer": [], "identity": [], "workflow": [], "source": [], "ref": [],
	"predicate_types": [v02, v1], "authorities": [], "threshold": 1,
}

subject(kind) := {"kind": kind, "repository": "acme/app", "digest": digest}

# By a reusable workflow that another repository called, as the SLSA generators sign.
keyless := {
	"evidence": evidence("a"), "verified": true, "authority": "github", "predicate_type": v02, "issuer": github, "identity": generator,
	"extensions": {
		"build_signer_uri": generator, "runner_environment": "github-hosted", "build_config_uri": workflow,
		"source_repository_uri": "https://github.com/acme/app", "source_repository_ref": "refs/tags/v13",
	},
	"summary": {"builder": generator, "source": "git+https://github.com/acme/app@refs/tags/v13", "ref": "refs/tags/v13", "entry_point": ".github/workflows/release.yml"},
}

# By a key: there is nothing but what the predicate claims.
keyed := {
	"evidence": evidence("b"), "verified": true, "authority": "ci", "predicate_type": v1, "key_id": "sha256:k1",
	"summary": {"builder": "https://ci.acme.example/builder@v7", "source": "git+https://git.acme.example/app.git", "ref": "refs/heads/main", "entry_point": "release"},
}

ask(attestations, params) := {"subject": subject("image"), "signatures": [], "attestations": attestations, "params": object.union(defaults, params)}

codes := {r.code | some r in assay.admit.deny}

messages := {r.msg | some r in assay.admit.deny}

with_extensions(a, extensions) := object.union(object.remove(a, ["extensions"]), {"extensions": extensions})

test_provenance_as_wanted_admits[name] if {
	some name, params in {
		"nothing asked": {},
		"builder": {"builder": [generator]},
		"builder at any version": {"builder": ["https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml"]},
		"builder as a glob": {"builder": ["https://github.com/slsa-framework/*/.github/workflows/generator_container_slsa3.yml@refs/tags/v*"]},
		"one of two builders": {"builder": ["https://ci.acme.example/builder", generator]},
		"issuer": {"issuer": [github]},
		"identity": {"identity": [generator]},
		"identity as a glob": {"identity": ["https://github.com/slsa-framework/**"]},
		"the workflow that signed": {"workflow": [generator]},
		"the workflow that was started": {"workflow": [workflow]},
		"the workflow at any reference": {"workflow": ["https://github.com/acme/app/.github/workflows/release.yml"]},
		"source": {"source": ["https://github.com/acme/app"]},
		"source as Git has it": {"source": ["git+https://github.com/acme/app.git"]},
		"source without scheme": {"source": ["github.com/acme/app"]},
		"source as a glob": {"source": ["https://github.com/acme/*"]},
		"source at a reference": {"source": ["git+https://github.com/acme/app@refs/tags/v13"]},
		"reference": {"ref": ["refs/tags/v13"]},
		"reference as a glob": {"ref": ["refs/tags/v*"]},
		"authority": {"authorities": ["github"]},
		"type": {"predicate_types": [v02]},
		"all": {"builder": [generator], "issuer": [github], "identity": [generator], "workflow": [workflow], "source": ["https://github.com/acme/app"], "ref": ["refs/tags/v13"]},
	}
	count(assay.admit.deny) == 0 with input as ask([keyless], params)
}

test_provenance_by_a_key_admits[name] if {
	some name, params in {
		"builder": {"builder": ["https://ci.acme.example/builder@v7"]},
		"source": {"source": ["https://git.acme.example/app"]},
		"branch": {"ref": ["main"]},
		"workflow": {"workflow": ["release"]},
		"authority": {"authorities": ["ci"]},
	}
	count(assay.admit.deny) == 0 with input as ask([keyed], params)
}

test_another_is_refused_with_its_reason[code] if {
	some code, params in {
		"attestation.builder": {"builder": ["https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v1.9.0"]},
		"attestation.issuer": {"issuer": ["https://gitlab.com"]},
		"attestation.identity": {"identity": ["https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml"]},
		"attestation.workflow": {"workflow": ["https://github.com/acme/app/.github/workflows/other.yml"]},
		"attestation.source": {"source": ["https://github.com/acme/application"]},
		"attestation.ref": {"ref": ["main"]},
		"attestation.untrusted": {"authorities": ["ci"]},
		"attestation.predicate_type": {"predicate_types": [v1]},
	}
	codes == {code} with input as ask([keyless], params)
}

test_a_source_is_matched_whole[pattern] if {
	some pattern in ["https://github.com/acme", "github.com/acme", "acme/app", "https://github.com/acme/ap", "https://github.com/*", "app", "http://github.com/acme/app"]
	codes == {"attestation.source"} with input as ask([keyless], {"source": [pattern]})
}

test_the_certificate_stands_before_the_claim if {
	liar := object.union(keyless, {"identity": workflow, "extensions": {"build_signer_uri": workflow}})
	codes == {"attestation.builder"} with input as ask([liar], {"builder": [generator]})
	some r in assay.admit.deny with input as ask([liar], {"builder": [generator]})
	contains(r.msg, sprintf("it was built by %s, and https://github.com/slsa-framework/", [workflow]))
	contains(r.msg, "generator_container_slsa3.yml@refs/tags/v1.10.0 is wanted")
	elsewhere := object.union(keyless, {"extensions": {"source_repository_uri": "https://github.com/mallory/app", "source_repository_ref": "refs/heads/x"}})
	codes == {"attestation.source"} with input as ask([elsewhere], {"source": ["https://github.com/acme/app"]})
	codes == {"attestation.ref"} with input as ask([elsewhere], {"ref": ["refs/tags/v13"]})
}

test_an_old_certificate_says_the_source_too if {
	old := with_extensions(keyless, {"github_workflow_repository": "mallory/app", "github_workflow_ref": "refs/heads/x"})
	codes == {"attestation.source"} with input as ask([old], {"source": ["https://github.com/acme/app"]})
	codes == {"attestation.ref"} with input as ask([old], {"ref": ["refs/tags/v13"]})
	count(codes) == 0 with input as ask([old], {"source": ["github.com/mallory/app"]})
}

test_github_names_its_runner if {
	own := object.union(keyless, {"predicate_type": v1, "identity": workflow, "extensions": {"build_signer_uri": workflow}, "summary": {"builder": "https://github.com/actions/runner/github-hosted"}})
	count(codes) == 0 with input as ask([own], {"builder": ["https://github.com/actions/runner/github-hosted"]})
	count(codes) == 0 with input as ask([own], {"builder": ["https://github.com/acme/app/.github/workflows/release.yml"]})
	claimed := object.union(own, {"extensions": {"runner_environment": "self-hosted"}})
	codes == {"attestation.builder"} with input as ask([claimed], {"builder": ["https://github.com/actions/runner/github-hosted"]})
}

test_what_is_not_said_is_not_as_wanted[code] if {
	some code, params in {
		"attestation.builder": {"builder": ["**"]}, "attestation.issuer": {"issuer": ["**"]}, "attestation.identity": {"identity": ["**"]},
		"attestation.workflow": {"workflow": ["**"]}, "attestation.source": {"source": ["**"]}, "attestation.ref": {"ref": ["refs/**"]},
	}
	empty := {"evidence": evidence("a"), "verified": true, "authority": "ci", "key_id": "sha256:k1", "predicate_type": v1}
	codes == {code} with input as ask([empty], params)
	codes == {code} with input as ask([object.union(empty, {"summary": {}, "extensions": {}})], params)
}

test_missing if {
	codes == {"attestation.missing"} with input as ask([], {"builder": [generator]})
	some r in assay.admit.deny with input as ask([], {"builder": [generator]})
	contains(r.msg, "has no provenance, and SLSA provenance of the builder https://github.com/slsa-framework/")
	contains(r.remedy, sprintf("<registry>/acme/app@%s", [digest]))
}

test_unverified_attestations_of_other_types_are_not_provenance if {
	codes == {"attestation.missing"} with input as ask([{"evidence": evidence("a"), "verified": false, "code": "signature.unsigned", "predicate_type": "https://spdx.dev/Document"}], {})
}

test_a_signature_is_no_provenance if {
	document := object.union(ask([], {}), {"signatures": [{"evidence": evidence("a"), "verified": true, "authority": "release", "key_id": "sha256:k1"}]})
	codes == {"attestation.missing"} with input as document
}

test_another_predicate_type_is_told if {
	spdx := object.union(keyed, {"predicate_type": "https://spdx.dev/Document"})
	codes == {"attestation.predicate_type"} with input as ask([spdx], {})
}

test_the_registry_never_counts[params] if {
	some params in [{}, {"authorities": ["ci"]}]
	codes == {"attestation.untrusted"} with input as ask([object.union(keyed, {"authority": "registry"})], params)
}

test_nobody_never_counts if {
	codes == {"attestation.untrusted"} with input as ask([object.union(keyed, {"authority": ""})], {})
	codes == {"attestation.untrusted"} with input as ask([object.remove(keyed, ["authority"])], {})
	codes == {"attestation.threshold"} with input as ask([object.remove(keyed, ["key_id"])], {})
}

test_unverified_never_counts[code] if {
	some code in lib.refusals
	codes == {code} with input as ask([object.union(keyless, {"verified": false, "code": code})], {})
}

test_unverified_of_an_unknown_code if {
	codes == {"signature.invalid"} with input as ask([object.union(keyless, {"verified": false, "code": "signature.of_the_future"})], {})
	codes == {"signature.invalid"} with input as ask([object.union(keyless, {"verified": false})], {})
}

test_what_does_not_parse_may_have_been_provenance if {
	codes == {"signature.malformed"} with input as ask([{"evidence": evidence("a"), "verified": false, "code": "signature.malformed", "predicate_type": ""}], {})
}

test_buildkit_provenance_is_unsigned if {
	buildkit := {
		"evidence": evidence("c"), "verified": false, "code": "signature.unsigned", "scheme": "none", "found": "index", "predicate_type": v1,
		"inherited_from": evidence("d"), "covered_by": ["release"],
	}
	codes == {"signature.unsigned"} with input as ask([buildkit], {})
	messages == {"acme/app@sha256:0123456789ab has no provenance that counts: the provenance that was attached, or that the build put into the index, carries no signature."} with input as ask([buildkit], {})
}

test_who_signed_is_told if {
	stranger := {"evidence": evidence("a"), "verified": false, "code": "signature.identity", "predicate_type": v1, "issuer": github, "identity": "https://github.com/mallory/x"}
	some r in assay.admit.deny with input as ask([stranger], {})
	contains(r.msg, sprintf("signed by https://github.com/mallory/x (issuer %s), whom no trusted authority names", [github]))
}

# A sentence names the ends of what is long, and never all of many.
test_sentences_are_short[code] if {
	long := [sprintf("https://git.example/%s/%d", [concat("", ["x" | some _ in numbers.range(1, 900)]), n]) | some n in numbers.range(1, 20)]
	some code, params in {
		"attestation.builder": {"builder": long}, "attestation.issuer": {"issuer": long}, "attestation.identity": {"identity": long},
		"attestation.workflow": {"workflow": long}, "attestation.source": {"source": long}, "attestation.ref": {"ref": long},
	}
	some r in assay.admit.deny with input as ask([keyless], params)
	r.code == code
	count(r.msg) <= 300
	contains(r.msg, "/1 or 19 more is wanted")
}

test_one_good_among_bad_admits[place] if {
	bad := [object.union(keyless, {"verified": false, "code": "signature.invalid"}), object.union(keyless, {"authority": "registry"}), object.union(keyless, {"issuer": "x"})]
	some place in [0, 1, 2, 3]
	list := array.concat(array.concat(array.slice(bad, 0, place), [keyless]), array.slice(bad, place, 3))
	count(assay.admit.deny) == 0 with input as ask(list, {"issuer": [github]})
}

test_the_parts_of_two_do_not_add_up if {
	codes == {"attestation.source"} with input as ask([keyless, keyed], {"builder": [generator], "source": ["https://git.acme.example/app"]})
}

test_the_near_miss_is_told_first if {
	far := object.union(keyless, {"verified": false, "code": "signature.malformed"})
	codes == {"attestation.ref"} with input as ask([far, keyless, object.union(keyless, {"issuer": "x"})], {"ref": ["main"], "issuer": [github]})
	some r in assay.admit.deny with input as ask([far, keyless], {"ref": ["main"]})
	r.evidence == [evidence("a")]
}

test_threshold if {
	again := object.union(keyless, {"evidence": evidence("c")})
	codes == {"attestation.threshold"} with input as ask([keyless, again], {"threshold": 2})
	count(codes) == 0 with input as ask([keyless, keyed], {"threshold": 2})
}

# Two certificates of one identity have two keys.
test_a_certificate_is_counted_by_its_identity if {
	one := object.union(keyless, {"key_id": "sha256:k1"})
	two := object.union(keyless, {"key_id": "sha256:k2"})
	codes == {"attestation.threshold"} with input as ask([one, two], {"threshold": 2})
}

test_inherited_provenance_counts if {
	count(codes) == 0 with input as ask([object.union(keyless, {"inherited_from": evidence("f")})], {"builder": [generator]})
}

test_kinds[kind] if {
	some kind, want in {"image": 1, "index": 1, "artifact": 1, "attestation": 0, "evidence": 0}
	count(assay.admit.deny) == want with input as object.union(ask([], {}), {"subject": subject(kind)})
}

test_every_cause_has_its_sentence[code] if {
	of_its_own := ["ref", "source", "builder", "workflow", "identity", "issuer", "untrusted", "predicate_type"]
	some code in array.concat(lib.refusals, [sprintf("attestation.%s", [name]) | some name in of_its_own])
	assay.sentence(code) != "" with input as ask([], {})
	assay.remedy(code) != "" with input as ask([], {})
}

test_exactly_one_refusal if {
	list := [object.union(keyless, {"verified": false, "code": code}) | some code in lib.refusals]
	count(assay.admit.deny) == 1 with input as ask(list, {})
}
