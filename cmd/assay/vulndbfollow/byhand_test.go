package vulndbfollow

import (
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/assay-registry/assay/store"
)

// A disk that is full is not the fault of whoever sends an archive, and a stream that breaks is not the disk's.
func TestUncopiedArchives(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	closed, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for code, copied := range map[store.Code]func() (int64, error){
		store.CodeStorageFull: func() (int64, error) { return io.Copy(full, strings.NewReader("archive")) },
		store.CodeInternal:    func() (int64, error) { return io.Copy(closed, strings.NewReader("archive")) },
		store.CodeInvalid:     func() (int64, error) { return io.Copy(io.Discard, iotest.ErrReader(io.ErrUnexpectedEOF)) },
	} {
		_, err := copied()
		if got := uncopied(err); err == nil || store.CodeOf(got) != code {
			t.Errorf("%v: %v, not %s", err, got, code)
		}
	}
}
