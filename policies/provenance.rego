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
	count(signers) < input.params.threshold
	refusal := verdict
}

judged if input.subject.kind in {"image", "index", "artifact"}

provenance := [a | some a in input.attestations; a.predicate_type in input.params.predicate_types]

counted := [a |
	some a in provenance
	a.verified == true
	lib.accepted(input.params.authorities, a)
	not amiss(a)
]

signers := {who | some a in counted; who := lib.signer(a)}

# What is not as wanted in provenance that an accepted authority signed: the first of these. Whatever is wanted and not said is amiss.
amiss(a) := "attestation.issuer" if {
	count(input.params.issuer) > 0
	not lib.among(input.params.issuer, object.get(a, "issuer", ""))
} else := "attestation.identity" if {
	count(input.params.identity) > 0
	not lib.among(input.params.identity, object.get(a, "identity", ""))
} else := "attestation.workflow" if {
	count(input.params.workflow) > 0
	not one_of(input.params.workflow, lib.workflows(a))
} else := "attestation.builder" if {
	count(input.params.builder) > 0
	not one_of(input.params.builder, lib.builders(a))
} else := "attestation.source" if {
	count(input.params.source) > 0
	not one_of({place | some s in input.params.source; place := address(s)}, lib.sources(a))
} else := "attestation.ref" if {
	count(input.params.ref) > 0
	not lib.among([full(r) | some r in input.params.ref], lib.ref(a))
}

one_of(patterns, forms) if {
	some pattern in patterns
	some form in forms
	lib.matches(pattern, form)
}

# A source as it is compared: with its reference if it has one, else bare.
address(s) := trim_prefix(s, "git+") if {
	contains(s, "@refs/")
} else := lib.bare(s)

# A reference that is no path is a branch.
full(r) := r if {
	startswith(r, "refs/")
} else := sprintf("refs/heads/%s", [r])

# Exactly one refusal: too few say so, the nearest miss, or nothing was found. The last one needs nothing: whatever fails before it, the answer is no.
verdict := {
	"code": "attestation.threshold",
	"msg": sprintf("%s has provenance as wanted by %d of the %d distinct signers that are wanted.", [label, count(signers), input.params.threshold]),
	"remedy": "have another trusted builder attest the same digest",
	"evidence": first([a.evidence | some a in counted]),
} if {
	count(counted) > 0
} else := {
	"code": nearest,
	"msg": sprintf("%s has no provenance that counts: %s.", [label, sentence[nearest]]),
	"remedy": remedy,
	"evidence": first([a.evidence | some a in input.attestations; cause(a) == nearest]),
} if {
	nearest
} else := {
	"code": "attestation.missing",
	"msg": sprintf("%s has no provenance, and %s is wanted.", [label, wanted]),
	"remedy": attest,
}

first(list) := array.slice(list, 0, 8)

# Why an attestation does not count; undefined for what has nothing to do with provenance.
cause(a) := amiss(a) if {
	a.predicate_type in input.params.predicate_types
	a.verified == true
	lib.accepted(input.params.authorities, a)
} else := "attestation.untrusted" if {
	a.predicate_type in input.params.predicate_types
	a.verified == true
} else := "attestation.predicate_type" if {
	a.verified == true
	lib.accepted(input.params.authorities, a)
} else := code(a) if {
	a.verified == false
	a.predicate_type in {t | some t in input.params.predicate_types} | {""}
}

code(a) := a.code if {
	lib.sentences[a.code]
} else := "signature.invalid"

# The fewest steps away from provenance that counts first.
nearness := array.concat(
	array.concat(
		["attestation.ref", "attestation.source", "attestation.builder", "attestation.workflow", "attestation.identity", "attestation.issuer", "attestation.untrusted"],
		lib.refusals,
	),
	["attestation.predicate_type"],
)

nearest := nearness[min({place | some a in input.attestations; some place, c in nearness; c == cause(a)})]

near := [a | some a in input.attestations; cause(a) == nearest]

sentence := object.union(lib.sentences, {
	"attestation.ref": sprintf("it was built from %s, and %s is wanted", [given({lib.ref(a) | some a in near}), alternatives(input.params.ref)]),
	"attestation.source": sprintf("it was built from %s, and %s is wanted", [given({lib.source(a) | some a in near}), alternatives(input.params.source)]),
	"attestation.builder": sprintf("it was built by %s, and %s is wanted", [given(union({lib.builders(a) | some a in near})), alternatives(input.params.builder)]),
	"attestation.workflow": sprintf("the workflow was %s, and %s is wanted", [given(union({lib.workflows(a) | some a in near})), alternatives(input.params.workflow)]),
	"attestation.identity": sprintf("it was signed by %s, and %s is wanted", [given({object.get(a, "identity", "") | some a in near}), alternatives(input.params.identity)]),
	"attestation.issuer": sprintf("who signed it was vouched for by %s, and %s is wanted", [given({object.get(a, "issuer", "") | some a in near}), alternatives(input.params.issuer)]),
	"attestation.untrusted": sprintf("the verified one is by %s, which does not count here", [given({object.get(a, "authority", "") | some a in near})]),
	"attestation.predicate_type": sprintf("what is attested is %s, and %s is wanted", [given({a.predicate_type | some a in near}), alternatives(input.params.predicate_types)]),
	"signature.identity": lib.named(near),
	"signature.unsigned": "the provenance that was attached, or that the build put into the index, carries no signature",
})

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

remedy := object.get(remedies, nearest, attest)

remedies := object.union(lib.remedies, {
	"attestation.ref": "build it from the wanted branch or tag",
	"attestation.source": "build it from the wanted repository",
	"attestation.builder": "build it with the wanted builder",
	"attestation.workflow": "build it with the wanted workflow",
	"attestation.identity": "have the wanted identity attest it",
	"attestation.issuer": "have an identity of the wanted issuer attest it",
})

attest := sprintf("attest the build: actions/attest-build-provenance, a SLSA generator, or cosign attest --type slsaprovenance1 --predicate provenance.json <registry>/%s@%s", [input.subject.repository, input.subject.digest])

label := sprintf("%s@%s", [input.subject.repository, substring(input.subject.digest, 0, 19)])

wanted := sprintf("SLSA provenance of the builder %s", [alternatives(input.params.builder)]) if {
	count(input.params.builder) > 0
} else := sprintf("SLSA provenance signed by %s", [alternatives(input.params.authorities)]) if {
	count(input.params.authorities) > 0
} else := "SLSA provenance signed by a trusted authority"
