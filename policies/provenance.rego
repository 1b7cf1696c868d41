# METADATA
# scope: package
# title: provenance
# description: |
#   Admits an image, an index or an artifact when verified SLSA provenance says that it was built as wanted. What the signer's certificate says stands before what the
#   provenance claims. Provenance about an index counts for its children. What the registry itself signed never counts, nor what nobody signed.
# custom:
#   params:
#     builder:
#       type: array
#       items: {type: string, pattern: "^[^ ]+$"}
#       default: []
#       description: |
#         who built: exact, or a glob ('*' within a component between slashes, '**' across); without "@refs/..." any version of it. Of a certificate for a workflow it is the
#         workflow that signed, else what the provenance claims. None is any builder.
#     issuer:
#       type: array
#       items: {type: string, pattern: "^[^ ]+$"}
#       default: []
#       description: who vouched for the signer's identity, exact or a glob, such as https://token.actions.githubusercontent.com; none is any that the authority trusts
#     identity:
#       type: array
#       items: {type: string, pattern: "^.+$"}
#       default: []
#       description: who signed, as the certificate says, exact or a glob; none is any that the authority trusts
#     workflow:
#       type: array
#       items: {type: string, pattern: "^[^ ]+$"}
#       default: []
#       description: |
#         the workflow that ran, exact or a glob, without "@refs/..." at any version: the one that signed or the one that was started. Others can call a reusable workflow:
#         give source, too.
#     source:
#       type: array
#       items: {type: string, pattern: "^[^ ]+$"}
#       default: []
#       description: the repository that was built, exact or a glob, such as https://github.com/acme/app or github.com/acme/*, with "@refs/..." at that reference alone
#     ref:
#       type: array
#       items: {type: string, pattern: "^[^ ]+$"}
#       default: []
#       description: the branch or reference that was built, exact or a glob, such as main, refs/heads/release-* or refs/tags/v*
#     predicate_types:
#       type: array
#       items: {type: string, pattern: "^[^ ]+$"}
#       minItems: 1
#       default: ["https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1"]
#       description: the types of provenance that count
#     authorities:
#       type: array
#       items: {type: string, not: {enum: [registry, ""]}}
#       default: []
#       description: names of the authorities that count; none means any authority but the registry itself
#     threshold:
#       type: integer
#       minimum: 1
#       maximum: 64
#       default: 1
#       description: how many distinct keys or identities must say so
package assay

import data.assay.lib

admit.deny contains refusal if {
	judged
	not enough
	refusal := verdict
}

judged if input.subject.kind in {"image", "index", "artifact"}

# The provenance that says what is wanted, and who made it; else what comes nearest. Whatever is wanted and not said is amiss.
found := assay.attestations(input.attestations, {
	"predicate_types": input.params.predicate_types, "authorities": input.params.authorities, "issuer": input.params.issuer, "identity": input.params.identity,
	"workflow": input.params.workflow, "builder": input.params.builder, "source": input.params.source, "ref": input.params.ref,
}).value

enough if count(found.signers) >= input.params.threshold

# Exactly one refusal: too few say so, the nearest miss, or nothing was found. The last one needs nothing: whatever fails before it, the answer is no.
verdict := {
	"code": "attestation.threshold",
	"msg": sprintf("%s has provenance as wanted by %d of the %d distinct signers that are wanted.", [label, count(found.signers), input.params.threshold]),
	"remedy": "have another trusted builder attest the same digest",
	"evidence": first(found.facts),
} if {
	count(found.facts) > 0
} else := {
	"code": found.nearest,
	"msg": sprintf("%s has no provenance that counts: %s.", [label, sentence(found.nearest)]),
	"remedy": remedy(found.nearest),
	"evidence": first(found.near),
} if {
	found.nearest
} else := {
	"code": "attestation.missing",
	"msg": sprintf("%s has no provenance, and %s is wanted.", [label, wanted]),
	"remedy": attest,
}

first(facts) := array.slice([f.evidence | some f in facts], 0, 8)

# What the nearest miss says, and what is wanted.
sentence(code) := sprintf(parts[0], [given(parts[1]), alternatives(parts[2])]) if {
	parts := missed(code)
} else := sprintf("the verified one is by %s, which does not count here", [given({object.get(a, "authority", "") | some a in found.near})]) if {
	code == "attestation.untrusted"
} else := lib.named(found.near) if {
	code == "signature.identity"
} else := "the provenance that was attached, or that the build put into the index, carries no signature" if {
	code == "signature.unsigned"
} else := lib.sentences[code]

missed("attestation.ref") := ["it was built from %s, and %s is wanted", {lib.ref(a) | some a in found.near}, input.params.ref]

missed("attestation.source") := ["it was built from %s, and %s is wanted", {lib.source(a) | some a in found.near}, input.params.source]

missed("attestation.builder") := ["it was built by %s, and %s is wanted", union({lib.builders(a) | some a in found.near}), input.params.builder]

missed("attestation.workflow") := ["the workflow was %s, and %s is wanted", union({lib.workflows(a) | some a in found.near}), input.params.workflow]

missed("attestation.identity") := ["it was signed by %s, and %s is wanted", {object.get(a, "identity", "") | some a in found.near}, input.params.identity]

missed("attestation.issuer") := ["who signed it was vouched for by %s, and %s is wanted", {object.get(a, "issuer", "") | some a in found.near}, input.params.issuer]

missed("attestation.predicate_type") := ["what is attested is %s, and %s is wanted", {a.predicate_type | some a in found.near}, input.params.predicate_types]

# given(names) is what there is, for a sentence. A name without its reference is left out where the whole is there.
given(names) := "nobody that it names" if {
	count(names - {""}) == 0
} else := listed([name | some name in names - {""}; not shorter(name, names)], "and")

shorter(name, names) if {
	some other in names
	other != name
	startswith(other, sprintf("%s@refs/", [name]))
}

alternatives(list) := listed(list, "or")

# listed(names, word) has two names in it, or the first one if they are long: a sentence has room for about 300 characters.
listed(names, word) := both if {
	both := concat(sprintf(" %s ", [word]), names)
	count(names) <= 2
	count(both) <= 92
} else := lib.clipped(names[0]) if {
	count(names) == 1
} else := sprintf("%s %s %d more", [lib.clipped(names[0]), word, count(names) - 1])

remedy(code) := {
	"attestation.ref": "build it from the wanted branch or tag",
	"attestation.source": "build it from the wanted repository",
	"attestation.builder": "build it with the wanted builder",
	"attestation.workflow": "build it with the wanted workflow",
	"attestation.identity": "have the wanted identity attest it",
	"attestation.issuer": "have an identity of the wanted issuer attest it",
}[code] if {
	startswith(code, "attestation.")
} else := object.get(lib.remedies, code, attest)

attest := sprintf("attest the build: actions/attest-build-provenance, a SLSA generator, or cosign attest --type slsaprovenance1 --predicate provenance.json <registry>/%s@%s", [input.subject.repository, input.subject.digest])

label := sprintf("%s@%s", [input.subject.repository, substring(input.subject.digest, 0, 19)])

wanted := sprintf("SLSA provenance of the builder %s", [alternatives(input.params.builder)]) if {
	count(input.params.builder) > 0
} else := sprintf("SLSA provenance signed by %s", [alternatives(input.params.authorities)]) if {
	count(input.params.authorities) > 0
} else := "SLSA provenance signed by a trusted authority"
