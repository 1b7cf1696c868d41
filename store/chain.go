package store

import (
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
