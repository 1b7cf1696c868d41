// Package auth says who asks. It knows users from an htpasswd file and users kept as documents, the roles that they were granted, and the
// registry's own access tokens (Docker's token flow: https://distribution.github.io/distribution/spec/auth/token/).
//
// Three rules hold everywhere. Grants are looked up at each request, so that a token only narrows what its holder may do. An unknown user
// costs what a wrong password costs. A secret is compared, hashed or forgotten: it is never logged, stored or answered twice.
package auth
