package vulndbcmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/policycmd"
	"github.com/assay-registry/assay/cmd/assay/signcmd"
	"github.com/assay-registry/assay/cmd/assay/vulndbkeep"
	"github.com/assay-registry/assay/sbom/vulndb"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/fs"
)

// shippedDatabase is what a person and a script are told.
type shippedDatabase struct {
	*vulndb.Description
	Reference string       `json:"reference,omitempty"`
	File      string       `json:"file,omitempty"`
	Digest    store.Digest `json:"digest"`
	Evidence  store.Digest `json:"evidence,omitempty"` // the signature
}

func sayDatabase(a *cli.App, s shippedDatabase, what string) error {
	return a.PrintValue(s, func() error {
		if err := a.Say("%s: %s revision %d of %s, %d advisories (%s)", what, s.Name, s.Revision, cli.Moment(s.Built), s.Count, cli.Short(string(s.Digest))); err != nil {
			return err
		}
		for reason, n := range s.LeftOut {
			if err := a.Say("  left out: %d %s", n, reason); err != nil {
				return err
			}
		}
		return nil
	})
}

// givenDatabase is the artifact that the files are, or that is made of them, as a file of an image layout. The name of one that was made before cannot be changed.
func givenDatabase(a *cli.App, ctx context.Context, o *buildOptions) (l *vulndb.Layout, archive *os.File, err error) {
	if len(o.from) == 1 && !strings.Contains(o.from[0], ":") {
		if f, err := os.Open(a.Path(o.from[0])); err == nil {
			if kind, err := vulndb.Detect(o.from[0], f); err == nil && kind == vulndb.KindBuilt {
				return openDatabase(f, o.name)
			}
			if err := f.Close(); err != nil {
				return nil, nil, err
			}
		}
	}
	d, err := buildDatabase(a, ctx, o)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = cli.JoinErrors(err, d.close()) }()
	f, err := os.CreateTemp("", "assay-vulndb-")
	if err != nil {
		return nil, nil, err
	}
	if err := cli.JoinErrors(os.Remove(f.Name()), d.write(f)); err != nil {
		return nil, nil, cli.JoinErrors(err, f.Close())
	}
	return openDatabase(f, "")
}

// openDatabase reads an artifact from a file, and closes it where it is none of that name.
func openDatabase(f *os.File, name string) (*vulndb.Layout, *os.File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, cli.JoinErrors(err, f.Close())
	}
	l, err := vulndb.OpenLayout(f, info.Size())
	if err == nil && name != "" && name != l.Description.Name {
		err = cli.Usage("the file holds the database %s; its name cannot be changed", l.Description.Name)
	}
	if err != nil {
		return nil, nil, cli.JoinErrors(err, f.Close())
	}
	return l, f, nil
}

// write writes an artifact as an image layout.
func (d *database) write(w io.Writer) error {
	blobs := []vulndb.Blob{{Part: d.parts.Config, Content: bytes.NewReader(d.config)}}
	for _, p := range d.parts.Layers() {
		blobs = append(blobs, vulndb.Blob{Part: p, Content: io.NewSectionReader(d.files[p.Digest], 0, p.Size)})
	}
	top := vulndb.Part{MediaType: store.TypeImage, Digest: d.digest(), Size: int64(len(d.manifest))}
	return vulndb.WriteLayout(w, vulndb.Blob{Part: top, Content: bytes.NewReader(d.manifest)}, blobs...)
}

func buildToFile(a *cli.App, ctx context.Context, o *buildOptions, out string) (err error) {
	d, err := buildDatabase(a, ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = cli.JoinErrors(err, d.close()) }()
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := cli.JoinErrors(d.write(f), f.Close()); err != nil {
		return cli.JoinErrors(err, os.Remove(out))
	}
	return sayDatabase(a, shippedDatabase{Description: d.description, File: out, Digest: d.digest()}, "built")
}

func pushDatabase(a *cli.App, ctx context.Context, where string, o *buildOptions, s *signcmd.Signing) (err error) {
	ref, server, err := a.Image(ctx, strings.TrimPrefix(where, config.FromOCI))
	if err != nil {
		return err
	}
	if ref.Reference.Tag == "" {
		return cli.Usage("a database is pushed under a tag; write %s:TAG", ref.Repository)
	}
	if s.Key != "" {
		if err := s.Check(); err != nil {
			return err
		}
		if _, err := signcmd.SigningKey(a, s.Key); err != nil {
			return err // before anything is pushed
		}
	}
	l, archive, err := givenDatabase(a, ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = cli.JoinErrors(err, archive.Close()) }()
	d, err := pushLayout(ctx, server, ref, l)
	if err != nil {
		return err
	}
	made := shippedDatabase{Description: l.Description, Reference: cli.WithHost(server, string(ref.Repository)+":"+ref.Reference.Tag), Digest: l.Digest}
	if s.Key == "" {
		if a.Output != "json" {
			defer func() {
				if err == nil {
					err = a.Say("sign it: assay sign --key FILE %s@%s", cli.WithHost(server, string(ref.Repository)), l.Digest)
				}
			}()
		}
		return sayDatabase(a, made, "pushed")
	}
	if made.Evidence, err = policycmd.SignPolicies(a, ctx, server, ref, d, s); err != nil {
		return err
	}
	return sayDatabase(a, made, "pushed and signed")
}

// pushLayout uploads an artifact, its manifest last.
func pushLayout(ctx context.Context, server *client.Client, ref docker.Ref, l *vulndb.Layout) (store.Descriptor, error) {
	for _, p := range append([]vulndb.Part{l.Manifest.Config}, l.Manifest.Layers()...) {
		content, err := l.Section(p)
		if err != nil {
			return store.Descriptor{}, err
		}
		if err := server.PutLarge(ctx, ref.Repository, p, content); err != nil {
			return store.Descriptor{}, err
		}
	}
	manifest, err := l.ManifestBytes()
	if err != nil {
		return store.Descriptor{}, err
	}
	stored, err := server.PutManifest(ctx, ref.Repository, ref.Reference, store.TypeImage, manifest)
	return stored.Descriptor, err
}

// importDatabase installs a database into a running registry, or into the directory of a stopped one.
func importDatabase(a *cli.App, ctx context.Context, o *buildOptions, data string, mayShrink bool) (err error) {
	var server *client.Client
	if data == "" {
		if server, err = a.Connect(ctx, ""); err != nil {
			return err
		}
	}
	l, archive, err := givenDatabase(a, ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = cli.JoinErrors(err, archive.Close()) }()
	if data != "" {
		err = importOffline(a, ctx, l, a.Path(data), mayShrink)
	} else {
		info, statErr := archive.Stat()
		if statErr != nil {
			return statErr
		}
		_, err = server.ImportDatabase(ctx, l.Description.Name, mayShrink, io.NewSectionReader(archive, 0, info.Size()))
	}
	if err != nil {
		return err
	}
	return sayDatabase(a, shippedDatabase{Description: l.Description, Digest: l.Digest}, "imported")
}

// importOffline installs a database into the directory of a registry that is not running. What follows from it is told when the registry starts.
func importOffline(a *cli.App, ctx context.Context, l *vulndb.Layout, data string, mayShrink bool) (err error) {
	d, err := place.OpenDirectory(data, false)
	if err != nil {
		return fmt.Errorf("%w (into a running server: assay vulndb import --server URL)", err)
	}
	defer func() { err = cli.JoinErrors(err, d.Release()) }()
	blobs, err := fs.Open(d.Blobs(), fs.Options{Rand: a.Rand, Now: a.Clock})
	if err != nil {
		return err
	}
	defer func() { err = cli.JoinErrors(err, blobs.Close()) }()
	kv, err := bolt.Open(d.Meta(), bolt.Options{})
	if err != nil {
		return err
	}
	defer func() { err = cli.JoinErrors(err, kv.Close()) }()
	log := slog.New(slog.DiscardHandler)
	local, err := store.NewLocal(ctx, store.LocalOptions{Blobs: blobs, KV: kv, Clock: a.Clock, Rand: a.Rand, Log: log})
	if err != nil {
		return err
	}
	k := vulndbkeep.Databases{Local: local, Importer: vulns.New(local, log, nil), Clock: a.Clock}
	_, err = k.Install(ctx, l.Artifact(mayShrink), vulndbkeep.Record{Name: l.Description.Name, ImportedBy: "offline"})
	return err
}
