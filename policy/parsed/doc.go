// Package parsed is what the bytes of manifests say: those that were parsed lately, what the entries of an index say about each other, and the parts of a policy's input that are theirs. Content
// never changes under its digest, so that nothing of that depends on who asks; of an index that holds statements about an image only whether it stands is looked up.
package parsed
