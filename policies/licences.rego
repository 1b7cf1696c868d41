# METADATA
# scope: package
# title: licences
# description: |
#   Admits an image when the licences of its packages, as its SBOM has them, are allowed. Of an expression such as "MIT OR GPL-2.0-only" one alternative has to be; what is no
#   expression is taken as the name of a licence. A licence that is named stands before its category, and what is denied before what is allowed.
#   An index is judged by its children, and other artifacts have no packages.
# custom:
#   params:
#     allowed:
#       type: array
#       items: {type: string, pattern: "."}
#       default: []
#       description: SPDX identifiers or globs over them, in whatever capitals; with allowed_categories empty, none allows every licence that is not denied
#     denied:
#       type: array
#       items: {type: string, pattern: "."}
#       default: []
#       description: SPDX identifiers or globs over them
#     allowed_categories:
#       type: array
#       items: {type: string, enum: [permissive, weak, copyleft, network, restricted, unknown]}
#       default: []
#       description: what the categories are says assay.licence.category
#     denied_categories:
#       type: array
#       items: {type: string, enum: [permissive, weak, copyleft, network, restricted, unknown]}
#       default: [network, restricted]
#       description: categories that are refused unless a licence of theirs is in allowed
#     unlicensed:
#       type: string
#       enum: [deny, allow]
#       default: allow
#       description: whether packages may be there whose licence the SBOM does not tell
#     exceptions:
#       type: array
#       default: []
#       description: packages that may be there under a licence that is refused; they need the index of packages, and without it there is no exception
#       items:
#         type: object
#         required: [purl, reason]
#         properties:
#           purl: {type: string, pattern: "^pkg:.", description: "exact or a glob over the package URL, with or without its version ('*' within a component, '**' across)"}
#           licences: {type: array, items: {type: string, pattern: "."}, default: ["**"], description: for which licences; exact or globs}
#           reason: {type: string, pattern: ".", description: for people}
#     origins:
#       type: array
#       items: {type: string, enum: [attested, attached, generated]}
#       minItems: 1
#       default: [attested, generated]
#       description: which SBOMs are believed; attached is a client's unsigned document
package assay

import data.assay.lib

admit.deny contains reason if {
	input.subject.kind == "image"
	some reason in reasons
}

admit.obligations contains {"type": "generate_sbom"} if {
	input.subject.kind == "image"
	"generated" in input.params.origins
	not input.sbom.failed
	not generated
	not known
}

generated if "generated" in input.sbom.origins

believed if {
	input.sbom.present == true
	input.sbom.origin in input.params.origins
}

reasons contains {
	"code": "sbom.missing",
	"msg": sprintf("%s has no SBOM that this policy believes (%s), so that its licences are unknown.", [lib.label, concat(" or ", input.params.origins)]),
	"remedy": "wait until the registry made it, or attest one: cosign attest --type spdxjson --predicate sbom.spdx.json",
} if {
	not believed
}

packages := input.sbom.packages

# An SBOM of which nothing but the number of packages is known tells no licences.
known if packages.count == 0

known if count(packages.by_license) > 0

known if packages.unlicensed > 0

reasons contains {
	"code": "license.unknown",
	"msg": sprintf("What is known of the SBOM of %s tells no licences.", [lib.label]),
	"remedy": "have the registry make the SBOM, or attest one that names licences",
} if {
	believed
	not known
}

reasons contains {
	"code": "license.denied",
	"msg": sprintf("%s has packages under licences that are denied here: %s.", [lib.label, told(denied_found)]),
	"remedy": "replace the packages, or except them by name",
} if {
	believed
	count(denied_found) > 0
}

reasons contains {
	"code": "license.not_allowed",
	"msg": sprintf("%s has packages under licences that are not allowed here: %s.", [lib.label, told(other_found)]),
	"remedy": "replace the packages, or have the licences allowed",
} if {
	believed
	count(other_found) > 0
}

reasons contains {
	"code": "license.unlicensed",
	"msg": sprintf("%s has %d packages whose licence nobody tells.", [lib.label, unlicensed]),
	"remedy": "find out the licences and attest an SBOM that names them",
} if {
	believed
	known
	input.params.unlicensed == "deny"
	unlicensed > 0
}

# At least so many: each package with a licence is counted once or more.
unlicensed := max([packages.unlicensed, packages.count - judged.packages])

# Which expressions are refused, before exceptions.
judged := assay.licence.judge(object.get(packages, "by_license", {}), {
	"allowed": input.params.allowed, "denied": input.params.denied,
	"allowed_categories": input.params.allowed_categories, "denied_categories": input.params.denied_categories,
}).value

denied_found := judged.denied if {
	count(input.params.exceptions) == 0
} else := [expression | some expression in judged.denied; not excepted(expression)]

other_found := judged.not_allowed if {
	count(input.params.exceptions) == 0
} else := [expression | some expression in judged.not_allowed; not excepted(expression)]

named(patterns, id) if count(assay.globs([upper(p) | some p in patterns], upper(id), "path").value) > 0

# An expression is excepted if every package under it is: all of them must be known.
excepted(expression) if {
	patterns := [e.purl | some e in input.params.exceptions; named(e.licences, expression)]
	count(patterns) > 0
	answer := packages_under(expression)
	not answer.more
	count(answer.packages) > 0
	every one in answer.packages {
		some form in [one.purl, split(split(one.purl, "?")[0], "@")[0]]
		some pattern in patterns
		lib.matches(pattern, form)
	}
}

told(expressions) := sprintf("%s%s", [concat(", ", list), rest(count(expressions) - 5)]) if {
	list := [sprintf("%s (%d%s)", [lib.clipped(e), packages.by_license[e], first(e)]) | some e in array.slice(expressions, 0, 5)]
}

rest(n) := sprintf(" and %d more", [n]) if n > 0

rest(n) := "" if n <= 0

# The first package under an expression, and where it is, as far as that is known.
first(expression) := sprintf(": %s %s", [one.purl, one.where]) if {
	one := packages_under(expression).packages[0]
} else := ""

packages_under(expression) := assay.packages({"licence": expression, "unsigned": "believe"}).value if {
	"attached" in input.params.origins
} else := assay.packages({"licence": expression}).value
