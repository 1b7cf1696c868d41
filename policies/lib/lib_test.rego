package lib_test

import data.assay.lib

signature := {"verified": true, "authority": "release", "key_id": "sha256:k1", "annotations": {"stage": "prod"}}

keyless := {"verified": true, "authority": "github", "issuer": "https://issuer", "identity": "https://github.com/acme/app/w.yml@refs/heads/main", "key_id": "sha256:ephemeral"}

pin := {"verified": true, "authority": "acme-tuf", "scheme": "tuf", "role": "targets"}

document := {
	"signatures": [signature, keyless, pin, object.union(signature, {"verified": false}), object.union(signature, {"authority": "registry"})],
	"attestations": [object.union(keyless, {"predicate_type": "https://spdx.dev/Document", "evidence": "e", "layer": "l"})],
}

test_signed_by[name] if {
	some name, want in {
		"anybody": {}, "an authority": {"authorities": "release"}, "one of two": {"authorities": ["x", "release"]}, "annotations": {"annotations": {"stage": "prod"}},
		"identity": {"identity": "https://github.com/acme/**"}, "issuer": {"issuer": ["https://issuer"]}, "a TUF repository by its name": {"authorities": ["acme-tuf"]},
	}
	lib.signed_by(want) with input as document
}

test_not_signed_by[name] if {
	some name, want in {
		"another authority": {"authorities": "x"}, "the registry": {"authorities": "registry"}, "another value": {"annotations": {"stage": "dev"}},
		"another identity": {"identity": "https://github.com/acme/app"}, "another issuer": {"issuer": "https://other"}, "a misspelt member": {"authority": "release"},
		"issuer of a key": {"authorities": "release", "issuer": "https://issuer"},
	}
	not lib.signed_by(want) with input as document
	lib.signatures(want) == [] with input as document
}

test_a_tuf_repository_does_not_vouch_unasked if {
	not lib.signed_by({}) with input as {"signatures": [pin]}
}

test_the_registry_tells_who_is_one_signer if {
	bare := {"verified": true, "authority": "release", "key_id": "sha256:k1", "signer": "key sha256:k1"}
	certified := {"verified": true, "authority": "pki", "key_id": "sha256:k1", "issuer": "CN=CA", "identity": "release@acme.example", "signer": "key sha256:k1"}
	lib.threshold({}, 1) with input as {"signatures": [bare, certified]}
	not lib.threshold({}, 2) with input as {"signatures": [bare, certified]}
}

test_threshold_counts_signers if {
	lib.threshold({}, 2) with input as document
	not lib.threshold({}, 3) with input as document
	not lib.threshold({}, 2) with input as {"signatures": [keyless, object.union(keyless, {"key_id": "sha256:another"})]}
	lib.signers({}) == {["key", "sha256:k1"], ["identity", "https://issuer", keyless.identity]} with input as document
}

test_attested if {
	lib.attested({"predicate_types": "https://spdx.dev/Document", "authorities": "github"}) with input as document
	lib.attested({"predicate_types": ["https://spdx.dev/**"]}) with input as document
	not lib.attested({"predicate_types": "https://spdx.dev"}) with input as document
	not lib.attested({"authorities": "release"}) with input as document
	not lib.attested({}) with input as {"attestations": []}
}

opened(_, _) := {"value": {"n": 1}}

closed(_, _) := {"error": "no"}

test_signer if {
	lib.signer(signature) == ["key", "sha256:k1"]
	lib.signer(pin) == ["role", "acme-tuf", "targets"]
	not lib.signer({"authority": "nobody"})
}

test_among if {
	lib.among([], "x")
	lib.among(["y", "x*"], "xz")
	not lib.among(["y"], "x")
}

test_what_provenance_says if {
	a := {"identity": "https://ci/w@refs/heads/main", "summary": {"source": "git+https://git/app.git", "ref": "refs/heads/main", "builder": "https://b@refs/tags/v1"}}
	lib.builders(a) == {"https://b", "https://b@refs/tags/v1"}
	lib.workflows(a) == {"https://ci/w", "https://ci/w@refs/heads/main"}
	lib.source(a) == "git+https://git/app.git"
	lib.ref(a) == "refs/heads/main"
	lib.sources(a) == {"https://git/app", "git/app", "https://git/app@refs/heads/main", "git/app@refs/heads/main"}
}

test_times if {
	old := {"predicate_type": "t", "authority": "a", "key_id": "k", "signed_at": "2026-11-01T00:00:00Z"}
	new := object.union(old, {"signed_at": "2026-11-02T00:00:00Z"})
	lib.newest([old, new]) == [new]
	lib.made(new) - lib.made(old) == lib.days(1)
	not lib.made({})
}

test_predicate if {
	lib.predicate(document.attestations[0]) == {"n": 1} with assay.predicate as opened
	not lib.predicate(document.attestations[0]) with assay.predicate as closed
}

test_matches[pattern] if {
	some pattern in ["https://a/b", "https://a/*", "https://*/b", "https://**", "**"]
	lib.matches(pattern, "https://a/b")
}

test_matches_nothing_else[pattern] if {
	some pattern in ["", "https://a", "https://a/b/", "https://a/b/**", "https://a/?", "https://a/[b]", "https://*", "https://{a,b}/*", "https:\\//a/*", "!*"]
	not lib.matches(pattern, "https://a/b")
}

test_a_pattern_with_brackets_is_taken_literally if {
	lib.matches("a[b]*", "a[b]c")
	not lib.matches("a[b]*", "abc")
	not lib.matches("*", "")
}

test_every_refusal_has_its_sentence if {
	{code | some code in lib.refusals} == object.keys(lib.sentences)
	count(lib.refusals) == count(object.keys(lib.sentences))
	count(object.keys(lib.remedies) - object.keys(lib.sentences)) == 0
}

test_named if {
	lib.named([]) == lib.sentences["signature.identity"]
	lib.named([{"code": "signature.identity"}]) == lib.sentences["signature.identity"]
	lib.named([{"code": "signature.identity", "identity": "CN=x"}]) == "it was signed by CN=x, whom no trusted authority names"
}

test_clipped if {
	long := concat("", ["x" | some _ in numbers.range(1, 200)])
	count(lib.clipped(long)) == 92
	lib.clipped("short") == "short"
}

test_moments[text] if {
	some text in ["1970-01-01T00:00:00Z", "2026-11-30T23:59:59.123456789Z", "2028-02-29T00:00:00+02:00", "2000-02-29T00:00:00Z", "2199-12-31T23:59:59-11:30"]
	lib.moment(text) >= 0
}

test_no_moments[text] if {
	some text in ["", "0001-01-01T00:00:00Z", "2026-11-31T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-10T00:00:00Z", "2026-01-01", "2026-01-01T24:00:00Z", "2200-01-01T00:00:00Z", "x2026-01-01T00:00:00Z"]
	not lib.moment(text)
}

test_referrers if {
	a := {"digest": "sha256:aa", "artifact_type": "text/a", "evidence": true}
	b := {"digest": "sha256:bb"}
	lib.referrers({"artifact_types": "text/*"}) == [a] with input.referrers as {"count": 2, "list": [a, b]}
	lib.referrers({"evidence": false}) == [b] with input.referrers as {"count": 2, "list": [a, b], "more": true}
	lib.referrers({"artifact_types": "text/b"}) == [] with input.referrers as {"count": 1, "list": [a]}
	not lib.referrers({"artifact_types": "text/b"}) with input.referrers as {"count": 1, "list": [a], "more": true}
}

test_moves if {
	a := {"digest": "sha256:aa", "at": "2026-11-21T11:00:00Z", "by": "ann"}
	b := {"digest": "sha256:bb", "at": "2026-11-20T11:00:00Z"}
	lib.moves({"since": lib.moment(a.at) - lib.days(1)}) == [a, b] with input.tags.history as [a, b]
	lib.moves({"since": a.at, "by": "a*"}) == [a] with input.tags.history as [a, b]
	lib.moves({"digest": "sha256:cc"}) == [] with input.tags.history as [a, b]
}

test_whole_days if {
	lib.whole_days(0) == 0
	lib.whole_days(lib.days(2) - 1) == 1
	lib.whole_days(lib.days(2)) == 2
}
