package client

import "fmt"

// The limits of a listing, over all of its pages: a server may say for ever that there is more.
const (
	maxPages   = 10_000
	maxListing = 256 << 20 // bytes
)

// Listing counts the pages of one listing.
type Listing struct {
	host  string
	pages int
	left  int64 // bytes
}

// Listing begins to count one.
func (c *Client) Listing() *Listing { return &Listing{host: c.server.Host, left: c.listing} }

// Add counts a page. It fails where the listing has become too long to be followed or to be held in memory.
func (l *Listing) Add(page []byte) error {
	l.pages++
	if l.left -= int64(len(page)); l.left < 0 {
		return fmt.Errorf("the listing of %s is larger than %d MiB in all; ask for a part of it", l.host, maxListing>>20)
	}
	if l.pages > maxPages {
		return fmt.Errorf("the listing of %s does not end after %d pages; ask for a part of it", l.host, maxPages)
	}
	return nil
}
