package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestALayoutWhoseBlobsLieElsewhere is refused with the reason.
func TestALayoutWhoseBlobsLieElsewhere(t *testing.T) {
	p := newPicture().layer(t, alpine()...)
	dir := p.save(t, p.finish(t))
	if err := os.Rename(filepath.Join(dir, "blobs"), filepath.Join(dir+".elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir+".elsewhere", filepath.Join(dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	err := describeLayout(t.Context(), layoutRequest{dir: dir, options: options{memory: 512 << 20}}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "blobs in the layout is a link that leads out of it") {
		t.Errorf("%v", err)
	}
}
