// Package contents answers people what images contain: packages, where they are and what needs them, differences, drift, what changed with a tag, and what is vulnerable. It reads what is indexed and
// remembered, in turn, and shows each caller what that caller could GET.
package contents
