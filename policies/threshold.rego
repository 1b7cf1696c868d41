# METADATA
# scope: package
# title: threshold
# description: |
#   Admits what enough of the named authorities signed, each by a signer of its own, and what every named group signed as often as it must. A key or identity that two authorities
#   or groups know stands for one of them only. Signatures on an index count for its children; what the registry itself signed never does.
# custom:
#   params:
#     authorities:
#       type: array
#       items: {type: string, not: {enum: [registry, ""]}}
#       default: []
#       description: names of the authorities of which enough must have signed
#     threshold:
#       type: integer
#       minimum: 0
#       maximum: 64
#       default: 0
#       description: how many of the authorities; 0 is all of them
#     groups:
#       type: array
#       default: []
#       description: groups of which each must have signed, whatever the threshold
#       items:
#         type: object
#         required: [name]
#         properties:
#           name: {type: string, pattern: "^.{1,64}$", description: for people}
#           authorities: {type: array, items: {type: string, not: {enum: [registry, ""]}}, default: [], description: any of these; none means any authority but the registry itself}
#           issuer: {type: array, items: {type: string, pattern: "."}, default: [], description: who vouched for the identity; exact or globs}
#           identity: {type: array, items: {type: string, pattern: "."}, default: [], description: who signed; exact or globs}
#           count: {type: integer, minimum: 1, maximum: 16, default: 1, description: how many distinct keys or identities}
#     logs:
#       type: integer
#       minimum: 0
#       maximum: 8
#       default: 0
#       description: in how many different transparency logs each signature that counts was proven to be
package assay

import data.assay.lib

admit.deny contains refusal if {
	lib.judged
	some refusal in refusals
}

needed := count(input.params.authorities) if {
	input.params.threshold == 0
} else := input.params.threshold

signed_for(name) := assay.signatures(input.signatures, {"authorities": name, "logs": input.params.logs}).value.signers

by_group := [who |
	some g in input.params.groups
	who := assay.signatures(input.signatures, {"authorities": g.authorities, "issuer": g.issuer, "identity": g.identity, "logs": input.params.logs}).value.signers
]

# How many authorities have a signer of their own.
met := assay.matching([signed_for(name) | some name in names]).value

names := {name | some name in input.params.authorities}

# How many signatures the groups want together, and how many they have from as many signers.
places := [by_group[i] | some i, g in input.params.groups; some _ in numbers.range(1, g.count)]

filled := assay.matching(places).value

# What cannot be counted is not met.
enough if {
	count(names) > 0
	met >= needed
}

enough if {
	count(names) == 0
	input.params.threshold == 0
	count(input.params.groups) > 0
}

complete if count(input.params.groups) == 0

complete if filled == count(places)

refusals contains refusal(sprintf("%s are wanted, and %s signed", [authorities, present])) if not enough

refusals contains refusal(sprintf("wanted are %s, each signer once; missing is %s", [groups, absent])) if not complete

# Whatever fails before the last one, the answer is no.
refusal(what) := {
	"code": "signature.threshold",
	"msg": sprintf("%s is not signed by enough: %s.", [lib.label, what]),
	"remedy": sprintf("%s, with a key or identity of one that is missing", [sign]),
	"evidence": array.slice([s.evidence | some s in input.signatures; s.verified == true], 0, 8),
} if {
	some s in input.signatures
	s.verified == true
} else := {
	"code": code,
	"msg": sprintf("%s has no signature that counts: %s. The nearest: %s.", [lib.label, what, lib.sentences[code]]),
	"remedy": object.get(lib.remedies, code, sign),
} if {
	code := assay.signatures(input.signatures, {}).value.nearest
} else := {
	"code": "signature.missing",
	"msg": sprintf("%s has no signature: %s.", [lib.label, what]),
	"remedy": sign,
}

default authorities := "authorities that are named"

authorities := sprintf("%d of %s", [needed, lib.clipped(concat(", ", names))]) if count(names) > 0

present := lib.clipped(concat(", ", those)) if {
	those := {name | some name in names; count(signed_for(name)) > 0}
	count(those) > 0
} else := "none of them"

groups := lib.clipped(concat(", ", [sprintf("%d of %s", [g.count, g.name]) | some g in input.params.groups]))

absent := "another signer, since one counts once" if {
	count(short) == 0
} else := lib.clipped(concat(", ", short))

short := {g.name | some i, g in input.params.groups; count(by_group[i]) < g.count}

sign := sprintf("cosign sign --key cosign.key <registry>/%s@%s", [input.subject.repository, input.subject.digest])
