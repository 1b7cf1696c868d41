package store

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// record checks one pair by the class of its key.
func (c *checker) record(p Pair) {
	switch p.Key[0] {
	case '!':
		if string(p.Key) != keySchema {
			c.report(p.Key, "schema version %s has no such record", Schema)
		}
	case 'c':
		c.inline(p)
	case 'g':
		c.holder(p)
	case 'i':
		c.alternate(p)
	case 'D', 'd', 'a':
		c.document(p)
	case 'X': // what is in it, its owner checks
		if name, key, ok := strings.Cut(string(p.Key[1:]), "\x00"); !ok || !spaceName(name) || key == "" {
			c.report(p.Key, "the key is malformed")
		}
	default:
		c.inRepository(p)
	}
}

// inRepository checks what belongs to a repository.
func (c *checker) inRepository(p Pair) {
	repo, rest, ok := repoOf(p.Key)
	if !ok {
		c.report(p.Key, "the key is malformed")
		return
	}
	switch p.Key[0] {
	case 'R':
		return
	case 't':
		c.tag(p, repo, string(rest))
		return
	case 'h':
		c.stood(p, repo, rest)
		return
	}
	d, more, ok := readDigest(rest)
	if single := strings.IndexByte("mbqws", p.Key[0]) >= 0; !ok || single && len(more) > 0 {
		c.report(p.Key, "the key is malformed")
		return
	}
	switch p.Key[0] {
	case 'm':
		c.manifest(p, repo, d)
	case 'b':
		c.blob(p, repo, d)
	case 'T':
		c.tagIndex(p, repo, d, string(more))
	case 'r', 'o', 'p', 'e', 'x':
		c.pair(p, repo, d, more)
	case 's':
		if !json.Valid(p.Value) {
			c.report(p.Key, "the record is damaged")
		}
		c.present(p, repo, d)
	case 'q', 'w': // of work whose manifest went meanwhile: whoever does it finds out
	default:
		c.report(p.Key, "schema version %s has no such record", Schema)
	}
}

// document checks records outside of repositories: documents, decisions, audit.
func (c *checker) document(p Pair) {
	class, name, named := strings.Cut(string(p.Key[1:]), "\x00")
	if p.Key[0] == 'D' && (!named || class == "" || name == "") || p.Key[0] != 'D' && len(p.Key) != 1+32 {
		c.report(p.Key, "the key is malformed")
	}
	if !json.Valid(p.Value) {
		c.report(p.Key, "the record is damaged")
	}
}

// present reports a manifest that is not there, for a record that says so.
func (c *checker) present(p Pair, repo Name, d Digest) bool {
	v := c.s.Verdict(repo, d)
	if v.State == "" || v.State == StateTombstoned {
		c.report(p.Key, "the manifest %s is not in the repository", d)
		return false
	}
	return true
}

// listed reports a repository that has content and is not in the list of repositories.
func (c *checker) listed(p Pair, repo Name) {
	if !c.s.RepositoryExists(repo) {
		c.report(p.Key, "the repository is not in the list of repositories")
	}
}

func (c *checker) stood(p Pair, repo Name, rest []byte) {
	tag, sum, ok := bytes.Cut(rest, []byte{0})
	d, more, whole := readDigest(sum)
	if !ok || !whole || len(tag) == 0 || len(more) > 0 {
		c.report(p.Key, "the key is malformed")
		return
	}
	c.present(p, repo, d)
}

func (c *checker) inline(p Pair) {
	d, _, ok := readDigest(p.Key[1:])
	if !ok {
		c.report(p.Key, "the key is malformed")
		return
	}
	if DigestOf(d.Algorithm(), p.Value) != d {
		c.report(p.Key, "the content %s does not have that digest", d)
	}
	prefix := append([]byte{'g'}, digestKey(d)...)
	if len(c.s.r.scan(prefix, after(prefix), 1)) == 0 {
		c.report(p.Key, "no repository holds the content %s", d)
	}
}

// holder checks the reverse of a link or a manifest.
func (c *checker) holder(p Pair) {
	d, rest, ok := readDigest(p.Key[1:])
	if !ok || len(rest) < 2 || rest[0] != 'b' && rest[0] != 'm' {
		c.report(p.Key, "the key is malformed")
		return
	}
	if c.s.r.get(repoKey(rest[0], Name(rest[1:]), digestKey(d))) == nil {
		c.report(p.Key, "%s is held for %s, which does not have it", d, rest[1:])
	}
}

// alternate checks the digest of a manifest under the algorithm that it is not stored by.
func (c *checker) alternate(p Pair) {
	d, repo, ok := readDigest(p.Key[1:])
	if !ok || len(repo) == 0 {
		c.report(p.Key, "the key is malformed")
		return
	}
	primary, more, ok := readDigest(p.Value)
	if !ok || len(more) > 0 || c.s.r.get(repoKey('m', Name(repo), digestKey(primary))) == nil {
		c.report(p.Key, "the alternate digest %s has no manifest in %s", d, repo)
		return
	}
	if b := c.s.r.get(contentKey(primary)); b != nil && DigestOf(d.Algorithm(), b) != d {
		c.report(p.Key, "%s is not the alternate digest of %s", d, primary)
	}
}

func (c *checker) tag(p Pair, repo Name, tag string) {
	rec, err := c.s.Tag(repo, tag)
	if err != nil || rec == nil {
		c.report(p.Key, "the tag's record is damaged")
		return
	}
	for _, d := range []Digest{rec.Current, rec.Visible} {
		if d == "" {
			continue
		}
		if v := c.s.Verdict(repo, d); v.State == "" || v.State == StateTombstoned {
			c.report(p.Key, "the tag points to %s, which is not in the repository", d)
		}
		if c.s.r.get(repoKey('T', repo, digestKey(d), []byte(tag))) == nil {
			c.report(p.Key, "the index of tags by digest lacks it")
		}
	}
}

func (c *checker) tagIndex(p Pair, repo Name, d Digest, tag string) {
	if rec, err := c.s.Tag(repo, tag); err != nil || rec == nil || rec.Current != d && rec.Visible != d {
		c.report(p.Key, "the tag does not point there")
	}
}

func (c *checker) blob(p Pair, repo Name, d Digest) {
	rec, err := c.s.Blob(repo, d)
	if err != nil || rec == nil {
		c.report(p.Key, "the blob's record is damaged")
		return
	}
	c.listed(p, repo)
	if c.s.r.get(globalKey(d, 'b', repo)) == nil {
		c.report(p.Key, "the content is not held for this repository")
	}
	inline := c.s.r.get(contentKey(d))
	switch {
	case inline == nil:
		c.files = append(c.files, Descriptor{Digest: d, Size: rec.Size})
	case int64(len(inline)) != rec.Size:
		c.report(p.Key, "the content has %d bytes, the record says %d", len(inline), rec.Size)
	}
}

// pair checks a record that joins two digests: the second is a manifest that is there, and the bytes of which name the first.
func (c *checker) pair(p Pair, repo Name, first Digest, rest []byte) {
	d, more, ok := readDigest(rest)
	if !ok || len(more) > 0 {
		c.report(p.Key, "the key is malformed")
		return
	}
	if !c.present(p, repo, d) {
		return
	}
	switch p.Key[0] {
	case 'r':
		if kind := string(p.Value); kind != string(RefConfig) && kind != string(RefLayer) {
			c.report(p.Key, "the record is damaged")
		}
		if !c.names(repo, d, first) && !bytes.Contains(c.s.SBOM(repo, d), []byte(first)) { // documents that were made of it hang on it too
			c.report(p.Key, "the manifest %s does not reference %s", d, first)
		}
	case 'o':
		if state := c.s.Verdict(repo, d).State; state != StateAdmitted && state != StateEvidence {
			c.report(p.Key, "the blob %s is open by %s, which is %s", first, d, state)
		}
		if c.s.ReferencedAs(repo, first, d) == 0 {
			c.report(p.Key, "the blob %s is open by %s, which does not reference it", first, d)
		}
	case 'p':
		if !c.names(repo, d, first) {
			c.report(p.Key, "the index %s does not list %s", d, first)
		}
	case 'e':
		var shown Descriptor
		if err := json.Unmarshal(p.Value, &shown); err != nil || shown.Digest != d {
			c.report(p.Key, "the record is damaged")
		}
		if !c.names(repo, d, first) {
			c.report(p.Key, "the manifest %s is not about %s", d, first)
		}
	}
}

// names reports whether a manifest's bytes name a digest. A missing manifest is reported where its record is.
func (c *checker) names(repo Name, manifest, d Digest) bool {
	b := c.s.r.get(contentKey(manifest))
	if b == nil || bytes.Contains(b, []byte(d)) {
		return true
	}
	rec, err := c.s.Manifest(repo, manifest)
	if err != nil || rec == nil {
		return true
	}
	m, err := ParseManifest(rec.MediaType, bytes.Clone(b)) // JSON may spell the same string otherwise
	if err != nil {
		return false
	}
	all := slices.Concat(m.Layers, m.Blobs, m.Manifests)
	for _, one := range []*Descriptor{m.Config, m.Subject} {
		if one != nil {
			all = append(all, *one)
		}
	}
	return slices.ContainsFunc(all, func(f Descriptor) bool { return f.Digest == d })
}

func (c *checker) manifest(p Pair, repo Name, d Digest) {
	rec, err := decodeRecord(d, p.Value)
	if err != nil || rec.State == "" || rec.Kind == "" {
		c.report(p.Key, "the manifest's record is damaged")
		return
	}
	det, err := rec.Detail()
	if err != nil {
		c.report(p.Key, "the manifest's record is damaged")
		return
	}
	b := c.s.r.get(contentKey(d))
	if b == nil || int64(len(b)) != rec.Size {
		c.report(p.Key, "the manifest's content is missing or has another size")
		return
	}
	c.listed(p, repo)
	if c.s.r.get(globalKey(d, 'm', repo)) == nil {
		c.report(p.Key, "the content is not held for this repository")
	}
	if rec.State == StateTombstoned {
		return
	}
	parsed, err := ParseManifest(rec.MediaType, bytes.Clone(b))
	if err != nil {
		c.report(p.Key, "the manifest does not parse: %v", err)
		return
	}
	c.references(p, repo, rec, det, parsed)
}

func (c *checker) references(p Pair, repo Name, rec *ManifestRecord, det *Detail, parsed *Parsed) {
	blobs := append([]Descriptor{}, parsed.Layers...)
	if parsed.Config != nil {
		blobs = append(blobs, *parsed.Config)
	}
	for _, b := range append(blobs, parsed.Blobs...) {
		if c.s.r.get(repoKey('r', repo, digestKey(b.Digest), digestKey(rec.Digest))) == nil {
			c.report(p.Key, "its reference to %s is not recorded", b.Digest)
		}
		absent := Foreign(b)
		for _, m := range det.Missing {
			absent = absent || m == b.Digest
		}
		if !absent && c.s.r.get(repoKey('b', repo, digestKey(b.Digest))) == nil {
			c.report(p.Key, "the blob %s that it references is not in the repository", b.Digest)
		}
		open := c.s.r.get(repoKey('o', repo, digestKey(b.Digest), digestKey(rec.Digest))) != nil
		if rec.State == StateAdmitted && !open {
			c.report(p.Key, "it is admitted and does not open %s", b.Digest)
		}
	}
	if det.Alternate != "" && c.s.r.get(append(append([]byte{'i'}, digestKey(det.Alternate)...), repo...)) == nil {
		c.report(p.Key, "its digest under the other algorithm is not recorded")
	}
	for _, m := range parsed.Manifests {
		if c.s.r.get(repoKey('p', repo, digestKey(m.Digest), digestKey(rec.Digest))) == nil {
			c.report(p.Key, "its child %s is not recorded", m.Digest)
		}
	}
	if parsed.Subject != nil && c.s.r.get(repoKey('e', repo, digestKey(parsed.Subject.Digest), digestKey(rec.Digest))) == nil {
		c.report(p.Key, "it is not listed as a referrer of its subject")
	}
}
