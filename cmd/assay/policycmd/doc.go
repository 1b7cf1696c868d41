// Package policycmd is assay policy: policies are checked, tested and tried here, packed and pushed, and changed in a running registry.
package policycmd
