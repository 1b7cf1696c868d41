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
admit.valid_until contains time.format(end) if some end in ends

ends contains time.now_ns() + lib.days(1)

ends contains created + lib.days(input.params.created_days) if input.params.created_days > 0

ends contains seen + lib.days(input.params.seen_days) if input.params.seen_days > 0

ends contains attested + lib.days(input.params.attested_days) if input.params.attested_days > 0

created := lib.moment(input.config.created)

seen := lib.moment(input.subject.first_seen)

fresh := lib.attestations({"predicate_types": input.params.predicate_types, "authorities": input.params.authorities})

attested := max([at | some a in fresh; at := lib.made(a)])

age(moment) := floor((time.now_ns() - moment) / lib.days(1))

young(moment, limit) if time.now_ns() < moment + lib.days(limit)

reasons contains {
	"code": "config.too_old",
	"msg": sprintf("%s was made %s, and this policy allows %d days.", [lib.label, ago(created), input.params.created_days]),
	"remedy": "build it again, on a base image of today",
} if {
	dated
	created
	not young(created, input.params.created_days)
}

reasons contains {
	"code": "config.no_date",
	"msg": sprintf("The configuration of %s does not say when it was made, and this policy wants to know.", [lib.label]),
	"remedy": "build it with a time of creation: SOURCE_DATE_EPOCH",
} if {
	dated
	not created
}

dated if {
	input.params.created_days > 0
	input.subject.kind == "image"
}

reasons contains {
	"code": "image.too_old",
	"msg": sprintf("%s came %s, and this policy allows %d days.", [lib.label, came, input.params.seen_days]),
	"remedy": "push a newer build",
} if {
	input.params.seen_days > 0
	not recent
}

recent if young(seen, input.params.seen_days)

came := ago(seen) if {
	seen
} else := "at a time that is not known"

reasons contains {
	"code": "attestation.too_old",
	"msg": sprintf("The newest attestation of %s was made %s, and this policy allows %d days (%s).", [lib.label, made, input.params.attested_days, types]),
	"remedy": "attest it again: cosign attest",
	"evidence": array.slice([a.evidence | some a in fresh], 0, 8),
} if {
	input.params.attested_days > 0
	count(fresh) > 0
	not current
}

current if young(attested, input.params.attested_days)

made := ago(attested) if {
	attested
} else := "at a time that nobody says"

reasons contains {
	"code": "attestation.missing",
	"msg": sprintf("%s has no attestation of a type whose age this policy limits (%s).", [lib.label, types]),
	"remedy": "attest it: cosign attest",
} if {
	input.params.attested_days > 0
	count(fresh) == 0
}

ago(moment) := sprintf("%d days ago", [age(moment)])

types := lib.clipped(concat(" or ", input.params.predicate_types))
