# METADATA
# scope: package
# title: cluster
# description: |
#   What a cluster may run, by namespace: images of these repositories and no others. It judges what a cluster asks, and no pull; what else a cluster is told follows from the other
#   policies of the repository. An image of another registry is named HOST/REPOSITORY.
# custom:
#   params:
#     namespaces:
#       type: object
#       additionalProperties: {type: array, items: {type: string, pattern: "^[A-Za-z0-9._:/*-]+$"}}
#       default: {}
#       description: globs over namespaces, each with the globs over repositories that may run there ('*' within a component, '**' across)
#     labels:
#       type: object
#       additionalProperties: {type: array, items: {type: string, pattern: "^[A-Za-z0-9._:/*-]+$"}}
#       default: {}
#       description: labels of namespaces, such as env=prod, each with the globs over repositories that may run there; a label counts where the webhook's path tells it
#     others:
#       type: string
#       enum: [deny, allow]
#       default: deny
#       description: whether a namespace that no glob names may run everything
#     digests:
#       type: array
#       items: {type: string, pattern: "^[A-Za-z0-9._*-]+$"}
#       default: []
#       description: globs over namespaces in which an image must be named by its digest
#     ephemeral:
#       type: string
#       enum: [deny, allow]
#       default: allow
#       description: whether ephemeral containers, which people add for debugging, may run
package assay

import data.assay.lib

k8s.deny contains {
	"code": "cluster.repository",
	"msg": sprintf("The namespace %s may not run images of %s.", [namespace, lib.clipped(input.subject.repository)]),
	"remedy": "run it in another namespace, or have the policy allow the repository there",
} if {
	not allowed
}

k8s.deny contains {
	"code": "cluster.digest",
	"msg": sprintf("The namespace %s runs images that are named by their digest, and %s is not.", [namespace, lib.clipped(input.k8s.image)]),
	"remedy": pinned,
} if {
	covered(input.params.digests)
	not contains(input.k8s.image, "@")
}

k8s.deny contains {
	"code": "cluster.ephemeral",
	"msg": sprintf("The namespace %s runs no ephemeral containers, such as %s.", [namespace, lib.clipped(object.get(input.k8s, "container", "this one"))]),
	"remedy": "debug in a namespace that allows them",
} if {
	input.params.ephemeral == "deny"
	input.k8s.container_kind == "ephemeral"
}

# Whoever does not say the namespace, as the verify API, is in none.
default namespace := "(none)"

namespace := lib.clipped(input.k8s.namespace) if input.k8s.namespace != ""

covered(patterns) if count(assay.globs(patterns, input.k8s.namespace, "name").value) > 0

rules := array.concat(
	[repositories | some pattern, repositories in input.params.namespaces; covered(pattern)],
	[repositories | some pair, repositories in input.params.labels; labelled(pair)],
)

labelled(pair) if {
	[key, value] := split(pair, "=")
	input.k8s.namespace_labels[key] == value
}

allowed if {
	some repositories in rules
	count(assay.globs(repositories, input.subject.repository, "path").value) > 0
}

allowed if {
	count(rules) == 0
	input.params.others == "allow"
}

default pinned := "name it by its digest: NAME@sha256:..."

pinned := sprintf("name it as %s@%s", [lib.clipped(input.k8s.image), input.subject.digest]) if input.subject.digest != ""
