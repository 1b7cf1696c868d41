# METADATA
# scope: package
# title: pinned
# description: |
#   Admits what a TUF repository pins under any tag, and shows under a tag only what is pinned there: the target REPOSITORY/TAG has the manifest's digest and length. A pinned index
#   counts for its children. Attestations and evidence are not judged here.
# custom:
#   params:
#     authorities:
#       type: array
#       items: {type: string, not: {enum: [registry, ""]}}
#       default: []
#       description: names of the TUF authorities that count; none means any
package assay

admit.deny contains refusal if {
	judged
	not pinned
	refusal := verdict
}

tag.deny contains refusal if {
	judged
	refusal := moved
}

judged if input.subject.kind in {"image", "index", "artifact"}

pins := [s | some s in input.signatures; s.scheme == "tuf"]

pinned if {
	some s in pins
	s.verified == true
	accepted(s.authority)
}

accepted(name) if {
	not name in {"", "registry"}
	count(input.params.authorities) == 0
}

accepted(name) if {
	name != "registry"
	name in input.params.authorities
}

verdict := {
	"code": "tuf.expired",
	"msg": sprintf("The TUF metadata that pinned %s ran out.", [label]),
	"remedy": renew,
	"evidence": evidence,
} if {
	failed("tuf.expired")
} else := {
	"code": "tuf.digest_mismatch",
	"msg": sprintf("What is pinned as %s has another digest or length than %s.", [targets, label]),
	"remedy": add,
	"evidence": evidence,
} if {
	failed("signature.digest_mismatch")
} else := {
	"code": "tuf.untrusted",
	"msg": sprintf("%s is pinned by %s, which does not count here.", [label, concat(" and ", {s.authority | some s in pins; s.verified == true})]),
	"remedy": add,
	"evidence": evidence,
} if {
	some s in pins
	s.verified == true
} else := {
	"code": "tuf.missing",
	"msg": sprintf("No target of %s pins %s.", [by, label]),
	"remedy": add,
}

failed(code) if {
	some s in pins
	s.verified == false
	s.code == code
	concerns(object.get(s, "authority", ""))
}

# What proves nothing may name no authority.
concerns("")

concerns(name) if accepted(name)

evidence := array.slice([s.evidence | some s in pins], 0, 8)

targets := concat(" and ", {substring(s.target, 0, 80) | some s in pins; s.target != ""})

# One refusal for a tag, or none.
moved := {
	"code": "tuf.not_pinned",
	"msg": sprintf("No target of %s pins the tag %s of %s.", [by, tag_name, input.subject.repository]),
	"remedy": add_tag,
} if {
	not input.tuf.target
} else := {
	"code": "tuf.untrusted",
	"msg": sprintf("The tag %s of %s is pinned by %s, which does not count here.", [tag_name, input.subject.repository, said("authority")]),
	"remedy": add_tag,
} if {
	not accepted(said("authority"))
} else := {
	"code": "tuf.expired",
	"msg": sprintf("The TUF metadata of %s that pinned the tag %s of %s ran out.", [said("authority"), tag_name, input.subject.repository]),
	"remedy": renew,
} if {
	said("code") == "tuf.expired"
} else := {
	"code": "tuf.digest_mismatch",
	"msg": sprintf("The tag %s of %s is pinned to another digest than %s (target %s, role %s).", [tag_name, input.subject.repository, short, substring(said("target"), 0, 80), said("role")]),
	"remedy": add_tag,
} if {
	not input.tuf.digest_match == true
}

# Nothing that is missing may leave a refusal without its words.
said(name) := object.get(input.tuf, name, "")

tag_name := object.get(input.subject, "tag", "")

by := "any trusted TUF repository" if {
	count(input.params.authorities) == 0
} else := concat(" or ", input.params.authorities)

renew := "renew the metadata and publish it: assay tuf sign, assay tuf publish"

add := sprintf("pin it under a tag and publish: assay tuf add %s/TAG %s", [input.subject.repository, input.subject.digest])

add_tag := sprintf("pin it and publish: assay tuf add %s/%s %s", [input.subject.repository, tag_name, input.subject.digest])

short := substring(input.subject.digest, 0, 19)

label := sprintf("%s@%s", [input.subject.repository, short])
