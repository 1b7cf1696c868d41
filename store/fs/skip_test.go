package fs_test

import (
	iofs "io/fs"

	"github.com/assay-registry/assay/store/fs"
)

// skipSync is a file system that forgets one kind of sync.
type skipSync struct {
	fs.FS
	skip string // "sync" or "datasync"
}

func (s skipSync) OpenFile(name string, flag int, perm iofs.FileMode) (fs.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return skipFile{f, s.skip}, nil
}

type skipFile struct {
	fs.File
	skip string
}

func (f skipFile) Sync() error {
	if f.skip == "sync" {
		return nil
	}
	return f.File.Sync()
}

func (f skipFile) Datasync() error {
	if f.skip == "datasync" {
		return nil
	}
	return f.File.Datasync()
}
