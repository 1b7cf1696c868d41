# METADATA
# scope: package
# title: tags
# description: |
#   What a tag may be called, which never move, and what must have been shown or attested before a tag shows it. A push that a rule about names or promotion forbids is refused
#   and stores nothing; an attestation may come later, and the tag shows the image when it is there.
# custom:
#   params:
#     allowed:
#       type: array
#       items: {type: string, pattern: "^[A-Za-z0-9._*-]+$"}
#       default: []
#       description: globs over tags ('*' any characters), or the word semver for versions such as 1.2.3 and v1.2.3-rc.1; none allows every name
#     denied:
#       type: array
#       items: {type: string, pattern: "^[A-Za-z0-9._*-]+$"}
#       default: []
#       description: globs over tags, or the word semver, that are refused whatever is allowed
#     immutable:
#       type: array
#       items: {type: string, pattern: "^[A-Za-z0-9._*-]+$"}
#       default: [semver]
#       description: globs over tags, or the word semver, that never move once they showed an image
#     promotion:
#       type: array
#       default: []
#       description: what tags may show
#       items:
#         type: object
#         required: [tags]
#         properties:
#           tags: {type: array, items: {type: string, pattern: "^[A-Za-z0-9._*-]+$"}, minItems: 1, description: globs over the tags that are promoted to}
#           from: {type: array, items: {type: string, pattern: "^[A-Za-z0-9._*-]+$"}, default: [], description: globs over tags of the same repository of which one shows the image when it is pushed under this one; none asks for no tag}
#           from_repositories: {type: array, items: {type: string, pattern: "^[a-z0-9._/*-]+$"}, default: [], description: "globs over other repositories ('*' within a component, '**' across) of which one admits the image when it is pushed under this tag; none asks for no repository"}
#           predicate_types: {type: array, items: {type: string, pattern: "."}, default: [], description: a type of attestation that the image carries; exact or globs}
#           annotations: {type: object, additionalProperties: {type: string}, default: {}, description: signed annotations that a signature of the image carries}
#           authorities: {type: array, items: {type: string, not: {enum: [registry, ""]}}, default: [], description: by whom the attestation and the signature are}
package assay

import data.assay.lib

push.deny contains reason if some reason in name_reasons

tag.deny contains reason if some reason in name_reasons

name_reasons contains {
	"code": "tag.not_allowed",
	"msg": sprintf("The tag %s is no name that is allowed in %s (%s).", [tag_name, input.subject.repository, allowed_names]),
	"remedy": "push under a name that is allowed",
} if {
	tag_name
	not name_allowed
}

name_reasons contains {
	"code": "tag.immutable",
	"msg": sprintf("The tag %s of %s names %s for good.", [tag_name, input.subject.repository, substring(input.tags.previous_digest, 0, 19)]),
	"remedy": "push under another tag, or have an administrator delete this one",
} if {
	fits(input.params.immutable, tag_name)
	input.tags.previous_digest
	input.tags.previous_digest != input.subject.digest
}

tag_name := input.subject.tag if input.subject.tag != ""

name_allowed if {
	count(input.params.allowed) == 0
	not fits(input.params.denied, tag_name)
}

name_allowed if {
	fits(input.params.allowed, tag_name)
	not fits(input.params.denied, tag_name)
}

# A version without build metadata, which no tag can hold.
fits(patterns, name) if {
	"semver" in patterns
	semver.is_valid(trim_prefix(name, "v"))
}

fits(patterns, name) if count(assay.globs(patterns, name, "name").value) > 0

allowed_names := sprintf("allowed is %s", [lib.clipped(concat(", ", input.params.allowed))]) if {
	count(input.params.allowed) > 0
	not fits(input.params.denied, tag_name)
} else := sprintf("denied is %s", [lib.clipped(concat(", ", input.params.denied))])

# Promotion is judged when the tag is written: what the other tag or repository shows later is another matter.
push.deny contains {
	"code": "tag.not_promoted",
	"msg": sprintf("The tag %s of %s may only show what one of these already shows: %s.", [tag_name, input.subject.repository, lib.clipped(concat(", ", rule.from))]),
	"remedy": "push it under one of these first, and wait until it is admitted",
} if {
	some rule in promotions
	count(rule.from) > 0
	not stays
	not shown(rule.from)
}

push.deny contains {
	"code": "tag.not_promoted",
	"msg": sprintf("The tag %s of %s may only show what is admitted in one of these repositories: %s.", [tag_name, input.subject.repository, lib.clipped(concat(", ", rule.from_repositories))]),
	"remedy": "push it there first, and wait until it is admitted",
} if {
	some rule in promotions
	count(rule.from_repositories) > 0
	not stays
	not admitted_in(rule.from_repositories)
}

# The tag shows it already.
stays if input.tags.previous_digest == input.subject.digest

admitted_in(patterns) if count(assay.globs(patterns, input.tags.admitted_in, "path").value) > 0

promotions := [rule | some rule in input.params.promotion; fits(rule.tags, tag_name)]

shown(patterns) if {
	some other in input.tags.visible
	other != tag_name
	fits(patterns, other)
}

tag.deny contains {
	"code": "tag.not_attested",
	"msg": sprintf("The tag %s of %s may only show what carries an attestation of %s by %s.", [tag_name, input.subject.repository, lib.clipped(concat(" or ", rule.predicate_types)), by(rule)]),
	"remedy": "attest the digest: cosign attest",
} if {
	some rule in promotions
	count(rule.predicate_types) > 0
	not lib.attested({"predicate_types": rule.predicate_types, "authorities": rule.authorities})
}

tag.deny contains {
	"code": "tag.not_attested",
	"msg": sprintf("The tag %s of %s may only show what is signed with %s by %s.", [tag_name, input.subject.repository, wanted(rule), by(rule)]),
	"remedy": sprintf("sign the digest with the annotations: cosign sign -a %s", [wanted(rule)]),
} if {
	some rule in promotions
	count(rule.annotations) > 0
	not lib.signed_by({"annotations": rule.annotations, "authorities": rule.authorities})
}

wanted(rule) := lib.clipped(concat(" -a ", [sprintf("%s=%s", [k, v]) | some k, v in rule.annotations]))

by(rule) := "any trusted authority" if {
	count(rule.authorities) == 0
} else := concat(" or ", rule.authorities)
