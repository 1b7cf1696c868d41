package tufcmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/tufdir"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify/trust"
	"github.com/assay-registry/assay/verify/tufrepo"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
)

func tufPublish(a *cli.App) *cobra.Command {
	var keys []string
	leave := false
	c := &cobra.Command{
		Use: "publish DIR (oci:[HOST/]REPOSITORY[:TAG] | dir:PATH | tar:FILE)", Short: "Publish to a registry, a directory or a tar file", Args: cli.Exactly("DIR", "WHERE"),
		Long: `Publish to a registry (as one OCI artifact, whose tag, latest, moves last), a directory (that a web
server may serve; the timestamp is written last) or a tar file (for places without a network).
What is staged is committed first. It is refused where a signature is missing, something has expired,
or clients of what is published there would see versions go back.`,
		Example: "  assay tuf publish tuf oci:registry.example.com/acme/tuf\n  assay tuf publish tuf dir:/srv/tuf\n  assay tuf publish tuf tar:tuf.tar",
		RunE: func(c *cobra.Command, args []string) error {
			scheme, where, ok := strings.Cut(args[1], ":")
			publish := map[string]func(*cli.App, context.Context, *tufSession, string) (string, error){"oci": publishOCI, "dir": publishDir, "tar": publishTar}[scheme]
			if !ok || publish == nil || where == "" {
				return cli.Usage("%q is no place to publish to; write oci:HOST/REPOSITORY, dir:PATH or tar:FILE", args[1])
			}
			return withTUF(a, args[0], true, keys, func(s *tufSession) error {
				if s.repo.Pending() || len(s.repo.Staged()) > 0 && !leave {
					if _, err := s.repo.Commit(s.atHand, leave); err != nil {
						return err
					}
				}
				said, err := publish(a, c.Context(), s, where)
				if err != nil {
					return err
				}
				return s.report("%s", said)
			})
		},
	}
	c.Flags().BoolVar(&leave, "leave-staged", false, "let versions that lack signatures wait")
	return a.WithServer(a.WithOutput(withKeys(c, &keys)))
}

// publishOCI pushes blobs, then the manifest, which moves the tag.
func publishOCI(a *cli.App, ctx context.Context, s *tufSession, where string) (string, error) {
	ref, server, err := a.Image(ctx, where)
	if err != nil {
		return "", err
	}
	if ref.Reference.Tag == "" {
		return "", cli.Usage("a repository is published under a tag; write oci:%s", ref.Repository)
	}
	files, err := s.repo.Files()
	if err != nil {
		return "", err
	}
	manifest, blobs, err := tufrepo.Artifact(files)
	if err != nil {
		return "", err
	}
	there, err := server.Get(ctx, ref.Repository, ref.Reference)
	status := (*client.StatusError)(nil)
	switch {
	case errors.As(err, &status) && status.Status == http.StatusNotFound:
	case err != nil:
		return "", fmt.Errorf("what is published at %s cannot be read: %w", where, err)
	case bytes.Equal(there.Bytes, manifest):
		return fmt.Sprintf("%s is published already (%s)", where, there.Digest), nil
	default:
		source, err := trust.OCI(ctx, artifact{server, ref.Repository, there.Bytes}, ref.Reference.Tag)
		if err != nil {
			return "", fmt.Errorf("something else is under that tag (%w); publish to another repository or tag", err)
		}
		if err := s.follows(ctx, source); err != nil {
			return "", err
		}
	}
	for _, b := range blobs {
		if _, err := server.PutBlob(ctx, ref.Repository, b); err != nil {
			return "", err
		}
	}
	d, err := server.PutManifest(ctx, ref.Repository, ref.Reference, store.TypeImage, manifest)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("published %s (%s, %d files)", where, d.Digest, len(files)), nil
}

// artifact is what a tag names now, for the client that follows repositories.
type artifact struct {
	server     *client.Client
	repository store.Name
	manifest   []byte
}

func (p artifact) Manifest(context.Context, string) ([]byte, error) { return p.manifest, nil }

func (p artifact) Blob(ctx context.Context, d store.Digest) (io.ReadCloser, error) {
	b, err := p.server.Blob(ctx, p.repository, d, tufrepo.MaxTargets)
	return io.NopCloser(bytes.NewReader(b)), err
}

// follows holds the repository against what is published.
func (s *tufSession) follows(ctx context.Context, source trust.Source) error {
	return s.repo.Follows(func(name string) ([]byte, error) {
		b, err := source.Fetch(ctx, name, tufrepo.MaxTargets)
		if errors.Is(err, trust.ErrNotFound) {
			return nil, fs.ErrNotExist
		}
		return b, err
	})
}

// publishDir writes what differs, in the order in which it is named; what clients may still be reading stays.
func publishDir(a *cli.App, ctx context.Context, s *tufSession, where string) (said string, err error) {
	files, err := s.repo.Files()
	if err != nil {
		return "", err
	}
	dir, done, err := tufdir.Open(a.Path(where), true, a.Rand)
	if err != nil {
		return "", err
	}
	defer closing(done, &err)
	if err := s.follows(ctx, trust.Directory(dir)); err != nil {
		return "", err
	}
	written := 0
	for _, f := range files {
		if old, err := fs.ReadFile(dir, f.Name); err == nil && bytes.Equal(old, f.Content) {
			continue
		}
		if err := dir.Write(f.Name, f.Content); err != nil {
			return "", err
		}
		written++
	}
	return fmt.Sprintf("published %s (%d of %d files are new)", where, written, len(files)), nil
}

func publishTar(a *cli.App, ctx context.Context, s *tufSession, where string) (string, error) {
	files, err := s.repo.Files()
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := tufrepo.WriteTar(&b, files); err != nil {
		return "", err
	}
	if info, err := os.Stat(a.Path(where)); err == nil && info.IsDir() {
		return "", cli.Usage("%s is a folder; name a file, or write dir:%s", where, where)
	}
	old, err := os.Open(a.Path(where))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("what is in %s cannot be read, so that nobody knows whether versions would go back: %w", where, err)
	default:
		source, err := trust.Tar(old)
		if err = errors.Join(err, old.Close()); err != nil {
			return "", fmt.Errorf("something else is in %s (%w); name another file, or remove it first", where, err)
		}
		if err := s.follows(ctx, source); err != nil {
			return "", err
		}
	}
	if err := place.WriteDurably(a.Path(where), b.Bytes(), 0o644); err != nil {
		return "", err
	}
	return fmt.Sprintf("wrote %s (%s, %d files)", where, store.DigestOf(digest.SHA256, b.Bytes()), len(files)), nil
}
