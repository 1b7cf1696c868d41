# METADATA
# scope: package
# title: config
# description: |
#   What an image's configuration may say: ports, entrypoint, labels, names in the environment, platforms, the number of layers. Refused at the push already, and judged again
#   whenever the image is. An index is judged by its children, and other artifacts have no such configuration.
# custom:
#   params:
#     env_denied:
#       type: array
#       items: {type: string, pattern: "^[A-Za-z0-9_.*-]+$"}
#       default: ["*PASSWORD*", "*PASSWD*", "*SECRET*", "*TOKEN*", "*API_KEY*", "*PRIVATE_KEY*", "*CREDENTIAL*"]
#       description: globs over names in the environment that are refused, in whatever capitals; values are never looked at
#     labels:
#       type: object
#       additionalProperties: {type: string, pattern: "."}
#       default: {}
#       description: labels that the image must have, with a glob over the value ('*' within a component between slashes, '**' across)
#     ports:
#       type: array
#       items: {type: string, pattern: "^([0-9]{1,5}(-[0-9]{1,5})?|\\*)(/(tcp|udp|sctp))?$"}
#       default: []
#       description: ports that may be exposed, such as 8080, 8000-8999/tcp or */udp; without a protocol it is tcp; none allows every port
#     entrypoint:
#       type: array
#       items: {type: string, pattern: "."}
#       default: []
#       description: globs over the first word of what runs (entrypoint, else command); none allows everything, an image that says nothing included
#     platforms:
#       type: array
#       items: {type: string, pattern: "^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$"}
#       default: []
#       description: platforms that are allowed, such as linux/amd64; none allows every one
#     max_layers:
#       type: integer
#       minimum: 0
#       default: 0
#       description: the most layers; 0 is no limit
package assay

import data.assay.lib

push.deny contains reason if {
	input.subject.kind == "image"
	some reason in bytes
}

admit.deny contains reason if {
	input.subject.kind == "image"
	some reason in bytes
}

# What cannot be read cannot be judged.
admit.deny contains {
	"code": "config.missing",
	"msg": sprintf("The configuration of %s could not be read, so that it cannot be judged.", [lib.label]),
	"remedy": "push the image again, with its configuration",
} if {
	input.subject.kind == "image"
	not input.config
}

bytes contains {
	"code": "config.env",
	"msg": sprintf("The configuration of %s sets %s in the environment, which looks like something secret that whoever pulls it can read.", [lib.label, lib.clipped(concat(", ", secrets))]),
	"remedy": "leave it out of the image and hand it to the container when it starts; what was pushed is no secret any more",
} if {
	count(secrets) > 0
}

secrets := {name | some name in assay.globs(input.params.env_denied, input.config.env_names, "fold").value}

bytes contains {
	"code": "config.label",
	"msg": sprintf("%s has no label %s that matches %s.", [lib.label, lib.clipped(name), lib.clipped(pattern)]),
	"remedy": sprintf("set it: LABEL %s=... in the Dockerfile", [name]),
} if {
	some name, pattern in input.params.labels
	input.config
	not labelled(name, pattern)
}

labelled(name, pattern) if count(assay.globs(pattern, input.config.labels[name], "path").value) > 0

bytes contains {
	"code": "config.port",
	"msg": sprintf("%s exposes %s, and this policy allows only %s.", [lib.label, lib.clipped(concat(", ", closed)), lib.clipped(concat(", ", input.params.ports))]),
	"remedy": "expose an allowed port",
} if {
	count(input.params.ports) > 0
	count(closed) > 0
}

closed := {port | some port in input.config.exposed_ports; not open(port)}

open(port) if {
	number := trim_suffix(lower(port), "/tcp")
	number in input.params.ports
	not contains(number, "*")
	not contains(number, "-")
}

open(port) if {
	some rule in input.params.ports
	[numbers_of_rule, protocol] := halves(rule)
	[number, protocol] = halves(port)
	regex.match(`^[0-9]{1,5}$`, number)
	within(numbers_of_rule, number)
}

# "8080" is "8080/tcp" (image-spec, config.md).
halves(text) := split(lower(text), "/") if {
	contains(text, "/")
} else := [text, "tcp"]

within("*", _)

within(rule, number) if rule == number

within(rule, number) if {
	[low, high] := split(rule, "-")
	to_number(number) >= to_number(low)
	to_number(number) <= to_number(high)
}

bytes contains {
	"code": "config.entrypoint",
	"msg": sprintf("%s runs %s, and this policy allows only %s.", [lib.label, runs, lib.clipped(concat(", ", input.params.entrypoint))]),
	"remedy": "set an allowed ENTRYPOINT",
} if {
	count(input.params.entrypoint) > 0
	input.config
	not runs_allowed
}

runs_allowed if count(assay.globs(input.params.entrypoint, program, "path").value) > 0

program := input.config.entrypoint[0] if {
	input.config.entrypoint[0]
} else := input.config.cmd[0]

runs := lib.clipped(program) if {
	program
} else := "nothing that it names"

bytes contains {
	"code": "config.platform",
	"msg": sprintf("%s is made for %s, and this policy allows only %s.", [lib.label, lib.clipped(platform), concat(", ", array.slice(input.params.platforms, 0, 4))]),
	"remedy": "build for an allowed platform",
} if {
	count(input.params.platforms) > 0
	input.config
	not platform_allowed
}

platform := concat("/", [part | some name in ["os", "architecture", "variant"]; part := input.subject.platform[name]; part != ""])

platform_allowed if concat("/", [input.subject.platform.os, input.subject.platform.architecture]) in input.params.platforms

platform_allowed if platform in input.params.platforms

bytes contains {
	"code": "config.layers",
	"msg": sprintf("%s has %d layers, and this policy allows %d.", [lib.label, count(input.manifest.layers), input.params.max_layers]),
	"remedy": "join steps of the build, or have the limit raised",
} if {
	input.params.max_layers > 0
	count(input.manifest.layers) > input.params.max_layers
}
