package place

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// SegmentFiles are a journal's files in a directory of the data directory, which one process has locked.
type SegmentFiles string

// List names the files; none where the directory is missing.
func (s SegmentFiles) List() ([]string, error) {
	entries, err := os.ReadDir(string(s))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Open opens a file to be read.
func (s SegmentFiles) Open(name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(s), name))
}

// Append writes at the end of a file, and creates it if it is not there.
func (s SegmentFiles) Append(name string, b []byte) error {
	path := filepath.Join(string(s), name)
	_, err := os.Lstat(path)
	created := errors.Is(err, os.ErrNotExist)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil || !created {
		return err
	}
	return SyncDirectory(string(s))
}

// Truncate cuts a file off.
func (s SegmentFiles) Truncate(name string, size int64) error {
	f, err := os.OpenFile(filepath.Join(string(s), name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

// Replace puts content in the place of a file's.
func (s SegmentFiles) Replace(name string, content []byte) error {
	return WriteDurably(filepath.Join(string(s), name), content, 0o600)
}

// Remove removes a file.
func (s SegmentFiles) Remove(name string) error {
	if err := os.Remove(filepath.Join(string(s), name)); err != nil {
		return err
	}
	return SyncDirectory(string(s))
}

// Decisions is where the decision log is kept.
func (d *Directory) Decisions() string { return filepath.Join(d.Path, decisionsDir) }

const decisionsDir = "decisions"
