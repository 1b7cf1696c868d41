#!/usr/bin/env bash
# Installs what the tests drive, on a clean Debian machine, and does nothing (nor asks the network anything) where all of it is there.
#
#   Debian packages    only as root, only those that are missing
#   pinned programs    through the Go module proxy into .cache/bin, one at a time
#
# govulncheck is not here: it needs a vulnerability database over the network. Run it by hand:
#   go run golang.org/x/vuln/cmd/govulncheck@latest ./...
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.cache/bin
mkdir -p "$bin"

# command or file: package
packages=(
	skopeo:skopeo podman:podman buildah:buildah containerd:containerd ctr:containerd dockerd:docker.io docker:docker.io
	umoci:umoci jq:jq newuidmap:uidmap fuse-overlayfs:fuse-overlayfs runc:runc crun:crun htpasswd:apache2-utils
)
missing=()
for row in "${packages[@]}"; do
	PATH=$PATH:/usr/sbin:/sbin command -v "${row%%:*}" >/dev/null || missing+=("${row#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "installing ${missing[*]}"
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	elif [ "${CI:-}" = true ]; then
		echo "missing and not installable here: ${missing[*]}" >&2
		exit 1
	else
		echo "not installed, tests that need them are skipped: ${missing[*]} (Debian packages; install them as root)"
	fi
fi

# name: module package-in-module version. Each is built in a throw-away module that requires just it: the same versions as "go install
# package@version" gives, also where the proxy does not list a module's versions (oras), and checked against the checksum database alike.
programs=(
	"crane github.com/google/go-containerregistry cmd/crane v0.22.1"
	"staticcheck honnef.co/go/tools cmd/staticcheck v0.8.2"
	"regctl github.com/regclient/regclient cmd/regctl v0.11.7"
	"oras oras.land/oras cmd/oras v1.3.2"
	"cosign2 github.com/sigstore/cosign/v2 cmd/cosign v2.6.5"
	"cosign3 github.com/sigstore/cosign/v3 cmd/cosign v3.1.3"
	"slsa-verifier github.com/slsa-framework/slsa-verifier/v2 cli/slsa-verifier v2.7.1"
)
for row in "${programs[@]}"; do
	read -r name module package version <<<"$row"
	# What is installed says of itself from which package and module version it was built.
	have=$(go version -m "$bin/$name" 2>/dev/null | awk '$1 == "path" { p = $2 } $1 == "mod" { v = $3 } END { if (p) print p "@" v }' || true)
	[ "$have" = "$module/$package@$version" ] && continue
	echo "building $name from $module/$package $version"
	scratch=$(mktemp -d)
	printf 'module scratch\n\ngo 1.26\n\nrequire %s %s\n' "$module" "$version" >"$scratch/go.mod"
	(cd "$scratch" && GOFLAGS="-mod=mod -trimpath" CGO_ENABLED=0 nice -n 10 go build -buildvcs=false -ldflags '-s -w' -o "$bin/$name" "$module/$package")
	rm -r "$scratch"
done
ln -sf cosign3 "$bin/cosign"
