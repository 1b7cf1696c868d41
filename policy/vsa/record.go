package vsa

import (
	"encoding/json"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// Space has the record of the statement of each image, under its key, and under the key 0 with which options statements were written.
const Space = "verdict"

// Record is the statement that stands for an image.
type Record struct {
	Evidence store.Digest `json:"evidence"` // its manifest
	Mark     string       `json:"mark"`     // of what it says
	At       time.Time    `json:"at"`
	Expires  time.Time    `json:"expires"`
}

// Due is when it is written anew though it would say the same: half of its time is over.
func (r *Record) Due() time.Time { return r.At.Add(r.Expires.Sub(r.At) / 2) }

// Of is the record of an image; nil where it has none.
func Of(r store.Records, i store.Item) *Record {
	b := r.Space(Space).Get(i.Key())
	if b == nil {
		return nil
	}
	rec := new(Record)
	if json.Unmarshal(b, rec) != nil {
		return &Record{} // written anew
	}
	return rec
}

// Stale reports whether the statement that stands is not what a verdict asks for.
func (o Options) Stale(r store.Records, i store.Item, in *contract.Input, d *contract.Decision) bool {
	old := Of(r, i)
	if !o.Wants(d) {
		return old != nil
	}
	return old == nil || old.Mark != o.Mark(in, d)
}
