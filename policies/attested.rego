# METADATA
# scope: package
# title: attested
# description: |
#   Admits what carries every attestation that is required: of a type, by accepted authorities, by so many distinct keys or identities, and with a result that is wanted.
#   Attestations on an index count for its children. What the registry itself states never counts.
# custom:
#   params:
#     require:
#       type: array
#       minItems: 1
#       description: what is required, all of it
#       items:
#         type: object
#         required: [predicate_types]
#         properties:
#           predicate_types:
#             type: array
#             items: {type: string, pattern: "."}
#             minItems: 1
#             description: any of these types, exact or globs ('*' within a component between slashes, '**' across)
#           authorities:
#             type: array
#             items: {type: string, not: {enum: [registry, ""]}}
#             default: []
#             description: names of the authorities that count; none means any authority but the registry itself
#           issuer: {type: array, items: {type: string, pattern: "."}, default: [], description: who vouched for the identity; exact or globs}
#           identity: {type: array, items: {type: string, pattern: "."}, default: [], description: who signed; exact or globs}
#           count: {type: integer, minimum: 1, maximum: 64, default: 1, description: how many distinct keys or identities}
#           results:
#             type: array
#             items: {type: string}
#             default: []
#             description: for test results and verification summaries, such as PASSED; a later one by the same signer replaces an earlier one
package assay

import data.assay.lib

admit.deny contains refusal if {
	lib.judged
	some want in input.params.require
	not satisfied(want)
	refusal := lacks(want)
}

satisfied(want) if {
	have := found(want)
	count(have.signers) >= want.count
	not contrary(want, have.facts)
}

contrary(want, facts) if {
	count(want.results) > 0
	some a in facts
	not outcome(a) in want.results
}

# What there is for a requirement, or what comes nearest.
found(want) := assay.attestations(input.attestations, {
	"authorities": want.authorities, "issuer": want.issuer, "identity": want.identity, "predicate_types": want.predicate_types, "newest": true,
}).value

# One refusal for each requirement that is not met. The last one needs nothing: whatever fails before it, the answer is no.
lacks(want) := {
	"code": "attestation.result",
	"msg": sprintf("An attestation of %s says %s, and this policy wants %s: %s.", [lib.label, outcome(bad[0]), concat(" or ", want.results), named(want)]),
	"remedy": "have what failed pass, and attest it again with the same key or identity",
	"evidence": first(bad),
} if {
	count(want.results) > 0
	bad := [a | some a in found(want).facts; not outcome(a) in want.results]
	count(bad) > 0
} else := {
	"code": "attestation.threshold",
	"msg": sprintf("%s has attestations by %d of the %d distinct signers that are wanted: %s.", [lib.label, count(found(want).signers), want.count, named(want)]),
	"remedy": "have another key or identity attest it",
	"evidence": first(found(want).facts),
} if {
	count(found(want).facts) > 0
	count(found(want).signers) < want.count
} else := {
	"code": "attestation.untrusted",
	"msg": sprintf("The attestation of %s is by %s, who does not count here: %s.", [lib.label, author(found(want).near[0]), named(want)]),
	"remedy": "have an accepted authority attest it",
	"evidence": first(found(want).near),
} if {
	startswith(found(want).nearest, "attestation.")
	not endswith(found(want).nearest, ".predicate_type")
} else := {
	"code": found(want).nearest,
	"msg": sprintf("%s has no attestation that counts: %s. The nearest: %s.", [lib.label, named(want), lib.sentences[found(want).nearest]]),
	"remedy": object.get(lib.remedies, found(want).nearest, attest),
	"evidence": first(found(want).near),
} if {
	not startswith(found(want).nearest, "attestation.")
} else := {
	"code": "attestation.missing",
	"msg": sprintf("%s has no attestation: %s.", [lib.label, named(want)]),
	"remedy": attest,
}

outcome(a) := a.summary.result if {
	is_string(a.summary.result)
} else := "nothing"

author(a) := sprintf("%s (%s)", [lib.who(a), a.authority]) if {
	object.get(a, "identity", "") != ""
} else := object.get(a, "authority", "an authority without a name")

first(list) := array.slice([a.evidence | some a in list], 0, 8)

named(want) := sprintf("wanted is %s by %s", [lib.clipped(concat(" or ", want.predicate_types)), by(want)])

by(want) := "any trusted authority" if {
	count(want.authorities) == 0
} else := concat(" or ", want.authorities)

attest := sprintf("cosign attest --key cosign.key --type TYPE --predicate FILE <registry>/%s@%s", [input.subject.repository, input.subject.digest])
