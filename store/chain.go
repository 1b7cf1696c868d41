package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// The audit chain. Each audit record gets a link: its place, and a hash over the link before and itself. Links are made where a commit is applied, one after the other
// as everything is there, so that they cost no transaction a conflict: nobody reads the end of the chain, and two that append never meet.
//
// In the space "audit": 'h' is the end (number and hash), 'l' and a number in 8 bytes is a link (hash and ID).
const spaceAudit = "Xaudit\x00"

// AuditLink is one link.
type AuditLink struct {
	Seq  uint64 // from 1
	Hash string // of the chain up to here: 64 hexadecimal digits
	ID   string // of the record
}

const auditEnd = 8 + sha256.Size

// chain links the audit records of a transaction that is being applied.
func chain(tx Tx, id string, record []byte) {
	var end [auditEnd]byte
	copy(end[:], tx.Get([]byte(spaceAudit+"h")))
	seq := binary.BigEndian.Uint64(end[:8]) + 1
	sum := linkHash(end[8:], id, record)
	binary.BigEndian.PutUint64(end[:8], seq)
	copy(end[8:], sum)
	tx.Put([]byte(spaceAudit+"h"), end[:])
	tx.Put(linkKey(seq), append(sum, id...))
}

func linkHash(before []byte, id string, record []byte) []byte {
	h := sha256.New()
	h.Write(before)
	h.Write([]byte{byte(len(id))})
	h.Write([]byte(id))
	h.Write(record)
	return h.Sum(nil)
}

func linkKey(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte(spaceAudit+"l"), seq) }

// AuditHead is the end of the chain: how many records were ever linked, and the hash of the last; 64 zeros if there is none.
func (r Records) AuditHead() (size uint64, head string) {
	var end [auditEnd]byte
	copy(end[:], r.r.get([]byte(spaceAudit+"h")))
	return binary.BigEndian.Uint64(end[:8]), hex.EncodeToString(end[8:])
}

// auditPage is how many links are followed in one snapshot.
const auditPage = 1000

// FollowAudit reads the chain up to where it ended when this was called, page by page. fn is given each link as it stands, what its hash should be, and whether its record
// is there. unlinked is how many records have no link, of those that are newer than the first link: nobody but this package writes one.
func (l *Local) FollowAudit(ctx context.Context, fn func(link AuditLink, hash string, there bool)) (unlinked int, err error) {
	var size, next uint64 = 0, 1
	before := make([]byte, sha256.Size)
	first, linked := "", map[string]bool{}
	for done := false; !done; {
		if err := l.View(ctx, func(s Snapshot) error {
			if size == 0 {
				if size, _ = s.AuditHead(); size == 0 {
					done = true
					return nil
				}
			}
			pairs := s.r.scan(linkKey(next), linkKey(size+1), auditPage)
			for _, p := range pairs {
				seq := binary.BigEndian.Uint64(p.Key[len(p.Key)-8:])
				if next = seq + 1; len(p.Value) < sha256.Size {
					continue // its place is missed
				}
				link := AuditLink{seq, hex.EncodeToString(p.Value[:sha256.Size]), string(p.Value[sha256.Size:])}
				record := s.r.get([]byte("a" + link.ID))
				sum := linkHash(before, link.ID, record)
				if first == "" || link.ID < first {
					first = link.ID
				}
				linked[link.ID] = true
				fn(link, hex.EncodeToString(sum), record != nil)
				before = bytes.Clone(p.Value[:sha256.Size])
			}
			done = len(pairs) < auditPage
			return nil
		}); err != nil {
			return 0, err
		}
	}
	return l.unlinked(ctx, first, linked)
}

// unlinked counts the records without a link that are not newer than the last that was followed, and not from before the chain.
func (l *Local) unlinked(ctx context.Context, first string, linked map[string]bool) (n int, err error) {
	last := ""
	for id := range linked {
		last = max(last, id)
	}
	for after, done := "", first == ""; !done; {
		if err := l.View(ctx, func(s Snapshot) error {
			pairs := s.AuditPage(after, auditPage)
			for _, p := range pairs {
				if after = string(p.Key); after > first && after < last && !linked[after] && !s.linkedSince(after, uint64(len(linked))) {
					n++
				}
			}
			done = len(pairs) < auditPage
			return nil
		}); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// linkedSince reports whether a record got its link after the first n.
func (r Records) linkedSince(id string, n uint64) bool {
	for _, p := range r.r.scan(linkKey(n+1), []byte(spaceAudit+"m"), auditPage) {
		if len(p.Value) > sha256.Size && string(p.Value[sha256.Size:]) == id {
			return true
		}
	}
	return false
}
