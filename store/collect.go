package store

import (
	"context"
	"time"
)

// CollectOptions say how long unreferenced content stays.
type CollectOptions struct {
	Grace   time.Duration // since a blob was linked, or someone was told that it is there
	Short   time.Duration // the same for blobs that a signer uploaded
	Session time.Duration // since an upload session was last used
}

// DefaultCollect keeps unreferenced blobs for a day, and a signer's for an hour.
func DefaultCollect() CollectOptions {
	return CollectOptions{Grace: 24 * time.Hour, Short: time.Hour, Session: 24 * time.Hour}
}

// Collected counts what a collection removed.
type Collected struct {
	Links    int // blobs taken out of a repository
	Contents int // contents deleted from the driver
	Sessions int // abandoned uploads
}

// collectPage is how many keys one snapshot of the collector looks at.
const collectPage = 1000

// Collect removes, online, what nothing needs: blob links without reference after their grace, content without link, abandoned sessions.
// It takes nothing that a client was told exists: a link's time and the leases hold it for the grace period, and as leases do not survive a
// restart, no link is taken within one grace period of the start. A clock that is set neither shortens a lease nor the time since the start.
func (l *Local) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	var c Collected
	now := l.clock()
	usable := l.told.prune(now.Add(-o.Grace))
	from := []byte("b")
	for usable {
		var candidates []Item
		var last []byte
		if err := l.View(ctx, func(s Snapshot) error {
			candidates, last = l.candidates(s, from, now, o)
			return nil
		}); err != nil {
			return c, err
		}
		for _, i := range candidates {
			if err := l.collectLink(ctx, i, now, o, &c); err != nil {
				return c, err
			}
		}
		if last == nil {
			break
		}
		from = successor(last)
	}
	if err := l.collectContent(ctx, &c); err != nil {
		return c, err
	}
	if s, ok := l.blobs.(Sweeper); ok {
		n, err := s.Sweep(ctx, now.Add(-o.Session).Unix())
		c.Sessions = n
		return c, err
	}
	return c, nil
}

func (l *Local) candidates(s Snapshot, from []byte, now time.Time, o CollectOptions) (items []Item, last []byte) {
	pairs := s.r.scan(from, []byte("c"), collectPage)
	for _, p := range pairs {
		repo, rest, ok := repoOf(p.Key)
		if !ok {
			continue
		}
		d, _, ok := readDigest(rest)
		if ok && l.idle(s.Records, Item{repo, d}, now, o) {
			items = append(items, Item{repo, d})
		}
	}
	if len(pairs) == collectPage {
		last = pairs[len(pairs)-1].Key
	}
	return items, last
}

// idle reports whether a link may go.
func (l *Local) idle(r Records, i Item, now time.Time, o CollectOptions) bool {
	link, err := r.Blob(i.Repository, i.Digest)
	if err != nil || link == nil {
		return false // assay check reports a damaged record
	}
	grace := o.Grace
	if link.Short {
		grace = o.Short
	}
	since := now.Add(-grace)
	if link.LinkedAt.After(since) || l.started.After(since) || l.told.held(i, since) {
		return false
	}
	return len(r.ReferencedBy(i.Repository, i.Digest, 1)) == 0
}

func (l *Local) collectLink(ctx context.Context, i Item, now time.Time, o CollectOptions, c *Collected) error {
	claim := l.claim(i.Digest)
	claim.Lock()
	defer claim.Unlock()
	gone, removed := false, false
	if err := l.Update(ctx, func(t *Txn) error {
		gone, removed = false, false
		if !l.idle(t.Records, i, now, o) {
			return nil
		}
		t.UnlinkBlob(i.Repository, i.Digest)
		removed, gone = true, t.DropUnused(i.Digest)
		return nil
	}); err != nil {
		return err
	}
	if removed {
		c.Links++
	}
	if !gone {
		return nil
	}
	c.Contents++
	return l.blobs.Delete(ctx, i.Digest)
}

// DropUnused deletes content from the KV if no repository holds it any more, and reports whether that is so.
func (t *Txn) DropUnused(d Digest) bool {
	prefix := append([]byte{'g'}, digestKey(d)...)
	if len(t.scan(prefix, after(prefix), 3)) > 0 {
		return false
	}
	t.delete(contentKey(d))
	return true
}

// collectContent deletes the driver's content that no repository holds: what a crash left between the file and its link.
// The claim makes sure that nobody is linking it just now.
func (l *Local) collectContent(ctx context.Context, c *Collected) error {
	last := Digest("")
	for {
		page, err := l.blobs.List(ctx, last, collectPage)
		if err != nil {
			return err
		}
		for _, d := range page.Items {
			if err := l.collectOrphan(ctx, d.Digest, c); err != nil {
				return err
			}
		}
		if page.Next == "" || len(page.Items) == 0 {
			return nil
		}
		last = page.Items[len(page.Items)-1].Digest
	}
}

func (l *Local) collectOrphan(ctx context.Context, d Digest, c *Collected) error {
	claim := l.claim(d)
	claim.Lock()
	defer claim.Unlock()
	held := false
	if err := l.View(ctx, func(s Snapshot) error {
		prefix := append([]byte{'g'}, digestKey(d)...)
		held = len(s.r.scan(prefix, after(prefix), 1)) > 0
		return nil
	}); err != nil || held {
		return err
	}
	c.Contents++
	return l.blobs.Delete(ctx, d)
}
