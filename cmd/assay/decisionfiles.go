package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/store"
)

// segmentFiles are a journal's files in a directory of the data directory, which one process has locked.
type segmentFiles string

var _ journal.Segments = segmentFiles("")

// List names the files; none where the directory is missing.
func (s segmentFiles) List() ([]string, error) {
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
func (s segmentFiles) Open(name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(s), name))
}

// Append writes at the end of a file, and creates it if it is not there.
func (s segmentFiles) Append(name string, b []byte) error {
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
	return syncDirectory(string(s))
}

// Truncate cuts a file off.
func (s segmentFiles) Truncate(name string, size int64) error {
	f, err := os.OpenFile(filepath.Join(string(s), name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

// Replace puts content in the place of a file's.
func (s segmentFiles) Replace(name string, content []byte) error {
	return writeDurably(filepath.Join(string(s), name), content, 0o600)
}

// Remove removes a file.
func (s segmentFiles) Remove(name string) error {
	if err := os.Remove(filepath.Join(string(s), name)); err != nil {
		return err
	}
	return syncDirectory(string(s))
}

// decisions is where the decision log is kept.
func (d *directory) decisions() string { return filepath.Join(d.path, decisionsDir) }

const decisionsDir = "decisions"

// openDecisions opens the decision log; nil where the configuration wants none.
func openDecisions(a *cli.App, r *registry, cfg *config.Config, log *slog.Logger) (*decisionlog.Log, error) {
	if cfg.Decisions.Keep == 0 {
		return nil, nil
	}
	dir := r.directory.decisions()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	journal, err := journal.Open(journal.Options{Log: journal.Decisions, Segments: segmentFiles(dir), Key: r.keys.log, Clock: a.Clock,
		Keep: time.Duration(cfg.Decisions.Keep), MaxBytes: int64(cfg.Decisions.Size)})
	if err != nil {
		return nil, store.Errorf(store.CodeInternal, "the decision log in %s cannot be opened: %w", dir, err)
	}
	return decisionlog.New(decisionlog.Options{Journal: journal, Clock: a.Clock, ID: r.local.ID, Log: log, Labels: map[string]string{"version": a.Release}}), nil
}
