# METADATA
# scope: package
# title: sbom
# description: |
#   Admits an image when it has an SBOM of an accepted origin and format. Where a generated one is accepted, the registry is asked to make it. What a client's SBOM declares can be
#   held against what the registry found. An index is judged by its children, and other artifacts need none.
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
#     max_absent:
#       type: integer
#       minimum: -1
#       default: -1
#       description: how many packages a client's SBOM may declare that the registry did not find; -1 for any number
#     max_undeclared:
#       type: integer
#       minimum: -1
#       default: -1
#       description: how many packages the registry may find that a client's SBOM does not declare; -1 for any number
package assay

admit.deny contains refusal if {
	input.subject.kind == "image"
	refusal := verdict
}

admit.deny contains refusal if {
	input.subject.kind == "image"
	some refusal in drifted
}

# Asking again after a final failure would ask for ever.
admit.obligations contains {"type": "generate_sbom"} if {
	input.subject.kind == "image"
	verdict
	"generated" in input.params.origins
	not failed
	not generated
}

admit.obligations contains {"type": "generate_sbom"} if {
	input.subject.kind == "image"
	compares
	declared
	not failed
	not found
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

# What a client declares against what the registry found. An image of which nobody declares anything has no drift: whether that may be says origins.
compares if input.params.max_absent >= 0

compares if input.params.max_undeclared >= 0

origins contains input.sbom.origin

origins contains origin_there if some origin_there in input.sbom.origins

declared if count(origins & {"attested", "attached"}) > 0

found if "generated" in origins

drifted contains {
	"code": "sbom.drift",
	"msg": sprintf("What the SBOM of %s declares was not compared with what is in it: %s.", [label, why_not]),
	"remedy": not_compared,
} if {
	compares
	declared
	not input.sbom.drift
}

drifted contains {
	"code": "sbom.drift",
	"msg": sprintf("The %s SBOM of %s declares %d packages that are not in it, and at most %d may be: %s.", [drift.declared, label, drift.absent, input.params.max_absent, few(drift.absent, object.get(drift, "absent_top", []))]),
	"remedy": "attest an SBOM of what was pushed; see all of them with assay sbom drift",
} if {
	input.params.max_absent >= 0
	drift.absent > input.params.max_absent
}

drifted contains {
	"code": "sbom.drift",
	"msg": sprintf("%s has %d packages that its %s SBOM does not declare, and at most %d may be: %s.", [label, drift.undeclared, drift.declared, input.params.max_undeclared, few(drift.undeclared, object.get(drift, "undeclared_top", []))]),
	"remedy": "attest an SBOM of what was pushed; see all of them with assay sbom drift",
} if {
	input.params.max_undeclared >= 0
	drift.undeclared > input.params.max_undeclared
}

drift := input.sbom.drift

few(n, names) := substring(concat(", ", names), 0, 400) if n <= count(names)

few(n, names) := sprintf("%s and more", [substring(concat(", ", names), 0, 400)]) if n > count(names)

why_not := sprintf("the registry could not make its own (%s)", [substring(trim_right(input.sbom.failed, ". "), 0, 160)]) if failed

why_not := "the registry makes its own first" if {
	not failed
	not found
}

why_not := "it is being read, or cannot be" if {
	not failed
	found
}

not_compared := "see why with assay sbom status" if {
	failed
} else := "wait a moment; assay sbom status shows what is being read"

waiting := "wait a moment: the registry makes it" if {
	"generated" in input.params.origins
	not failed
} else := "attach one: cosign attest --type spdxjson --predicate sbom.spdx.json"

label := sprintf("%s@%s", [input.subject.repository, substring(input.subject.digest, 0, 19)])
