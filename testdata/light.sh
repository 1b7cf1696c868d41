#!/usr/bin/env bash
# Prints the packages whose tests link none of the big libraries (OPA, cosign, syft): those that run under the race detector.
set -euo pipefail
cd "$(dirname "$0")/.."
go list -test -f '{{.ImportPath}} {{join .Deps " "}}' ./... |
	awk '$1 ~ /\.test$/ && !/github\.com\/(open-policy-agent\/opa|sigstore\/cosign|anchore\/syft)/ { sub(/\.test$/, "", $1); print $1 }'
