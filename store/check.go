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
	"strings"
)

// Problem is one broken invariant.
type Problem struct {
	Key  string `json:"key"`  // the record, printable; the digest where a file is wrong
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
	err := c.content(ctx, deep)
	return c.problems, err
}

type checker struct {
	l        *Local
	s        Snapshot
	problems []Problem
	limit    int
	files    []Descriptor // content that the driver must hold
}

func (c *checker) report(key []byte, format string, args ...any) {
	c.add(printable(key), fmt.Sprintf(format, args...))
}

func (c *checker) add(key, what string) {
	if len(c.problems) < c.limit {
		c.problems = append(c.problems, Problem{key, what})
	}
}

// printable shows a key with its binary parts in hexadecimal.
func printable(key []byte) string {
	class, rest := string(key[:1]), key[1:]
	switch class {
	case "c", "g", "i":
		if d, more, ok := readDigest(rest); ok {
			return strings.TrimRight(fmt.Sprintf("%s %s %s", class, d, legible(more)), " ")
		}
		return fmt.Sprintf("%q", key)
	case "D", "R", "b", "e", "h", "m", "o", "p", "q", "r", "s", "t", "T", "w", "x":
	default:
		return legible(key)
	}
	first, rest, ok := bytes.Cut(rest, []byte{0})
	if !ok {
		return fmt.Sprintf("%q", key)
	}
	s := class + " " + legible(first)
	if tag, sum, ok := bytes.Cut(rest, []byte{0}); ok && class == "h" {
		s, rest = s+" "+legible(tag), sum
	}
	for len(rest) > 0 {
		d, more, ok := readDigest(rest)
		if !ok {
			return s + " " + legible(rest)
		}
		s, rest = s+" "+string(d), more
	}
	return s
}

// legible quotes what is not printable.
func legible(b []byte) string {
	if q := fmt.Sprintf("%+q", b); q[1:len(q)-1] != string(b) {
		return q
	}
	return string(b)
}

// content checks the driver: what must be there is, with its size and, if deep, its digest. A blob that went meanwhile is looked up again.
func (c *checker) content(ctx context.Context, deep bool) error {
	seen := map[Digest]int64{} // sizes of what was looked at
	for _, f := range c.files {
		size, again := seen[f.Digest]
		if again && size == f.Size || len(c.problems) >= c.limit {
			continue
		}
		seen[f.Digest] = f.Size
		if what := c.file(ctx, f, deep && !again); what != "" && c.stillHeld(ctx, f.Digest) {
			c.add(string(f.Digest), what)
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
	if CodeOf(err) == CodeBlobUnknown {
		return "the content is missing"
	} else if err != nil {
		return "the content cannot be read: " + err.Error()
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
