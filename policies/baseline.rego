# METADATA
# scope: package
# title: baseline
# description: |
#   What every image should keep to: no tag latest that moves, no root user, a bounded size, a base image from a list, and layers that are what
#   the configuration says. What the bytes can answer is refused at the push already, and judged again whenever the image is.
# custom:
#   params:
#     latest:
#       type: string
#       enum: [deny, allow]
#       default: deny
#       description: whether the tag latest may be written where tags can move
#     immutable:
#       type: array
#       items: {type: string, pattern: "^[A-Za-z0-9._*-]+$"}
#       default: []
#       description: globs over tags that never move once they showed an image ('*' any characters); none moves everything
#     root_user:
#       type: string
#       enum: [deny, allow]
#       default: deny
#       description: whether an image may run as root; a name other than root is taken at its word
#     max_bytes:
#       type: integer
#       minimum: 0
#       default: 0
#       description: the most bytes that all layers together may have, compressed as stored; 0 is no limit
#     base_images:
#       type: array
#       items: {type: string, pattern: "^[A-Za-z0-9._:/@*-]+$"}
#       default: []
#       description: |
#         globs over the base image's name or digest ('*' within a path component, '**' across); none allows every base. The name is what the
#         annotation org.opencontainers.image.base.name claims, not a proof.
package assay

push.deny contains reason if some reason in bytes

admit.deny contains reason if some reason in bytes

push.deny contains moving if latest_moves

tag.deny contains moving if latest_moves

# A tag that cannot move is a version tag, whatever its name.
latest_moves if {
	input.params.latest == "deny"
	input.subject.tag == "latest"
	not input.tags.immutable
}

push.deny contains bound if binds

tag.deny contains bound if binds

# From the first image that a tag showed, deleted or not, until an administrator frees the name.
binds if {
	count(assay.globs(input.params.immutable, input.subject.tag, "name").value) > 0
	input.tags.previous_digest
	input.tags.previous_digest != input.subject.digest
}

bound := {
	"code": "tag.immutable",
	"msg": sprintf("The tag %s of %s names %s for good.", [input.subject.tag, input.subject.repository, substring(input.tags.previous_digest, 0, 19)]),
	"remedy": "push under another tag, or have an administrator delete this one",
}

moving := {
	"code": "tag.mutable",
	"msg": sprintf("The tag latest of %s can move, and this policy wants tags that say what they name.", [input.subject.repository]),
	"remedy": "push under a version, such as v1.2.3",
}

bytes contains {
	"code": "config.root_user",
	"msg": sprintf("%s runs as root (its configuration says User: %q).", [label, substring(input.config.user, 0, 40)]),
	"remedy": "set a numeric user, such as USER 65532 in the Dockerfile",
} if {
	input.subject.kind == "image"
	input.params.root_user == "deny"
	root(input.config.user)
}

# What cannot be read cannot be judged.
admit.deny contains {
	"code": "config.missing",
	"msg": sprintf("The configuration of %s could not be read, so that its user is unknown.", [label]),
	"remedy": "push the image again, with its configuration",
} if {
	input.subject.kind == "image"
	input.params.root_user == "deny"
	not input.config
}

# Runtimes read the part before the colon as a number if they can: "00" and "+0" are root too.
root(user) if regex.match(`^(root|[+-]?0+)?(:.*)?$`, user)

bytes contains {
	"code": "config.too_big",
	"msg": sprintf("The layers of %s have %d bytes, and this policy allows %d.", [label, size, input.params.max_bytes]),
	"remedy": "make the image smaller, or have the limit raised",
} if {
	input.subject.kind in {"image", "artifact"}
	input.params.max_bytes > 0
	size > input.params.max_bytes
}

size := sum([layer.size | some layer in input.manifest.layers])

bytes contains {
	"code": "base.unknown",
	"msg": sprintf("%s does not say which base image it is made from, and this policy allows only %s.", [label, allowed_bases]),
	"remedy": "build with the annotation org.opencontainers.image.base.name",
} if {
	base_matters
	count(bases) == 0
}

bytes contains {
	"code": "base.not_allowed",
	"msg": sprintf("%s is made from %s, and this policy allows only %s.", [label, substring(base, 0, 100), allowed_bases]),
	"remedy": "build from an allowed base image",
} if {
	base_matters
	some base in bases
	not base_allowed(base)
	not digest_allowed
}

base_matters if {
	input.subject.kind == "image"
	count(input.params.base_images) > 0
}

# Every name that is claimed must be allowed: a second claim must not hide behind the first.
bases contains input.config.base.name if input.config.base.name != ""

bases contains name if {
	name := input.manifest.annotations["org.opencontainers.image.base.name"]
	name != ""
}

base_allowed(name) if count(assay.globs(input.params.base_images, name, "path").value) > 0

digest_allowed if input.config.base.digest in input.params.base_images

allowed_bases := concat(", ", array.slice(input.params.base_images, 0, 4))

admit.deny contains {
	"code": "sbom.diff_ids",
	"msg": sprintf("The layers of %s are not those that its configuration names: their uncompressed digests differ from rootfs.diff_ids.", [label]),
	"remedy": "build and push the image again",
} if {
	input.sbom.diff_ids == "mismatch"
}

label := sprintf("%s@%s", [input.subject.repository, substring(input.subject.digest, 0, 19)])
