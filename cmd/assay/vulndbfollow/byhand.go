package vulndbfollow

import (
	"context"
	"fmt"

	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/vulndbkeep"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/sbom/vulndb"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

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
func (f *Databases) ImportDatabase(ctx context.Context, p access.Principal, name string, mayShrink bool, archive io.Reader) (*server.DatabaseStatus, error) {
	if err := vulndb.CheckName(name); err != nil {
		return nil, err
	}
	if err := f.unfollowed(name); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(f.o.Data, ".vulndb-*")
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
func (f *Databases) unfollowed(name string) error {
	for _, d := range f.o.Config().Databases {
		if d.Name == name {
			return store.Errorf(store.CodeConflict, "the database %s is followed from %s; push it there, or take it out of vulnerabilities.databases first", name, d.Artifact)
		}
	}
	return nil
}

// RemoveDatabase is [server.Databases].
func (f *Databases) RemoveDatabase(ctx context.Context, p access.Principal, name string) error {
	defer f.Alone()()
	if err := f.Remove(ctx, name, p.Name); err != nil {
		return err
	}
	f.Forgive(name)
	f.tell(ctx)
	return nil
}
