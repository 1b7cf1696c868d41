// Package trustcmd is the commands by which administrators say who is trusted to sign what, and what no longer counts: assay trust, revoke, revocation and restore.
package trustcmd
