// Package licences judges licence expressions (SPDX specification 2.3, annex D) by the rules of a policy, and remembers what it said: an estate has some hundred of them, and each image has dozens
// again. What a licence is, by its category, is known by package sbom; which images have which is for who asks.
package licences
