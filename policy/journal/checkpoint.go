package journal

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
)

// Checkpoint says how long a chain of records is and what it ends in. Signed, and kept elsewhere, it convicts a log that was shortened or changed since.
type Checkpoint struct {
	Log  string    `json:"log"`  // its name, such as Decisions
	Size uint64    `json:"size"` // records, those that retention removed included
	Head string    `json:"head"` // of the last: 64 hexadecimal digits; zeros where there is none
	At   time.Time `json:"at"`
	Note string    `json:"note,omitempty"` // the signed text

	met bool // a record was met at which it was made
}

// The logs that have checkpoints.
const (
	Decisions = "assay/decisions"
	Audit     = "assay/audit"
)

// NoHead is the head of an empty chain.
const NoHead = "0000000000000000000000000000000000000000000000000000000000000000"

const noteMark = "— "

// Sign writes the checkpoint as a signed note (C2SP, signed-note): the log's name, the size, the head in base64 and the time, a line each, then the signature.
func (c Checkpoint) Sign(key crypto.Signer) (Checkpoint, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return c, store.Errorf(store.CodeInternal, "the log key is no Ed25519 key")
	}
	head, err := hex.DecodeString(c.Head)
	if err != nil {
		return c, store.Errorf(store.CodeInternal, "the head of the log is malformed: %w", err)
	}
	text := fmt.Sprintf("%s\n%d\n%s\n%s\n", c.Log, c.Size, base64.StdEncoding.EncodeToString(head), c.At.UTC().Format(time.RFC3339Nano))
	sig, err := key.Sign(nil, []byte(text), crypto.Hash(0)) // Ed25519 needs no randomness
	if err != nil {
		return c, store.Errorf(store.CodeInternal, "the checkpoint could not be signed: %w", err)
	}
	c.Note = text + "\n" + noteMark + c.Log + " " + base64.StdEncoding.EncodeToString(append(noteKey(c.Log, public), sig...)) + "\n"
	return c, nil
}

// noteKey is the key's hash in a signed note.
func noteKey(name string, public ed25519.PublicKey) []byte {
	sum := sha256.Sum256(append([]byte(name+"\n\x01"), public...))
	return sum[:4]
}

// maxNote bounds what ParseCheckpoint reads.
const maxNote = 4096

// ParseCheckpoint reads a checkpoint and verifies its signature. Errors: CodeInvalid.
func ParseCheckpoint(note string, public crypto.PublicKey) (*Checkpoint, error) {
	key, ok := public.(ed25519.PublicKey)
	if !ok {
		return nil, store.Errorf(store.CodeInvalid, "the log key is no Ed25519 key; it is keys/log.pub of the data directory")
	}
	malformed := store.Errorf(store.CodeInvalid, "this is no checkpoint; it has five lines, as assay decisions checkpoint prints it")
	text, signature, found := strings.Cut(note, "\n\n")
	text += "\n"
	lines := strings.Split(text, "\n")
	if !found || len(note) > maxNote || len(lines) != 5 || !strings.HasPrefix(signature, noteMark) {
		return nil, malformed
	}
	c := &Checkpoint{Log: lines[0], Note: note}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	head, headErr := base64.StdEncoding.DecodeString(lines[2])
	at, timeErr := time.Parse(time.RFC3339Nano, lines[3])
	name, encoded, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(signature, noteMark), "\n"), " ")
	sig, sigErr := base64.StdEncoding.DecodeString(encoded)
	if err != nil || headErr != nil || timeErr != nil || sigErr != nil || !ok || len(head) != sha256.Size || len(sig) != 4+ed25519.SignatureSize || name != c.Log {
		return nil, malformed
	}
	if !bytes.Equal(sig[:4], noteKey(name, key)) || !ed25519.Verify(key, []byte(text), sig[4:]) {
		return nil, store.Errorf(store.CodeInvalid, "the checkpoint is not signed by this registry's log key; it is of another registry, or was changed")
	}
	c.Size, c.Head, c.At = size, hex.EncodeToString(head), at
	return c, nil
}
