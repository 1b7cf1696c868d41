# METADATA
# scope: package
# title: signed
# description: |
#   Admits an image, an index or an artifact when enough of the accepted authorities signed it. Signatures on an index count for its children.
#   What the registry itself signed never counts, and a TUF repository that pins tags only where it is named. Attestations and evidence are not judged here.
# custom:
#   params:
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
#       description: how many distinct keys or identities must have signed
#     annotations:
#       type: object
#       additionalProperties: {type: string}
#       default: {}
#       description: signed annotations that each counted signature must carry, with these values
package assay

import data.assay.lib

admit.deny contains refusal if {
	judged
	not enough
	refusal := verdict
}

judged if input.subject.kind in {"image", "index", "artifact"}

# The signatures that count, and who made them. A key is one signer, however many signatures, tags or authorities it appears under.
found := assay.signatures(input.signatures, {"authorities": input.params.authorities, "annotations": input.params.annotations}).value

enough if count(found.signers) >= input.params.threshold

# Exactly one refusal: too few signed, the nearest miss, or nothing was found. The last one needs nothing: whatever fails before it, the answer is no.
verdict := {
	"code": "signature.threshold",
	"msg": sprintf("%s has valid signatures by %d of the %d distinct signers that are wanted (%s).", [label, count(found.signers), input.params.threshold, wanted]),
	"remedy": sprintf("%s, with a key or identity that has not signed it yet", [sign]),
	"evidence": first(found.facts),
} if {
	count(found.facts) > 0
} else := {
	"code": found.nearest,
	"msg": sprintf("%s has no signature that counts (%s is wanted): %s.", [label, wanted, sentence(found.nearest)]),
	"remedy": remedy(found.nearest),
	"evidence": first(found.near),
} if {
	found.nearest
} else := {
	"code": "signature.missing",
	"msg": sprintf("%s has no signature, and %s is wanted.", [label, wanted]),
	"remedy": sign,
}

first(facts) := array.slice([f.evidence | some f in facts], 0, 8)

# What is wrong with the nearest miss: the fewest steps away from a signature that counts.
sentence(code) := "the one by an accepted authority lacks a signed annotation that this policy wants" if {
	code == "signature.annotations"
} else := sprintf("the valid one is by %s, which does not count here", [concat(" and ", {s.authority | some s in found.near})]) if {
	code == "signature.untrusted"
} else := sprintf("the valid one was made for %s", [elsewhere]) if {
	code == "signature.other_repository"
} else := lib.named(found.near) if {
	code == "signature.identity"
} else := lib.sentences[code]

remedy(code) := sprintf("%s -a KEY=VALUE for each of: %s", [sign, concat(", ", {sprintf("%s=%s", [k, v]) | some k, v in input.params.annotations})]) if {
	code == "signature.annotations"
} else := sprintf("sign with a trusted key (%s), or trust this one: assay trust add", [sign]) if {
	code == "signature.untrusted_key"
} else := sprintf("sign with a key that is not revoked: %s", [sign]) if {
	code == "signature.revoked_key"
} else := object.get(lib.remedies, code, sign)

default elsewhere := "another repository"

elsewhere := concat(" and ", claimed) if count(claimed) > 0

claimed := {substring(s.claimed_reference, 0, 80) | some s in found.near; s.claimed_reference != ""}

# The host is known to clients only: whoever renders a remedy may put it in the place of <registry>.
sign := sprintf("cosign sign --key cosign.key <registry>/%s@%s", [input.subject.repository, input.subject.digest])

label := sprintf("%s@%s", [input.subject.repository, substring(input.subject.digest, 0, 19)])

wanted := sprintf("%d distinct by %s", [input.params.threshold, who]) if {
	input.params.threshold > 1
	who := by
} else := sprintf("one by %s", [by])

by := "any trusted authority" if {
	count(input.params.authorities) == 0
} else := concat(" or ", input.params.authorities)
