package store

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// scanAll bounds the ranges that belong to one manifest or one subject: more than any limit lets in.
const scanAll = 1 << 20

// Records reads typed records, from a snapshot or within a transaction. A missing record is nil without error.
type Records struct{ r reader }

// written is a record that reads itself, if it is written as encoding/json does.
type written[T any] interface {
	*T
	read(*Plain) bool
}

func fromJSON[T any, P written[T]](b []byte, what string) (*T, error) {
	if b == nil {
		return nil, nil
	}
	v, p := new(T), ReadPlain(b)
	if P(v).read(&p) {
		return v, nil
	}
	v = new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, Errorf(CodeInternal, "a %s record is damaged; run assay check: %w", what, err)
	}
	return v, nil
}

// RepositoryExists reports whether anything was ever pushed to repo and is still there.
func (r Records) RepositoryExists(repo Name) bool { return r.r.get(repoKey('R', repo)) != nil }

// Manifest returns the record of a manifest.
func (r Records) Manifest(repo Name, d Digest) (*ManifestRecord, error) {
	b := r.r.get(itemKey('m', repo, d))
	if b == nil {
		return nil, nil
	}
	return decodeRecord(d, b)
}

// Verdict reads the state of a manifest without decoding the rest. The zero Verdict is no state.
func (r Records) Verdict(repo Name, d Digest) Verdict {
	return decodeVerdict(r.r.get(itemKey('m', repo, d)))
}

// Alternates finds, in all repositories, the manifests whose bytes have the digest d under the algorithm that they are not stored by.
func (r Records) Alternates(d Digest) []Item {
	prefix := append([]byte{'i'}, digestKey(d)...)
	var items []Item
	for _, p := range r.r.scan(prefix, after(prefix), scanAll) {
		primary, _, ok := readDigest(p.Value)
		if ok {
			items = append(items, Item{Name(p.Key[len(prefix):]), primary})
		}
	}
	return items
}

// ManifestsWithPrefix lists the manifests of repo whose sha512 digest begins with the given hexadecimal digits (an even number).
func (r Records) ManifestsWithPrefix(repo Name, hexadecimal string) []Digest {
	sum, err := hex.DecodeString(hexadecimal)
	if err != nil {
		return nil
	}
	prefix := repoKey('m', repo, append([]byte{2}, sum...))
	start := len(repoKey('m', repo))
	var ds []Digest
	for _, p := range r.r.scan(prefix, after(prefix), 16) {
		if d, _, ok := readDigest(p.Key[start:]); ok {
			ds = append(ds, d)
		}
	}
	return ds
}

// Content returns the bytes that the KV holds: every manifest, and small blobs. The caller does not change them.
func (r Records) Content(d Digest) []byte {
	b := r.r.get(contentKey(d))
	if _, own := r.r.(*Txn); b == nil || own { // a transaction answers with a copy
		return b
	}
	return append(make([]byte, 0, len(b)), b...)
}

// Blob returns the link of a blob into repo.
func (r Records) Blob(repo Name, d Digest) (*BlobRecord, error) {
	return fromJSON[BlobRecord](r.r.get(itemKey('b', repo, d)), "blob")
}

// Tag returns the record of a tag.
func (r Records) Tag(repo Name, tag string) (*TagRecord, error) {
	return fromJSON[TagRecord](r.r.get(repoKey('t', repo, []byte(tag))), "tag")
}

// TagsOf lists the tags whose current or visible digest is d.
func (r Records) TagsOf(repo Name, d Digest) []string {
	prefix := repoKey('T', repo, digestKey(d))
	var tags []string
	r.r.keys(prefix, after(prefix), scanAll, func(key []byte) { tags = append(tags, string(key[len(prefix):])) })
	return tags
}

func (r Records) digests(prefix []byte, limit int) []Digest {
	var ds []Digest
	r.r.keys(prefix, after(prefix), limit, func(key []byte) {
		if d, _, ok := readDigest(key[len(prefix):]); ok {
			ds = append(ds, d)
		}
	})
	return ds
}

// Parents lists the indexes of repo that list d.
func (r Records) Parents(repo Name, d Digest) []Digest {
	return r.digests(repoKey('p', repo, digestKey(d)), scanAll)
}

// ReferencedBy lists at most limit manifests of repo that reference the blob.
func (r Records) ReferencedBy(repo Name, blob Digest, limit int) []Digest {
	return r.digests(repoKey('r', repo, digestKey(blob)), limit)
}

// OpenedBy lists at most limit manifests that open the blob to whoever may pull: the first is the witness.
func (r Records) OpenedBy(repo Name, blob Digest, limit int) []Digest {
	return r.digests(repoKey('o', repo, digestKey(blob)), limit)
}

// Opens reports whether anything in repo is open to pullers at all.
func (r Records) Opens(repo Name) bool {
	prefix := repoKey('o', repo)
	return len(r.r.scan(prefix, after(prefix), 1)) > 0
}

// RepositoriesOf lists at most limit repositories that hold content, as blob ('b') or manifest ('m').
func (r Records) RepositoriesOf(d Digest, kind byte, limit int) []Name {
	prefix := globalKey(d, kind, "")
	var names []Name
	r.r.keys(prefix, after(prefix), limit, func(key []byte) { names = append(names, Name(key[len(prefix):])) })
	return names
}

// Edge is one referrer of a subject.
type Edge struct {
	Evidence Digest
	JSON     []byte // the descriptor as the referrers API shows it
}

// Edges lists at most limit referrers of subject after the given digest.
func (r Records) Edges(repo Name, subject Digest, afterDigest Digest, limit int) []Edge {
	prefix := repoKey('e', repo, digestKey(subject))
	from := prefix
	if afterDigest != "" {
		from = successor(append(append([]byte{}, prefix...), digestKey(afterDigest)...))
	}
	var edges []Edge
	for _, p := range r.r.scan(from, after(prefix), limit) {
		if d, _, ok := readDigest(p.Key[len(prefix):]); ok {
			edges = append(edges, Edge{d, p.Value})
		}
	}
	return edges
}

// Facts lists what is known of a subject's evidence: values that policy wrote, by evidence manifest.
func (r Records) Facts(repo Name, subject Digest) map[Digest][]byte {
	prefix := repoKey('x', repo, digestKey(subject))
	facts := map[Digest][]byte{}
	for _, p := range r.r.scan(prefix, after(prefix), scanAll) {
		if d, _, ok := readDigest(p.Key[len(prefix):]); ok {
			facts[d] = p.Value
		}
	}
	return facts
}

// Fact returns what is known of one piece of a subject's evidence: a value that policy wrote.
func (r Records) Fact(repo Name, subject, evidence Digest) []byte {
	return bytes.Clone(r.r.get(repoKey('x', repo, digestKey(subject), digestKey(evidence))))
}

// StoodUnder lists the manifests that ever stood under a reserved tag and were not withdrawn.
func (r Records) StoodUnder(repo Name, tag string) []Digest {
	return r.digests(repoKey('h', repo, []byte(tag+"\x00")), scanAll)
}

// SBOM returns what policy keeps about a manifest's bill of materials, as JSON.
func (r Records) SBOM(repo Name, d Digest) []byte {
	return bytes.Clone(r.r.get(repoKey('s', repo, digestKey(d))))
}

// Doc returns a document of a class, as JSON.
func (r Records) Doc(class, name string) []byte { return bytes.Clone(r.r.get(docKey(class, name))) }

// DocsOf returns all documents of a class by name.
func (r Records) DocsOf(class string) map[string][]byte {
	prefix := docKey(class, "")
	docs := map[string][]byte{}
	for _, p := range r.r.scan(prefix, after(prefix), scanAll) {
		docs[string(p.Key[len(prefix):])] = p.Value
	}
	return docs
}

// Decision returns a decision record, as JSON.
func (r Records) Decision(id string) []byte { return bytes.Clone(r.r.get([]byte("d" + id))) }

// DecisionPage lists the ids of at most limit decisions after one id and before another, oldest first.
func (r Records) DecisionPage(afterID, before string, limit int) []string {
	from := []byte("d")
	if afterID != "" {
		from = successor([]byte("d" + afterID))
	}
	var ids []string
	for _, p := range r.r.scan(from, []byte("d"+before), limit) {
		ids = append(ids, string(p.Key[1:]))
	}
	return ids
}

// RepositoryPage lists at most limit names after the given one.
func (r Records) RepositoryPage(afterName string, limit int) []Name {
	from := []byte("R" + afterName)
	if afterName != "" {
		from = successor(repoKey('R', Name(afterName)))
	}
	var names []Name
	for _, p := range r.r.scan(from, []byte("S"), limit) {
		if n, _, ok := repoOf(p.Key); ok {
			names = append(names, n)
		}
	}
	return names
}

// TagItem is one tag with its name.
type TagItem struct {
	Name string
	TagRecord
}

// TagPage lists at most limit tags after the given one, in byte order.
func (r Records) TagPage(repo Name, afterTag string, limit int) ([]TagItem, error) {
	prefix := repoKey('t', repo)
	from := prefix
	if afterTag != "" {
		from = successor(repoKey('t', repo, []byte(afterTag)))
	}
	var items []TagItem
	for _, p := range r.r.scan(from, after(prefix), limit) {
		t, err := fromJSON[TagRecord](p.Value, "tag")
		if err != nil {
			return nil, err
		}
		items = append(items, TagItem{string(p.Key[len(prefix):]), *t})
	}
	return items, nil
}

// Item names a manifest in a repository.
type Item struct {
	Repository Name
	Digest     Digest
}

// Key is the item as the key of a record in a [Space]; [ItemOf] reads it.
func (i Item) Key() []byte { return []byte(string(i.Repository) + "\x00" + string(i.Digest)) }

// ItemOf is the item of a key; ok is false for what is none.
func ItemOf(key []byte) (i Item, ok bool) {
	repo, d, found := strings.Cut(string(key), "\x00")
	return Item{Name(repo), Digest(d)}, found && repo != ""
}

func (r Records) items(prefix byte, from *Item, limit int) []Item {
	start := []byte{prefix}
	if from != nil {
		start = successor(repoKey(prefix, from.Repository, digestKey(from.Digest)))
	}
	var items []Item
	r.r.keys(start, []byte{prefix + 1}, limit, func(key []byte) {
		if n, rest, ok := repoOf(key); ok {
			if d, _, ok := readDigest(rest); ok {
				items = append(items, Item{n, d})
			}
		}
	})
	return items
}

// ManifestPage lists all manifests, page by page: after is the last item of the page before.
func (r Records) ManifestPage(after *Item, limit int) []Item { return r.items('m', after, limit) }

// Held is a manifest as it is listed: what is known without its detail.
type Held struct {
	Item    Item
	Kind    Kind
	Verdict Verdict
}

// HeldPage is ManifestPage with what the records say. Nothing of a record is copied.
func (s Snapshot) HeldPage(after *Item, limit int) []Held {
	start := []byte{'m'}
	if after != nil {
		start = successor(repoKey('m', after.Repository, digestKey(after.Digest)))
	}
	held := make([]Held, 0, limit)
	var repo Name
	for k, v := range s.tx.Scan(start, []byte{'m' + 1}) {
		if len(held) == limit {
			break
		}
		n, rest, ok := cutRepo(k)
		if !ok {
			continue
		}
		d, _, ok := readDigest(rest)
		if !ok || len(v) < recordFixed {
			continue
		}
		if string(n) != string(repo) {
			repo = Name(n)
		}
		held = append(held, Held{Item{repo, d}, decode(kindCodes[:], v[2]), decodeVerdict(v)})
	}
	return held
}

// QueuePage lists what is to be decided again, page by page: after is the last item of the page before.
func (r Records) QueuePage(after *Item, limit int) []Item { return r.items('q', after, limit) }

// Queued reports whether a manifest is to be decided again: until then, its verdict is in doubt.
func (r Records) Queued(i Item) bool {
	return r.r.get(itemKey('q', i.Repository, i.Digest)) != nil
}

// SBOMWorkPage lists SBOM work.
func (r Records) SBOMWorkPage(after *Item, limit int) []Item { return r.items('w', after, limit) }

// SBOMWork returns the state of a piece of SBOM work, as JSON.
func (r Records) SBOMWork(i Item) []byte {
	return bytes.Clone(r.r.get(repoKey('w', i.Repository, digestKey(i.Digest))))
}

// AuditPage lists at most limit audit records after the given key, oldest first. Keys are opaque.
func (r Records) AuditPage(afterKey string, limit int) []Pair {
	from := []byte("a")
	if afterKey != "" {
		from = successor([]byte("a" + afterKey))
	}
	pairs := r.r.scan(from, []byte("b"), limit)
	for i := range pairs {
		pairs[i].Key = pairs[i].Key[1:]
	}
	return pairs
}
