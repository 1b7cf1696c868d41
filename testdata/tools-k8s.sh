#!/usr/bin/env bash
# Builds a Kubernetes API server, the etcd under it, and helm, through the Go module proxy into .cache/bin; does nothing where they are there.
# Some 6 minutes of one core the first time. No kubelet, scheduler or controllers: pods and workloads are admitted and stored, which is what is tested.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.cache/bin
mkdir -p "$bin"
kubernetes=v1.36.3
etcd=v3.6.16
helm=v3.22.0

# build NAME MODULE PACKAGE VERSION [replacement line...]
build() {
	local name=$1 module=$2 package=$3 version=$4
	shift 4
	local scratch
	scratch=$(mktemp -d)
	printf 'module scratch\n\ngo 1.26.0\n\nrequire %s %s\n' "$module" "$version" >"$scratch/go.mod"
	printf 'replace %s\n' "$@" | sed '/^replace $/d' >>"$scratch/go.mod"
	echo "building $name from $package $version"
	(cd "$scratch" && GOFLAGS="-mod=mod -trimpath" CGO_ENABLED=0 nice -n 10 go build -buildvcs=false -ldflags '-s -w' -o "$bin/$name.new" "$package")
	mv "$bin/$name.new" "$bin/$name"
	rm -r "$scratch"
}

# What is installed says of itself from which package and module version it was built.
have() {
	go version -m "$bin/$1" 2>/dev/null | awk '$1 == "path" { p = $2 } $1 == "mod" || ($1 == "dep" && index(p, $2) == 1) { v = $3 } END { if (p) print p "@" v }' || true
}

if [ "$(have etcd)" != "go.etcd.io/etcd/server/v3@$etcd" ]; then
	build etcd go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3 "$etcd"
fi
if [ "$(have kube-apiserver)" != "k8s.io/kubernetes/cmd/kube-apiserver@$kubernetes" ]; then
	# Its staging modules lie beside it in its own repository, and are published as v0 under the same numbers.
	gomod=$(GOFLAGS=-mod=mod go mod download -json "k8s.io/kubernetes@$kubernetes" | sed -n 's/^.*"GoMod": "\(.*\)".*$/\1/p')
	mapfile -t replacements < <(sed -n "s|^\t\(k8s\.io/[^ ]*\) => \./staging/.*$|\1 => \1 ${kubernetes/v1/v0}|p" "$gomod")
	build kube-apiserver k8s.io/kubernetes k8s.io/kubernetes/cmd/kube-apiserver "$kubernetes" "${replacements[@]}"
fi
if [ "$(have helm)" != "helm.sh/helm/v3/cmd/helm@$helm" ]; then
	build helm helm.sh/helm/v3 helm.sh/helm/v3/cmd/helm "$helm"
fi
