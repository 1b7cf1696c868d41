// Package waivercmd is assay waiver: waivers are made, signed, pushed, looked at and revoked.
package waivercmd
