package estate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/go-openapi/runtime"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"         // Rekor finds its types by registration
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1" // as above
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.1"       // as above
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.2"       // as above
	"google.golang.org/protobuf/encoding/protojson"
)

// treeID is part of the origin of a Rekor 1 checkpoint, which is how its kind is told.
const treeID = 42

// Log is a transparency log: a Merkle tree (RFC 6962) whose entries are as Rekor writes them. Entries of version 1 carry a signed promise with their time; those of
// version 2 carry only a proof, and the time is a timestamping authority's matter.
type Log struct {
	origin  string
	version int
	key     *key
	now     func() time.Time

	mu     sync.Mutex // guards leaves
	leaves [][]byte
}

// NewLog makes another log of the estate: version 1 or 2.
func (e *Estate) NewLog(name string, version int) *Log {
	return &Log{origin: name + ".estate.example", version: version, key: newKey(e.seed + "/" + name), now: e.now}
}

// ID is the log's ID in lower-case hexadecimal.
func (l *Log) ID() string { return hex.EncodeToString(l.key.id[:]) }

// add appends a canonical body and says so: with a promise (version 1), and with a proof.
func (l *Log) add(kind, version string, body []byte) *protorekor.TransparencyLogEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	leaf := sha256.Sum256(append([]byte{0}, body...))
	l.leaves = append(l.leaves, leaf[:])
	index, size := len(l.leaves)-1, len(l.leaves)
	top := treeHash(l.leaves)
	entry := &protorekor.TransparencyLogEntry{
		LogIndex: int64(index), LogId: &protocommon.LogId{KeyId: l.key.id[:]}, KindVersion: &protorekor.KindVersion{Kind: kind, Version: version},
		CanonicalizedBody: body,
		InclusionProof: &protorekor.InclusionProof{LogIndex: int64(index), TreeSize: int64(size), RootHash: top, Hashes: path(l.leaves, index),
			Checkpoint: &protorekor.Checkpoint{Envelope: l.checkpoint(size, top)}},
	}
	if l.version == 1 {
		entry.IntegratedTime = l.now().Unix()
		entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: l.promise(entry)}
	}
	return entry
}

// promise signs an entry's body, time, index and log as canonical JSON: the signed entry timestamp of Rekor 1.
func (l *Log) promise(entry *protorekor.TransparencyLogEntry) []byte {
	b, err := json.Marshal(payloadOf(entry))
	must(err)
	b, err = jsoncanonicalizer.Transform(b)
	must(err)
	return l.key.sign(b)
}

// checkpoint is a signed note (C2SP tlog-checkpoint) of the tree.
func (l *Log) checkpoint(size int, top []byte) string {
	origin := l.origin
	if l.version == 1 {
		origin = fmt.Sprintf("%s - %d", l.origin, treeID)
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(top))
	signature := append(bytes.Clone(l.key.id[:4]), l.key.sign([]byte(text))...)
	return fmt.Sprintf("%s\n\u2014 %s %s\n", text, l.origin, base64.StdEncoding.EncodeToString(signature))
}

// treeHash is the Merkle tree hash of at least one leaf hash (RFC 6962, 2.1).
func treeHash(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	h := sha256.New()
	h.Write([]byte{1})
	h.Write(treeHash(leaves[:k]))
	h.Write(treeHash(leaves[k:]))
	return h.Sum(nil)
}

// path is the audit path of one leaf (RFC 6962, 2.1.1).
func path(leaves [][]byte, index int) [][]byte {
	if len(leaves) == 1 {
		return nil
	}
	if k := split(len(leaves)); index < k {
		return append(path(leaves[:k], index), treeHash(leaves[k:]))
	} else {
		return append(path(leaves[k:], index-k), treeHash(leaves[:k]))
	}
}

// split is the largest power of two below n.
func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

// propose adds an entry of Rekor 1 as a client proposes it. Rekor's own types check the signature.
func (l *Log) propose(proposed models.ProposedEntry) (*protorekor.TransparencyLogEntry, error) {
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return nil, err
	}
	body, err := types.CanonicalizeEntry(context.Background(), entry)
	if err != nil {
		return nil, err
	}
	return l.add(proposed.Kind(), entry.APIVersion(), body), nil
}

// readProposed reads what a client of Rekor 1 posts.
func readProposed(b []byte) (models.ProposedEntry, error) {
	return models.UnmarshalProposedEntry(bytes.NewReader(b), runtime.JSONConsumer())
}

// enter adds a signature's entry as the clients of the log do: of the digest of what is signed, or (version 1) of an envelope of the kind "dsse/0.0.1", "intoto/0.0.1" or "intoto/0.0.2".
func (l *Log) enter(s *Signer, kind string, signed, envelope, sig []byte) *protorekor.TransparencyLogEntry {
	if l.version == 2 {
		return l.enterTiles(s, kind, signed, envelope, sig)
	}
	props := types.ArtifactProperties{PKIFormat: "x509", PublicKeyBytes: [][]byte{[]byte(s.verifierPEM())}}
	name, version := "hashedrekord", "0.0.1"
	if envelope != nil {
		name, version = splitKind(kind)
		props.ArtifactBytes = envelope
	} else {
		sum := sha256.Sum256(signed)
		props.ArtifactHash, props.SignatureBytes = hex.EncodeToString(sum[:]), sig
	}
	proposed, err := types.NewProposedEntry(context.Background(), name, version, props)
	must(err)
	entry, err := l.propose(proposed)
	must(err)
	return entry
}

func splitKind(kind string) (name, version string) {
	if kind == "" {
		return "dsse", "0.0.1"
	}
	return kind[:len(kind)-6], kind[len(kind)-5:]
}

// enterTiles writes an entry of Rekor 2: the digest of what is signed (of an envelope, its pre-authentication encoding), or "dsse/0.0.2", as its clients wrote until 2026.
func (l *Log) enterTiles(s *Signer, kind string, signed, envelope, sig []byte) *protorekor.TransparencyLogEntry {
	verifier := &tiles.Verifier{KeyDetails: protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		Verifier: &tiles.Verifier_PublicKey{PublicKey: &tiles.PublicKey{RawBytes: s.key.spki}}}
	if s.Certificate != nil {
		verifier.Verifier = &tiles.Verifier_X509Certificate{X509Certificate: &protocommon.X509Certificate{RawBytes: s.Certificate.Raw}}
	}
	signature := &tiles.Signature{Content: sig, Verifier: verifier}
	if kind == "dsse/0.0.2" {
		var doc struct {
			Payload []byte `json:"payload"`
		}
		must(json.Unmarshal(envelope, &doc))
		return l.addEnvelope(doc.Payload, signature)
	}
	sum := sha256.Sum256(signed)
	return l.addTiles(&tiles.Entry{Kind: "hashedrekord", ApiVersion: "0.0.2", Spec: &tiles.Spec{Spec: &tiles.Spec_HashedRekordV002{HashedRekordV002: &tiles.HashedRekordLogEntryV002{
		Data: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]}, Signature: signature}}}})
}

// addEnvelope adds an entry of kind dsse 0.0.2. Its message is deprecated in the log's own library, and what is in the log stays there: here it is written as JSON.
func (l *Log) addEnvelope(payload []byte, signature *tiles.Signature) *protorekor.TransparencyLogEntry {
	signer, err := protojson.Marshal(signature)
	must(err)
	sum := sha256.Sum256(payload)
	b := fmt.Appendf(nil, `{"apiVersion":"0.0.2","kind":"dsse","spec":{"dsseV002":{"payloadHash":{"algorithm":"SHA2_256","digest":%q},"signatures":[%s]}}}`,
		base64.StdEncoding.EncodeToString(sum[:]), signer)
	return l.addCanonical("dsse", b)
}

func (l *Log) addTiles(entry *tiles.Entry) *protorekor.TransparencyLogEntry {
	b, err := protojson.Marshal(entry)
	must(err)
	return l.addCanonical(entry.Kind, b)
}

func (l *Log) addCanonical(kind string, b []byte) *protorekor.TransparencyLogEntry {
	b, err := jsoncanonicalizer.Transform(b)
	must(err)
	return l.add(kind, "0.0.2", b)
}
