// Package kubernetescmd is assay kubernetes: what a cluster is given, so that it asks this registry.
package kubernetescmd
