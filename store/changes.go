package store

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: a record that does not marshal: %v", err)) // records are our own plain structs
	}
	return b
}

// PutManifest writes a record, and makes the repository exist.
func (t *Txn) PutManifest(repo Name, rec *ManifestRecord) {
	t.put(repoKey('m', repo, digestKey(rec.Digest)), rec.encode())
	t.touchRepository(repo)
}

// PutAlternate indexes a manifest by its digest under the other algorithm.
func (t *Txn) PutAlternate(repo Name, alternate, d Digest) {
	t.put(append(append([]byte{'i'}, digestKey(alternate)...), repo...), digestKey(d))
}

// DropAlternate is the reverse of PutAlternate.
func (t *Txn) DropAlternate(repo Name, alternate Digest) {
	t.delete(append(append([]byte{'i'}, digestKey(alternate)...), repo...))
}

func (t *Txn) touchRepository(repo Name) {
	if !t.RepositoryExists(repo) {
		t.put(repoKey('R', repo), nil)
	}
}

// PutContent stores bytes in the KV: a manifest, or a blob of at most InlineLimit.
func (t *Txn) PutContent(repo Name, kind byte, d Digest, b []byte) {
	t.put(contentKey(d), b)
	t.put(globalKey(d, kind, repo), nil)
}

// LinkBlob makes a blob part of repo, or renews its link. Its content is already durable, or put by the same transaction. A link that is not short
// stays so: what a signer links as well is still what a pusher was told to have a day for.
func (t *Txn) LinkBlob(repo Name, d Digest, b BlobRecord) {
	if old, err := t.Blob(repo, d); err == nil && old != nil && !old.Short {
		b.Short = false
	}
	t.put(repoKey('b', repo, digestKey(d)), toJSON(b))
	t.put(globalKey(d, 'b', repo), nil)
	t.touchRepository(repo)
	t.AfterCommit(func() { t.local.told.add(Item{repo, d}, t.local.clock()) })
}

// UnlinkBlob takes a blob out of repo.
func (t *Txn) UnlinkBlob(repo Name, d Digest) {
	t.delete(repoKey('b', repo, digestKey(d)))
	t.delete(globalKey(d, 'b', repo))
}

// RefConfig and RefLayer say what a blob is to the manifest that references it.
const (
	RefConfig = 'c'
	RefLayer  = 'l'
)

// AddReference records that manifest references blob as kind.
func (t *Txn) AddReference(repo Name, blob, manifest Digest, kind byte) {
	t.put(repoKey('r', repo, digestKey(blob), digestKey(manifest)), []byte{kind})
}

// DropReference is the reverse.
func (t *Txn) DropReference(repo Name, blob, manifest Digest) {
	t.delete(repoKey('r', repo, digestKey(blob), digestKey(manifest)))
}

// ReferencedAs reports what blob is to manifest: RefConfig, RefLayer, or 0.
func (r Records) ReferencedAs(repo Name, blob, manifest Digest) byte {
	if v := r.r.get(repoKey('r', repo, digestKey(blob), digestKey(manifest))); len(v) == 1 {
		return v[0]
	}
	return 0
}

// Open opens a blob to whoever may pull, by manifest; Shut takes that back.
func (t *Txn) Open(repo Name, blob, manifest Digest) {
	t.put(repoKey('o', repo, digestKey(blob), digestKey(manifest)), nil)
}

// Shut is the reverse of Open.
func (t *Txn) Shut(repo Name, blob, manifest Digest) {
	t.delete(repoKey('o', repo, digestKey(blob), digestKey(manifest)))
}

// AddParent records that the index parent lists child.
func (t *Txn) AddParent(repo Name, child, parent Digest) {
	t.put(repoKey('p', repo, digestKey(child), digestKey(parent)), nil)
}

// DropParent is the reverse.
func (t *Txn) DropParent(repo Name, child, parent Digest) {
	t.delete(repoKey('p', repo, digestKey(child), digestKey(parent)))
}

// PutTag writes a tag and keeps the index of tags by digest; old is the record before, or nil.
func (t *Txn) PutTag(repo Name, tag string, old, now *TagRecord) {
	if old != nil {
		t.untag(repo, tag, old)
	}
	t.put(repoKey('t', repo, []byte(tag)), toJSON(now))
	for _, d := range []Digest{now.Current, now.Visible} {
		if d != "" {
			t.put(repoKey('T', repo, digestKey(d), []byte(tag)), nil)
		}
	}
}

// DeleteTag removes a tag.
func (t *Txn) DeleteTag(repo Name, tag string, old *TagRecord) {
	t.untag(repo, tag, old)
	t.delete(repoKey('t', repo, []byte(tag)))
}

func (t *Txn) untag(repo Name, tag string, old *TagRecord) {
	for _, d := range []Digest{old.Current, old.Visible} {
		if d != "" {
			t.delete(repoKey('T', repo, digestKey(d), []byte(tag)))
		}
	}
}

// AddStood remembers that a manifest stood under a reserved tag; DropStood forgets it.
func (t *Txn) AddStood(repo Name, tag string, d Digest) {
	t.put(repoKey('h', repo, []byte(tag+"\x00"), digestKey(d)), nil)
}

// DropStood is the reverse of AddStood.
func (t *Txn) DropStood(repo Name, tag string, d Digest) {
	t.delete(repoKey('h', repo, []byte(tag+"\x00"), digestKey(d)))
}

// PutEdge lists evidence as a referrer of subject, with its descriptor; DropEdge takes it off.
func (t *Txn) PutEdge(repo Name, subject, evidence Digest, descriptor Descriptor) {
	t.put(repoKey('e', repo, digestKey(subject), digestKey(evidence)), toJSON(descriptor))
}

// DropEdge is the reverse of PutEdge.
func (t *Txn) DropEdge(repo Name, subject, evidence Digest) {
	t.delete(repoKey('e', repo, digestKey(subject), digestKey(evidence)))
}

// PutFacts records what evidence proves about subject; DropFacts withdraws it.
func (t *Txn) PutFacts(repo Name, subject, evidence Digest, facts []byte) {
	t.put(repoKey('x', repo, digestKey(subject), digestKey(evidence)), facts)
}

// DropFacts is the reverse of PutFacts.
func (t *Txn) DropFacts(repo Name, subject, evidence Digest) {
	t.delete(repoKey('x', repo, digestKey(subject), digestKey(evidence)))
}

// Queue asks for a manifest to be decided again; Done takes it off.
func (t *Txn) Queue(i Item) { t.put(repoKey('q', i.Repository, digestKey(i.Digest)), nil) }

// Done is the reverse of Queue.
func (t *Txn) Done(i Item) { t.delete(repoKey('q', i.Repository, digestKey(i.Digest))) }

// PutSBOM keeps a manifest's SBOM record.
func (t *Txn) PutSBOM(repo Name, d Digest, record []byte) {
	t.put(repoKey('s', repo, digestKey(d)), record)
}

// DropSBOM forgets it.
func (t *Txn) DropSBOM(repo Name, d Digest) { t.delete(repoKey('s', repo, digestKey(d))) }

// PutSBOMWork asks for an SBOM; DropSBOMWork ends the work.
func (t *Txn) PutSBOMWork(i Item, state []byte) {
	t.put(repoKey('w', i.Repository, digestKey(i.Digest)), state)
}

// DropSBOMWork is the reverse of PutSBOMWork.
func (t *Txn) DropSBOMWork(i Item) { t.delete(repoKey('w', i.Repository, digestKey(i.Digest))) }

// PutDoc writes a document; DeleteDoc removes it.
func (t *Txn) PutDoc(class, name string, value []byte) { t.put(docKey(class, name), value) }

// DeleteDoc is the reverse of PutDoc.
func (t *Txn) DeleteDoc(class, name string) { t.delete(docKey(class, name)) }

// PutDecision keeps a decision under its id.
func (t *Txn) PutDecision(id string, record []byte) { t.put([]byte("d"+id), record) }

// DropDecision forgets a decision.
func (t *Txn) DropDecision(id string) { t.delete([]byte("d" + id)) }

// Audit appends an audit record. Its key is time and randomness: appends never collide and never conflict.
func (t *Txn) Audit(at time.Time, record []byte) {
	id := t.local.ID(at)
	t.put([]byte("a"+id), record)
}

// ID makes an identifier that sorts by time: 16 hexadecimal digits of Unix nanoseconds, 16 of randomness.
func (l *Local) ID(at time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(at.UnixNano()))
	if _, err := l.rand.Read(b[8:]); err != nil {
		panic(fmt.Sprintf("store: no randomness: %v", err)) // crypto/rand never fails on the systems that Go supports
	}
	return hex.EncodeToString(b[:])
}

// DropManifest removes a record for good, with its hold on the content.
func (t *Txn) DropManifest(repo Name, d Digest) {
	t.delete(repoKey('m', repo, digestKey(d)))
	t.delete(globalKey(d, 'm', repo))
}
