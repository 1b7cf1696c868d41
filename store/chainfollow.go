package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
)

const (
	auditPage    = 1000    // links, or records, that are read in one snapshot
	auditBuckets = 4096    // that links and records are counted in, by a hash of their ID
	auditSuspect = 1 << 17 // IDs that are looked for one by one at a time
)

// FollowAudit reads the chain up to where it ended when this was called, page by page. fn is given each link as it stands, what its hash should be, and whether its record
// is there. unlinked is how many records have no link, of those that are newer than the first link: nobody but this package writes one. Where there are more than 131,072 it may be
// less, but not 0. What it keeps in memory does not grow with the chain.
func (l *Local) FollowAudit(ctx context.Context, fn func(link AuditLink, hash string, there bool)) (unlinked int, err error) {
	f := follower{l: l, ctx: ctx}
	before := make([]byte, sha256.Size)
	if err := f.links(func(r Records, seq uint64, b []byte) {
		link := AuditLink{seq, hex.EncodeToString(b[:sha256.Size]), string(b[sha256.Size:])}
		record := r.r.get([]byte("a" + link.ID))
		sum := linkHash(before, link.ID, record)
		if f.first == "" || link.ID < f.first {
			f.first = link.ID
		}
		f.last = max(f.last, link.ID)
		if record != nil {
			f.count(link.ID, 1)
		}
		fn(link, hex.EncodeToString(sum), record != nil)
		before = bytes.Clone(b[:sha256.Size])
	}); err != nil || f.first == "" {
		return 0, err
	}
	return f.unlinked()
}

// follower compares the records that are there with those that have a link. IDs are not kept: each is counted in one of many buckets, for which a sum of hashes is kept, seeded at random.
// Links count up, records down, so that a bucket of both alike is empty.
type follower struct {
	l           *Local
	ctx         context.Context
	first, last string
	buckets     [auditBuckets]auditBucket
}

type auditBucket struct {
	count   int
	sum     uint64
	records int
}

func (f *follower) bucket(id string) (n int, hash uint64) {
	hash = maphash.String(f.l.seed, id)
	return int(hash >> 52), hash
}

func (f *follower) count(id string, by int) {
	n, hash := f.bucket(id)
	b := &f.buckets[n]
	if b.count += by; by > 0 {
		b.sum += hash
	} else {
		b.sum -= hash
		b.records++
	}
}

// links calls fn with the links up to where the chain ends now. A link that is too short is left out: its place is missed.
func (f *follower) links(fn func(r Records, seq uint64, b []byte)) error {
	var size, next uint64 = 0, 1
	for done := false; !done; {
		if err := f.l.View(f.ctx, func(s Snapshot) error {
			if size == 0 {
				size, _ = s.AuditHead()
			}
			pairs := s.r.scan(linkKey(next), linkKey(size+1), auditPage)
			for _, p := range pairs {
				seq := binary.BigEndian.Uint64(p.Key[len(p.Key)-8:])
				if next = seq + 1; len(p.Value) >= sha256.Size {
					fn(s.Records, seq, p.Value)
				}
			}
			done = len(pairs) < auditPage
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// records calls fn with the IDs of the records from the oldest to the newest that was followed: what is older is from before the chain.
func (f *follower) records(fn func(id string)) error {
	after := ""
	for done := false; !done; {
		if err := f.l.View(f.ctx, func(s Snapshot) error {
			if after == "" {
				if after = f.first; s.r.get([]byte("a"+after)) != nil {
					fn(after)
				}
			}
			pairs := s.AuditPage(after, auditPage)
			done = len(pairs) < auditPage
			for _, p := range pairs {
				if after = string(p.Key); after > f.last {
					done = true
					return nil
				}
				fn(after)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// unlinked counts the records without a link. Only those in buckets that differ are looked for one by one: of some it turns out that they were linked meanwhile.
func (f *follower) unlinked() (n int, err error) {
	if err := f.records(func(id string) { f.count(id, -1) }); err != nil {
		return 0, err
	}
	for next := 0; next < auditBuckets && n == 0; {
		suspect, room := [auditBuckets]bool{}, auditSuspect
		for ; next < auditBuckets && room > 0; next++ {
			if b := &f.buckets[next]; b.count != 0 || b.sum != 0 {
				suspect[next], room = true, room-b.records
			}
		}
		if suspect == [auditBuckets]bool{} {
			break
		}
		if n, err = f.missing(&suspect); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// missing counts the records of some buckets that have no link. A record comes with its link, so that the links are read after the records.
func (f *follower) missing(suspect *[auditBuckets]bool) (int, error) {
	ids := map[string]struct{}{}
	if err := f.records(func(id string) {
		if n, _ := f.bucket(id); suspect[n] && len(ids) < auditSuspect {
			ids[id] = struct{}{}
		}
	}); err != nil {
		return 0, err
	}
	err := f.links(func(_ Records, _ uint64, b []byte) { delete(ids, string(b[sha256.Size:])) })
	return len(ids), err
}
