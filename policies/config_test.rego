package assay_test

import data.assay

subject := {"kind": "image", "repository": "acme/app", "digest": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}

defaults := {"env_denied": ["*PASSWORD*", "*TOKEN*"], "labels": {}, "ports": [], "entrypoint": [], "platforms": [], "max_layers": 0}

document(config, params) := {"subject": subject, "config": object.union({"user": "1"}, config), "manifest": {"layers": [{"size": 1}, {"size": 2}]}, "params": object.union(defaults, params)}

push := {r.code | some r in assay.push.deny}

admit := {r.code | some r in assay.admit.deny}

test_an_ordinary_image_passes if {
	count(push) == 0 with input as document({"env_names": ["PATH", "LANG"]}, {})
	count(admit) == 0 with input as document({"env_names": ["PATH", "LANG"]}, {})
}

test_secrets_in_the_environment[name] if {
	some name in ["DB_PASSWORD", "github_token", "TOKENS", "spring.datasource.password"]
	push == {"config.env"} with input as document({"env_names": ["PATH", name]}, {})
	admit == {"config.env"} with input as document({"env_names": ["PATH", name]}, {})
	count(push) == 0 with input as document({"env_names": ["PATH", name]}, {"env_denied": []})
}

test_without_configuration if {
	admit == {"config.missing"} with input as object.remove(document({}, {"labels": {"a": "*"}}), ["config"])
	count(push) == 0 with input as object.remove(document({}, {"labels": {"a": "*"}}), ["config"])
}

test_an_index_is_judged_by_its_children if {
	count(admit) == 0 with input as {"subject": object.union(subject, {"kind": "index"}), "params": object.union(defaults, {"max_layers": 1, "labels": {"a": "*"}})}
}

test_labels if {
	wanted := {"labels": {"org.opencontainers.image.source": "https://github.com/acme/**"}}
	count(push) == 0 with input as document({"labels": {"org.opencontainers.image.source": "https://github.com/acme/app"}}, wanted)
	push == {"config.label"} with input as document({"labels": {"org.opencontainers.image.source": "https://github.com/other/app"}}, wanted)
	push == {"config.label"} with input as document({}, wanted)
	push == {"config.label"} with input as document({"labels": {"org.opencontainers.image.source": ""}}, {"labels": {"org.opencontainers.image.source": "*"}})
}

test_open_ports[port] if {
	some port in ["8080", "8080/tcp", "9000", "9999/TCP", "53/udp", "1/udp"]
	count(push) == 0 with input as document({"exposed_ports": [port]}, {"ports": ["8080", "9000-9999/tcp", "*/udp"]})
}

test_closed_ports[port] if {
	some port in ["22", "8080/sctp", "10000", "8999/tcp", "nine/tcp", "9000-9999", ""]
	push == {"config.port"} with input as document({"exposed_ports": ["8080", port]}, {"ports": ["8080", "9000-9999/tcp", "*/udp"]})
}

test_every_port_without_a_list if count(push) == 0 with input as document({"exposed_ports": ["22"]}, {})

test_entrypoint if {
	wanted := {"entrypoint": ["/usr/bin/*", "/app"]}
	count(push) == 0 with input as document({"entrypoint": ["/app", "-x"]}, wanted)
	count(push) == 0 with input as document({"cmd": ["/usr/bin/env"]}, wanted)
	push == {"config.entrypoint"} with input as document({"entrypoint": ["/bin/sh", "-c"]}, wanted)
	push == {"config.entrypoint"} with input as document({"entrypoint": ["/bin/sh"], "cmd": ["/app"]}, wanted)
	push == {"config.entrypoint"} with input as document({}, wanted)
}

test_platforms if {
	count(push) == 0 with input as document({}, {"platforms": ["linux/arm64"]})
	count(push) == 0 with input as document({}, {"platforms": ["linux/arm64/v8"]})
	push == {"config.platform"} with input as document({}, {"platforms": ["linux/amd64", "linux/arm64/v7"]})
	push == {"config.platform"} with input as object.union(object.remove(document({}, {"platforms": ["linux/amd64"]}), ["subject"]), {"subject": object.remove(subject, ["platform"])})
}

test_layers if {
	count(push) == 0 with input as document({}, {"max_layers": 2})
	push == {"config.layers"} with input as document({}, {"max_layers": 1})
}
