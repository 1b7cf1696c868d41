// Package verify turns evidence into facts: who signed what, for which repository, under which authority, and why something proves nothing.
//
// It never says "allowed": policy does. The engines are in leaf packages, such as verify/sigstore.
package verify
