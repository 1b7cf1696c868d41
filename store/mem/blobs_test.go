package mem_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/store/storetest"
)

func newBlobs(_ *testing.T, now func() time.Time) store.Blobs {
	b := mem.NewBlobs(rand.Reader)
	b.Now = now
	return b
}

func TestBlobs(t *testing.T)   { storetest.TestBlobs(t, newBlobs) }
func TestSweeper(t *testing.T) { storetest.TestSweeper(t, newBlobs) }
