// Package trust is a client of TUF repositories (The Update Framework, specification 1.0): it follows a repository from its first trusted root on
// and says which tags it pins, and which keys, trusted roots and policies it supplies.
//
// [Client.Refresh] is the client workflow (section 5.3 on) over a [Source]: HTTP, a directory, a tar archive, or OCI artifacts in a registry. It has no
// state, no clock and no network of its own: what it must remember is part of the [verify.TUFState] that it returns.
package trust
