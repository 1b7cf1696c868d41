package assay_test

import data.assay

digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

defaults := {"namespaces": {"shop-*": ["acme/shop/**", "docker.io/library/*"], "kube-system": ["**"]}, "labels": {}, "others": "deny", "digests": [], "ephemeral": "allow"}

document(namespace, repository, params) := {
	"subject": {"repository": repository, "digest": digest}, "params": object.union(defaults, params),
	"k8s": {"namespace": namespace, "image": sprintf("registry.example.org/%s:v1", [repository]), "container": "app", "container_kind": "container"},
}

found := {r.code | some r in assay.k8s.deny}

test_allowed[repository] if {
	some repository in ["acme/shop/api", "acme/shop/a/b", "docker.io/library/redis"]
	count(found) == 0 with input as document("shop-eu", repository, {})
}

test_not_allowed[repository] if {
	some repository in ["acme/billing", "docker.io/evil/redis", "acme/shop"]
	found == {"cluster.repository"} with input as document("shop-eu", repository, {})
}

test_every_repository if count(found) == 0 with input as document("kube-system", "a/b/c", {})

test_other_namespaces if {
	found == {"cluster.repository"} with input as document("default", "acme/shop/api", {})
	count(found) == 0 with input as document("default", "acme/shop/api", {"others": "allow"})
	found == {"cluster.repository"} with input as document("shop-eu", "acme/billing", {"others": "allow"})
}

by_label := {"labels": {"env=prod": ["acme/prod/**"], "acme.dev/tier=gold": ["acme/gold"]}}

in_namespace(repository, labels) := object.union(document("a", repository, by_label), {"k8s": {"namespace_labels": labels}})

test_labels if {
	count(found) == 0 with input as in_namespace("acme/prod/api", {"env": "prod", "x": "y"})
	count(found) == 0 with input as in_namespace("acme/gold", {"acme.dev/tier": "gold"})
	found == {"cluster.repository"} with input as in_namespace("acme/prod/api", {"env": "dev"})
	found == {"cluster.repository"} with input as document("a", "acme/prod/api", by_label)
	found == {"cluster.repository"} with input as object.union(in_namespace("acme/prod/api", {"env": "dev"}), {"params": {"others": "allow", "namespaces": {"a": []}}})
}

test_no_namespace if {
	found == {"cluster.repository"} with input as {"subject": {"repository": "a"}, "k8s": {"image": "a"}, "params": defaults}
	some r in assay.k8s.deny with input as {"subject": {"repository": "a"}, "k8s": {"image": "a"}, "params": defaults}
	contains(r.msg, "(none)")
}

test_digests if {
	found == {"cluster.digest"} with input as document("shop-eu", "acme/shop/api", {"digests": ["shop-*"]})
	count(found) == 0 with input as document("kube-system", "acme/shop/api", {"digests": ["shop-*"]})
	some r in assay.k8s.deny with input as document("shop-eu", "acme/shop/api", {"digests": ["shop-*"]})
	endswith(r.remedy, concat("@", ["registry.example.org/acme/shop/api:v1", digest]))
}

test_a_digest_that_is_not_known if {
	some r in assay.k8s.deny with input as object.union(document("shop-eu", "acme/shop/api", {"digests": ["**"]}), {"subject": {"digest": ""}})
	r.remedy == "name it by its digest: NAME@sha256:..."
}

test_named_by_digest if {
	count(found) == 0 with input as object.union(document("shop-eu", "acme/shop/api", {"digests": ["**"]}), {"k8s": {"image": concat("@", ["r/a", digest])}})
}

test_ephemeral if {
	debug := object.union(document("shop-eu", "acme/shop/api", {"ephemeral": "deny"}), {"k8s": {"container_kind": "ephemeral"}})
	found == {"cluster.ephemeral"} with input as debug
	count(found) == 0 with input as object.union(debug, {"params": {"ephemeral": "allow"}})
	count(found) == 0 with input as document("shop-eu", "acme/shop/api", {"ephemeral": "deny"})
}
