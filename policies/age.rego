# METADATA
# scope: package
# title: age
# description: |
#   Admits what is young enough: an image by the time of its making, by the time since the registry first saw it, and by the newest attestation of a type, such as a scan. A verdict
#   ends with the first of these times, so that what grows old is refused without anybody asking.
# custom:
#   params:
#     created_days:
#       type: integer
#       minimum: 0
#       default: 0
#       description: the most days since the image was made, as its configuration says; 0 does not ask. An image that does not say is refused
#     seen_days:
#       type: integer
#       minimum: 0
#       default: 0
#       description: the most days since the registry first saw it; 0 does not ask
#     attested_days:
#       type: integer
#       minimum: 0
#       default: 0
#       description: the most days since the newest attestation of predicate_types was made; 0 does not ask
#     predicate_types:
#       type: array
#       items: {type: string, pattern: "."}
#       default: ["https://cosign.sigstore.dev/attestation/vuln/v1", "https://in-toto.io/attestation/vulns/*"]
#       description: the types of attestation that attested_days is about; exact or globs
#     authorities:
#       type: array
#       items: {type: string, not: {enum: [registry, ""]}}
#       default: []
#       description: whose attestations count; none means any authority but the registry itself
package assay

import data.assay.lib

admit.deny contains reason if {
	lib.judged
	some reason in reasons
}

# The verdict is asked for again when the first limit is reached, and once a day in any case.
admit.valid_until contains time.format(time.now_ns() + 86400000000000)

admit.valid_until contains time.format(created_end) if input.params.created_days > 0

admit.valid_until contains time.format(seen_end) if input.params.seen_days > 0

admit.valid_until contains time.format(attested_end) if input.params.attested_days > 0

# Until when each is young enough; undefined where nobody says when it was made.
created_end := assay.until(input.config.created, input.params.created_days).value

seen_end := assay.until(input.subject.first_seen, input.params.seen_days).value

attested_end := assay.until(fresh, input.params.attested_days).value

fresh := assay.attestations(input.attestations, {"predicate_types": input.params.predicate_types, "authorities": input.params.authorities}).value.facts

reasons contains of_creation if {
	input.params.created_days > 0
	input.subject.kind == "image"
	not of_late
}

of_late if created_end > time.now_ns()

of_creation := {
	"code": "config.too_old",
	"msg": sprintf("%s was made %s, and this policy allows %d days.", [lib.label, ago(created_end, input.params.created_days), input.params.created_days]),
	"remedy": "build it again, on a base image of today",
} if {
	created_end
} else := {
	"code": "config.no_date",
	"msg": sprintf("The configuration of %s does not say when it was made, and this policy wants to know.", [lib.label]),
	"remedy": "build it with a time of creation: SOURCE_DATE_EPOCH",
}

reasons contains {
	"code": "image.too_old",
	"msg": sprintf("%s came %s, and this policy allows %d days.", [lib.label, came, input.params.seen_days]),
	"remedy": "push a newer build",
} if {
	input.params.seen_days > 0
	not recent
}

recent if seen_end > time.now_ns()

came := ago(seen_end, input.params.seen_days) if {
	seen_end
} else := "at a time that is not known"

reasons contains of_attestation if {
	input.params.attested_days > 0
	not current
}

current if attested_end > time.now_ns()

of_attestation := {
	"code": "attestation.too_old",
	"msg": sprintf("The newest attestation of %s was made %s, and this policy allows %d days (%s).", [lib.label, made, input.params.attested_days, types]),
	"remedy": "attest it again: cosign attest",
	"evidence": array.slice([a.evidence | some a in fresh], 0, 8),
} if {
	count(fresh) > 0
} else := {
	"code": "attestation.missing",
	"msg": sprintf("%s has no attestation of a type whose age this policy limits (%s).", [lib.label, types]),
	"remedy": "attest it: cosign attest",
}

made := ago(attested_end, input.params.attested_days) if {
	attested_end
} else := "at a time that nobody says"

# ago(end, limit): when it was made what was young for so many days, until the end.
ago(end, limit) := sprintf("%d days ago", [lib.whole_days(time.now_ns() - end) + limit])

types := lib.clipped(concat(" or ", input.params.predicate_types))
