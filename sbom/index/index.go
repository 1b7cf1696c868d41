package index

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Index writes the package index of one registry. Everything that only reads it is a function of this package.
type Index struct {
	local *store.Local
	log   *slog.Logger
	wake  chan struct{}
	mu    sync.Mutex // held by who folds: there is one writer of postings
}

// New returns the index of a registry.
func New(local *store.Local, log *slog.Logger) *Index {
	return &Index{local: local, log: log, wake: make(chan struct{}, 1)}
}

// MaxPackages is how many packages of an image are indexed: taking in one image is one commit, for which other writers wait.
const MaxPackages = 50_000

const maxQueued = 16 << 20

const (
	opPut  = 'p'
	opDrop = 'd'
)

// Put makes inv the inventory of an image, in the place of any that it had, within the transaction of the event that brings it. It reads nothing and
// writes under the image's own keys, so that no two pushes conflict; the postings follow when the transaction is durable (see Run). Errors:
// CodeInvalid for more than MaxPackages, or than 16 MiB once packed.
func (x *Index) Put(tx *store.Txn, image store.Item, origin Origin, inv *sbom.Inventory) error {
	if len(inv.Packages) > MaxPackages {
		return store.Errorf(store.CodeInvalid, "an inventory of %d packages is not indexed; %d is the limit", len(inv.Packages), MaxPackages)
	}
	q := &queued{forward: forward{origin: origin, format: inv.Format, generator: inv.Generator, distro: inv.Distro}, versions: versionsOf(inv)}
	b := q.encode()
	if len(b) > maxQueued {
		return store.Errorf(store.CodeInvalid, "an inventory of %d bytes, packed, is not indexed; %d is the limit", len(b), maxQueued)
	}
	sum := sha256.Sum256(b)
	s := tx.Space(space)
	s.Put(imageKey('w', image), b)
	s.Put(imageKey('q', image), append([]byte{opPut}, sum[:sumSize]...))
	tx.AfterCommit(x.poke)
	return nil
}

// Drop takes an image out of the index, within the transaction that deletes it. Dropping what is not there succeeds.
func (x *Index) Drop(tx *store.Txn, image store.Item) {
	s := tx.Space(space)
	s.Delete(imageKey('w', image))
	s.Put(imageKey('q', image), []byte{opDrop})
	tx.AfterCommit(x.poke)
}

func (x *Index) poke() {
	select {
	case x.wake <- struct{}{}:
	default: // already awake
	}
}

// retryAfter is how long Run waits after a failure.
const retryAfter = 10 * time.Second

// Run folds what is queued into the postings whenever a Put or Drop is durable, until ctx ends. The queue is in the store: a restart resumes it.
func (x *Index) Run(ctx context.Context) {
	for ctx.Err() == nil {
		var retry <-chan time.Time
		if _, err := x.Fold(ctx); err != nil && ctx.Err() == nil {
			x.log.Error("the package index could not take in what is queued and tries again", "error", err)
			retry = time.After(retryAfter)
		}
		select {
		case <-ctx.Done():
		case <-x.wake:
		case <-retry:
		}
	}
}

// versionsOf lists what is indexed of an inventory, each version once, in the order of the document.
func versionsOf(inv *sbom.Inventory) []PackageVersion {
	type key struct{ name, version, sum string }
	seen := make(map[key]struct{}, len(inv.Packages))
	list := make([]PackageVersion, 0, len(inv.Packages))
	for i := range inv.Packages {
		v := versionOf(&inv.Packages[i], inv.Distro)
		k := key{v.Name, v.Version, string(v.sum())}
		if _, again := seen[k]; !again {
			seen[k] = struct{}{}
			list = append(list, v)
		}
	}
	return list
}
