// Package finding is what is known of one vulnerability in one package, as reports tell it: the document, its order, its counts, and the statements that mark it.
package finding
