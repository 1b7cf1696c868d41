package vulndbfollow

import (
	"context"
	"time"

	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/follow"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/vulndbkeep"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/sbom/vulndb"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

// Databases follows the artifacts of this registry that databases of vulnerabilities come from. What was installed last stays until another is whole, signed by the authority named for it, and newer.
type Databases struct {
	*follow.Watch // by name
	vulndbkeep.Databases
	o    Options
	told map[string]store.Digest // by name: whose refusal was written into the audit log; of whoever has the turn
}

var _ server.Databases = (*Databases)(nil)

// Options say what is followed, and who vouches for it.
type Options struct {
	Keep     vulndbkeep.Databases
	Config   func() config.Vulnerabilities // in force
	SignedBy func(ctx context.Context, repo store.Name, d store.Digest, authorities []string) (string, error)
	Data     string // the data directory, for archives that come in, and for what the doctor reads
	Log      *slog.Logger
}

// New follows nothing before it is run.
func New(o Options) *Databases {
	return &Databases{Watch: follow.NewWatch(o.Keep.Clock), Databases: o.Keep, o: o, told: map[string]store.Digest{}}
}

// Run looks every second whether a tag moved.
func (f *Databases) Run(ctx context.Context) {
	f.tell(ctx)
	follow.EverySecond(ctx, func(ctx context.Context) {
		for _, d := range f.o.Config().Databases {
			if ctx.Err() == nil {
				f.refresh(ctx, d)
			}
		}
	})
}

// refresh looks at one database.
func (f *Databases) refresh(ctx context.Context, d config.VulnDatabase) {
	f.Look(ctx, d.Name, func() (bool, error) { return f.attempt(ctx, d) }, func(err error) {
		f.o.Log.Warn("a database of vulnerabilities is not installed; what was installed last stays", "database", d.Name, "artifact", d.Artifact, "error", err)
	}, f.tell)
}

// attempt installs what a tag names now, if it is something else than before and may be.
func (f *Databases) attempt(ctx context.Context, d config.VulnDatabase) (changed bool, err error) {
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
	if err := f.Spoilt(d.Name, now); err != nil {
		return false, err
	}
	by, err := f.o.SignedBy(ctx, repo, now, []string{d.Authority})
	if err != nil {
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
	f.o.Log.Info("a database of vulnerabilities was installed", "database", d.Name, "artifact", d.Artifact, "digest", string(now), "revision", a.Description.Revision, "advisories", a.Description.Count)
	return true, nil
}

// refused remembers what cannot be installed, so that it is not read every second, and writes into the audit log once what somebody has to answer for: an older database, a damaged one.
func (f *Databases) refused(ctx context.Context, d config.VulnDatabase, digest store.Digest, why error) {
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
func (f *Databases) wrote(err error) {
	if err != nil {
		f.o.Log.Error("the audit log was not told of a database that was refused", "error", err)
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
func (f *Databases) DatabaseStatus(ctx context.Context) ([]server.DatabaseStatus, error) {
	all, err := f.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	cfg, now := f.o.Config(), f.Databases.Clock()
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

// tell writes down where everything stands.
func (f *Databases) tell(ctx context.Context) {
	list, err := f.DatabaseStatus(ctx)
	if err == nil {
		err = place.KeepState(f.o.Data, place.StateDatabases, list)
	}
	if err != nil && ctx.Err() == nil {
		f.o.Log.Warn("the state of the databases of vulnerabilities could not be written for assay doctor", "error", err)
	}
}
