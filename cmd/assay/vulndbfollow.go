package main

import (
	"context"
	"fmt"
	"time"

	"errors"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/follow"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/vulndbkeep"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/sbom/vulndb"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

// databases follows the artifacts of this registry that databases of vulnerabilities come from. What was installed last stays until another is whole, signed by the authority named for it, and newer.
type databases struct {
	*follow.Watch // by name
	vulndbkeep.Databases
	r    *registry
	log  *slog.Logger
	told map[string]store.Digest // by name: whose refusal was written into the audit log; of whoever has the turn
}

func newDatabases(k vulndbkeep.Databases, r *registry, log *slog.Logger) *databases {
	return &databases{Watch: follow.NewWatch(k.Clock), Databases: k, r: r, log: log, told: map[string]store.Digest{}}
}

// run looks every second whether a tag moved.
func (f *databases) run(ctx context.Context) {
	f.tell(ctx)
	follow.EverySecond(ctx, func(ctx context.Context) {
		for _, d := range f.config().Databases {
			if ctx.Err() == nil {
				f.refresh(ctx, d)
			}
		}
	})
}

func (f *databases) config() config.Vulnerabilities {
	f.r.ruling.Lock()
	defer f.r.ruling.Unlock()
	return f.r.current.Vulnerabilities
}

// refresh looks at one database.
func (f *databases) refresh(ctx context.Context, d config.VulnDatabase) {
	f.Look(ctx, d.Name, func() (bool, error) { return f.attempt(ctx, d) }, func(err error) {
		f.log.Warn("a database of vulnerabilities is not installed; what was installed last stays", "database", d.Name, "artifact", d.Artifact, "error", err)
	}, f.tell)
}

// attempt installs what a tag names now, if it is something else than before and may be.
func (f *databases) attempt(ctx context.Context, d config.VulnDatabase) (changed bool, err error) {
	repo, tag, err := d.Source()
	if err != nil {
		return false, err
	}
	own := &follow.Repository{Local: f.Local, Name: repo}
	now, err := own.Current(ctx, tag)
	if err != nil {
		return false, err
	}
	last, _, err := f.Last(ctx, d.Name)
	if err != nil || last.Digest == now {
		return false, err
	}
	by, err := f.r.admission.SignedBy(ctx, repo, now, []string{d.Authority})
	if err != nil {
		return false, err
	}
	if err := f.Spoilt(d.Name, now); err != nil {
		return false, err
	}
	a, err := storedDatabase(ctx, own, now)
	if err == nil && a.Description.Name != d.Name {
		err = store.Errorf(store.CodeInvalid, "%s holds the database %s, and %s is followed there; push that, or correct vulnerabilities.databases", d.Artifact, a.Description.Name, d.Name)
	}
	if err == nil {
		_, err = f.Install(ctx, *a, vulndbkeep.Record{Name: d.Name, Artifact: d.Artifact, SignedBy: by})
	}
	if err != nil {
		f.refused(ctx, d, now, err)
		return false, err
	}
	f.log.Info("a database of vulnerabilities was installed", "database", d.Name, "artifact", d.Artifact, "digest", string(now), "revision", a.Description.Revision, "advisories", a.Description.Count)
	return true, nil
}

// refused remembers what cannot be installed, so that it is not read every second, and writes into the audit log once what somebody has to answer for: an older database, a damaged one.
func (f *databases) refused(ctx context.Context, d config.VulnDatabase, digest store.Digest, why error) {
	if ctx.Err() != nil {
		return
	}
	f.Spoil(d.Name, digest)
	told := f.told[d.Name] == digest
	f.told[d.Name] = digest
	if code := store.CodeOf(why); told || code != store.CodeConflict && code != store.CodeInvalid {
		return
	}
	f.wrote(f.Audit(ctx, policy.AuditRecord{Actor: "system", Repository: vulndbkeep.RepositoryOf(d.Artifact), Digest: digest, Reason: "refused from " + d.Artifact + ": " + cli.Sentence(why)}))
}

// wrote tells of what could not be written into the audit log: that a database is refused is the news.
func (f *databases) wrote(err error) {
	if err != nil {
		f.log.Error("the audit log was not told of a database that was refused", "error", err)
	}
}

// storedDatabase reads an artifact of this registry. Who signed it is somebody else's question.
func storedDatabase(ctx context.Context, repo *follow.Repository, d store.Digest) (*vulndb.Artifact, error) {
	content, err := repo.Local.ReadContent(ctx, d, store.MaxManifest)
	if err != nil {
		return nil, err
	}
	a := &vulndb.Artifact{Digest: d, Open: func(p vulndb.Part) (io.ReadCloser, error) { return repo.Blob(ctx, p.Digest) }}
	if a.Manifest, err = vulndb.ParseManifest(content); err != nil {
		return nil, err
	}
	text, err := repo.Read(ctx, a.Manifest.Config.Digest, vulndb.MaxConfig)
	if err != nil {
		return nil, err
	}
	a.Description, err = vulndb.ParseDescription(text)
	return a, err
}

// DatabaseStatus is [server.Databases].
func (f *databases) DatabaseStatus(ctx context.Context) ([]server.DatabaseStatus, error) {
	all, err := f.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	cfg, now := f.config(), f.Databases.Clock()
	for _, d := range cfg.Databases {
		s, w := all[d.Name], f.State(d.Name)
		s.Name, s.Artifact, s.Authority, s.CheckedAt, s.Failures, s.Error = d.Name, d.Artifact, d.Authority, w.Checked, w.Failures, w.Message
		all[d.Name] = s
	}
	list := slices.SortedFunc(maps.Values(all), func(a, b server.DatabaseStatus) int { return strings.Compare(a.Name, b.Name) })
	for i := range list {
		if s := &list[i]; !s.Built.IsZero() {
			age := max(0, now.Sub(s.Current()))
			s.Age, s.TooOld = int64(age/time.Second), cfg.MaxAge > 0 && age > time.Duration(cfg.MaxAge)
		}
	}
	return list, nil
}

// uncopied says why an archive could not be kept: the disk, or what came.
func uncopied(err error) error {
	failed := new(fs.PathError)
	switch {
	case !errors.As(err, &failed):
		return store.Errorf(store.CodeInvalid, "the archive of the database could not be read to its end: %w", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return store.Errorf(store.CodeStorageFull, "there is no space for the archive of the database")
	}
	return fmt.Errorf("keeping the archive of the database: %w", err)
}

// ImportDatabase is [server.Databases]. The archive is kept in a file without a name until it was found to be whole.
func (f *databases) ImportDatabase(ctx context.Context, p access.Principal, name string, mayShrink bool, archive io.Reader) (*server.DatabaseStatus, error) {
	if err := vulndb.CheckName(name); err != nil {
		return nil, err
	}
	if err := f.unfollowed(name); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(f.r.directory.Path, ".vulndb-*")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := os.Remove(file.Name()); err != nil {
		return nil, err
	}
	size, err := io.Copy(file, archive)
	if err != nil {
		return nil, uncopied(err)
	}
	l, err := vulndb.OpenLayout(file, size)
	if err != nil {
		return nil, err
	}
	if l.Description.Name != name {
		return nil, store.Errorf(store.CodeInvalid, "the archive holds the database %s, not %s", l.Description.Name, name)
	}
	defer f.Alone()()
	if _, err := f.Install(ctx, l.Artifact(mayShrink), vulndbkeep.Record{Name: name, ImportedBy: p.Name}); err != nil {
		if code := store.CodeOf(err); code == store.CodeConflict || code == store.CodeInvalid {
			f.wrote(f.Audit(ctx, policy.AuditRecord{Actor: p.Name, Digest: l.Digest, Reason: "refused an import: " + cli.Sentence(err)}))
		}
		return nil, err
	}
	f.tell(ctx)
	list, err := f.DatabaseStatus(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Name == name {
			return &list[i], nil
		}
	}
	return nil, store.Errorf(store.CodeNotFound, "the database %s was removed meanwhile", name)
}

// unfollowed refuses to import by hand what comes from an artifact: the two would take turns.
func (f *databases) unfollowed(name string) error {
	for _, d := range f.config().Databases {
		if d.Name == name {
			return store.Errorf(store.CodeConflict, "the database %s is followed from %s; push it there, or take it out of vulnerabilities.databases first", name, d.Artifact)
		}
	}
	return nil
}

// RemoveDatabase is [server.Databases].
func (f *databases) RemoveDatabase(ctx context.Context, p access.Principal, name string) error {
	defer f.Alone()()
	if err := f.Remove(ctx, name, p.Name); err != nil {
		return err
	}
	f.Forgive(name)
	f.tell(ctx)
	return nil
}

// tell writes down where everything stands.
func (f *databases) tell(ctx context.Context) {
	list, err := f.DatabaseStatus(ctx)
	if err == nil {
		err = place.KeepState(f.r.directory.Path, place.StateDatabases, list)
	}
	if err != nil && ctx.Err() == nil {
		f.log.Warn("the state of the databases of vulnerabilities could not be written for assay doctor", "error", err)
	}
}
