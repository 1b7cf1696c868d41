# METADATA
# scope: package
# title: sbom
# description: |
#   Admits an image when it has an SBOM of an accepted origin and format. Where a generated one is accepted, the registry is asked to make it. An index
#   is judged by its children, and other artifacts need none.
# custom:
#   params:
#     origins:
#       type: array
#       items: {type: string, enum: [attested, attached, generated]}
#       minItems: 1
#       default: [attested, attached, generated]
#       description: attested is signed by a trusted authority, attached is a client's unsigned document, generated is the registry's own
#     formats:
#       type: array
#       items: {type: string, pattern: "^[a-z0-9.-]+$"}
#       default: []
#       description: accepted formats, such as spdx, spdx-2.3 or cyclonedx; none accepts every format
package assay

admit.deny contains refusal if {
	input.subject.kind == "image"
	refusal := verdict
}

# Asking again after a final failure would ask for ever.
admit.obligations contains {"type": "generate_sbom"} if {
	input.subject.kind == "image"
	verdict
	"generated" in input.params.origins
	not failed
	not generated
}

failed if input.sbom.failed != ""

generated if {
	input.sbom.present == true
	input.sbom.origin == "generated"
}

verdict := {
	"code": "sbom.failed",
	"msg": sprintf("The SBOM of %s could not be made: %s.", [label, substring(trim_right(input.sbom.failed, ". "), 0, 160)]),
	"remedy": "attach one: cosign attest --type spdxjson --predicate sbom.spdx.json",
} if {
	not present
	failed
} else := {
	"code": "sbom.missing",
	"msg": sprintf("%s has no SBOM yet, and this policy wants one that is %s.", [label, concat(" or ", input.params.origins)]),
	"remedy": waiting,
} if {
	not present
} else := {
	"code": "sbom.origin",
	"msg": sprintf("The SBOM of %s is %s, and this policy wants one that is %s.", [label, origin, concat(" or ", input.params.origins)]),
	"remedy": waiting,
} if {
	not origin_accepted
} else := {
	"code": "sbom.unverified",
	"msg": sprintf("The attestation that carries the SBOM of %s is not verified.", [label]),
	"remedy": "sign the attestation with a key of a trusted authority: cosign attest",
} if {
	origin == "attested"
	not input.sbom.verified
} else := {
	"code": "sbom.format",
	"msg": sprintf("The SBOM of %s has the format %s, and this policy wants %s.", [label, format, concat(" or ", input.params.formats)]),
	"remedy": "attach one in that format",
} if {
	count(input.params.formats) > 0
	not format_accepted
}

present if input.sbom.present == true

default origin := "of unknown origin"

origin := input.sbom.origin

# The input describes the best one; where that is not accepted, another that is there may be.
origin_accepted if origin in input.params.origins

origin_accepted if {
	some other in input.sbom.origins
	other in input.params.origins
}

default format := "unknown"

format := input.sbom.format

format_accepted if {
	origin in input.params.origins
	some accepted in input.params.formats
	matches(accepted, format)
}

matches(accepted, name) if accepted == name

matches(accepted, name) if startswith(name, concat("", [accepted, "-"]))

waiting := "wait a moment: the registry makes it" if {
	"generated" in input.params.origins
	not failed
} else := "attach one: cosign attest --type spdxjson --predicate sbom.spdx.json"

label := sprintf("%s@%s", [input.subject.repository, substring(input.subject.digest, 0, 19)])
