package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// Problem is one broken invariant.
type Problem struct {
	Key  string `json:"key"`  // the record, printable
	What string `json:"what"` // a sentence
}

// String joins both.
func (p Problem) String() string { return p.Key + ": " + p.What }

// Check verifies every invariant of the schema, record by record, each against the snapshot in which it is read: it may run beside a
// server. With deep set, all content is read and hashed. It reports at most limit problems.
func (l *Local) Check(ctx context.Context, deep bool, limit int) ([]Problem, error) {
	c := &checker{l: l, limit: limit}
	var from []byte
	for len(c.problems) < limit {
		var pairs []Pair
		if err := l.View(ctx, func(s Snapshot) error {
			pairs = s.r.scan(from, nil, collectPage)
			c.s = s
			for _, p := range pairs {
				c.record(p)
			}
			return nil
		}); err != nil {
			return c.problems, err
		}
		if len(pairs) < collectPage {
			break
		}
		from = successor(pairs[len(pairs)-1].Key)
	}
	return c.problems, c.content(ctx, deep)
}

type checker struct {
	l        *Local
	s        Snapshot
	problems []Problem
	limit    int
	files    []Descriptor // content that the driver must hold
}

func (c *checker) report(key []byte, format string, args ...any) {
	if len(c.problems) < c.limit {
		c.problems = append(c.problems, Problem{printable(key), fmt.Sprintf(format, args...)})
	}
}

// printable shows a key with its binary parts in hexadecimal.
func printable(key []byte) string {
	repo, rest, ok := repoOf(key)
	if !ok {
		return fmt.Sprintf("%q", key)
	}
	s := string(key[:1]) + " " + string(repo)
	for len(rest) > 0 {
		d, more, ok := readDigest(rest)
		if !ok || rest[0] > 2 {
			return s + fmt.Sprintf(" %q", rest)
		}
		s, rest = s+" "+string(d), more
	}
	return s
}

func (c *checker) record(p Pair) {
	if p.Key[0] == '!' || p.Key[0] == 'D' || p.Key[0] == 'd' || p.Key[0] == 'a' || p.Key[0] == 'R' {
		return
	}
	if p.Key[0] == 'c' {
		c.inline(p)
		return
	}
	if p.Key[0] == 'g' || p.Key[0] == 'i' {
		c.global(p)
		return
	}
	repo, rest, ok := repoOf(p.Key)
	if !ok {
		c.report(p.Key, "the key is malformed")
		return
	}
	switch p.Key[0] {
	case 't':
		c.tag(p, repo, string(rest))
		return
	case 'h':
		return
	}
	d, more, ok := readDigest(rest)
	if !ok {
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
	}
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

func (c *checker) global(p Pair) {
	d, rest, ok := readDigest(p.Key[1:])
	if !ok || p.Key[0] == 'g' && len(rest) < 2 {
		c.report(p.Key, "the key is malformed")
		return
	}
	if p.Key[0] == 'i' {
		primary, _, ok := readDigest(p.Value)
		if !ok || c.s.r.get(repoKey('m', Name(rest), digestKey(primary))) == nil {
			c.report(p.Key, "the alternate digest %s has no manifest in %s", d, rest)
		}
		return
	}
	if c.s.r.get(repoKey(rest[0], Name(rest[1:]), digestKey(d))) == nil {
		c.report(p.Key, "%s is held for %s, which does not have it", d, rest[1:])
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

// pair checks a record that joins two digests: the second is a manifest that is there.
func (c *checker) pair(p Pair, repo Name, first Digest, rest []byte) {
	d, _, ok := readDigest(rest)
	if !ok {
		c.report(p.Key, "the key is malformed")
		return
	}
	v := c.s.Verdict(repo, d)
	if v.State == "" || v.State == StateTombstoned {
		c.report(p.Key, "the manifest %s is not in the repository", d)
	}
	if p.Key[0] == 'o' && v.State != StateAdmitted && v.State != StateEvidence {
		c.report(p.Key, "the blob %s is open by %s, which is %s", first, d, v.State)
	}
}

func (c *checker) manifest(p Pair, repo Name, d Digest) {
	rec, err := decodeRecord(d, p.Value)
	if err != nil {
		c.report(p.Key, "the manifest's record is damaged")
		return
	}
	b := c.s.r.get(contentKey(d))
	if b == nil || int64(len(b)) != rec.Size {
		c.report(p.Key, "the manifest's content is missing or has another size")
		return
	}
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
	det, err := rec.Detail()
	if err != nil {
		c.report(p.Key, "the manifest's record is damaged")
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
	for _, m := range parsed.Manifests {
		if c.s.r.get(repoKey('p', repo, digestKey(m.Digest), digestKey(rec.Digest))) == nil {
			c.report(p.Key, "its child %s is not recorded", m.Digest)
		}
	}
	if parsed.Subject != nil && c.s.r.get(repoKey('e', repo, digestKey(parsed.Subject.Digest), digestKey(rec.Digest))) == nil {
		c.report(p.Key, "it is not listed as a referrer of its subject")
	}
}

// content checks the driver: what must be there is, with its size and, if deep, its digest. A blob that went meanwhile is looked up again.
func (c *checker) content(ctx context.Context, deep bool) error {
	seen := map[Digest]bool{}
	for _, f := range c.files {
		if seen[f.Digest] || len(c.problems) >= c.limit {
			continue
		}
		seen[f.Digest] = true
		if what := c.file(ctx, f, deep); what != "" && c.stillHeld(ctx, f.Digest) {
			c.report([]byte(f.Digest), "%s", what)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (c *checker) stillHeld(ctx context.Context, d Digest) bool {
	held := true
	err := c.l.View(ctx, func(s Snapshot) error {
		held = len(s.RepositoriesOf(d, 'b', 1)) > 0
		return nil
	})
	return err != nil || held
}

func (c *checker) file(ctx context.Context, f Descriptor, deep bool) string {
	b, err := c.l.blobs.Open(ctx, f.Digest)
	if err != nil {
		return "the content is missing: " + err.Error()
	}
	defer func() { _ = b.Close() }()
	if b.Size != f.Size {
		return fmt.Sprintf("the content has %d bytes, the record says %d", b.Size, f.Size)
	}
	if !deep {
		return ""
	}
	var h hash.Hash = sha256.New()
	if f.Digest.Algorithm() == "sha512" {
		h = sha512.New()
	}
	if _, err := io.Copy(h, b.ReadSeekCloser); err != nil {
		return "the content cannot be read: " + err.Error()
	}
	if hex.EncodeToString(h.Sum(nil)) != f.Digest.Encoded() {
		return "the content does not have its digest: it was changed on disk"
	}
	return ""
}
