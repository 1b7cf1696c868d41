// Package bundle reads and makes policies as Open Policy Agent packs them (its documentation, "Bundles"): an archive of modules with data.json, a manifest, and a signature over all of it.
//
// Nothing in a bundle is believed before it was held against a key: until then it is bytes of a stranger, so that limits hold while it is unpacked, and every name stays inside. The key says which
// algorithms it makes, and the signature does not choose. What the policies say is no matter of this package.
package bundle
