package main

import (
	"errors"
	"fmt"
)

// refusal is a reason that another try would not change: the image is hostile, malformed, or of a kind that has no packages.
// Its text is shown to people.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

func asRefusal(err error) (*refusal, bool) { return errors.AsType[*refusal](err) }

// limits bound what one image may cost, whatever it claims to be.
type limits struct {
	uncompressed int64 // bytes of all layers together
	entries      int   // tar entries of all layers together, and paths of the squashed view
	name         int   // bytes of one path
	file         int64 // size that one file may claim
	ratio        int64 // uncompressed bytes for a compressed one, once a layer exceeds ratioFree
	kept         int64 // bytes of content held in memory
	buffer       int64 // bytes of one program that are looked at in memory while it streams by
	random       int64 // bytes of one file that is read again from its layer for random access
	document     int64 // bytes of one document
	config       int64 // bytes of the image's configuration
}

// ratioFree is what a layer may expand to before its ratio counts: small files of zeros are harmless.
const ratioFree = 256 << 20

// defaultLimits suit images of some tens of GiB; memory is what the process may use, and content gets a share of it.
func defaultLimits(memory int64) limits {
	return limits{
		uncompressed: 64 << 30, entries: 600_000, name: 4096, file: 32 << 30, ratio: 300,
		kept: memory * 5 / 16, buffer: memory / 16, random: memory * 3 / 8, document: 40 << 20, config: 8 << 20,
	}
}
