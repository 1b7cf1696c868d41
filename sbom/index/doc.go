// Package index finds packages across all images: which image holds what, in which version, under which licence.
package index
