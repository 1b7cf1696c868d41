package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// The words of a finding.
const (
	fine    = "ok"
	warning = "warn"
	broken  = "fail"
)

// finding is what the doctor says about one thing.
type finding struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warn, fail
	Detail string `json:"detail"`
}

func doctorCommand(a *cli.App) *cobra.Command {
	var p place.Flags
	c := &cobra.Command{
		Use: "doctor", Short: "Look at what the registry depends on: disk, permissions, worker, policies, clock", Args: cli.Exactly(),
		Long: `Look at what the registry depends on: the disk and how long a sync takes, permissions,
the SBOM worker and what it has to do, policies, the clock, and what the configuration may
not mean. It may run beside a server. The exit code is 1 where something is broken.`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := place.Load(a, p)
			if err != nil {
				return err
			}
			findings := examine(a, c.Context(), cfg)
			if err := a.PrintValue(findings, func() error {
				rows := make([][]string, len(findings))
				for i, f := range findings {
					rows[i] = []string{f.Status, f.Name, f.Detail}
				}
				return cli.Table(a.Stdout, []string{"STATUS", "WHAT", "DETAIL"}, rows)
			}); err != nil {
				return err
			}
			if slices.ContainsFunc(findings, func(f finding) bool { return f.Status == broken }) {
				return &cli.Failure{Code: cli.ExitError}
			}
			return nil
		},
	}
	c.Flags().StringVar(&p.Data, "data", "", "directory of everything that is stored (ASSAY_DATA; default ./data)")
	return place.WithFlags(a, a.WithOutput(c), &p)
}

func examine(a *cli.App, ctx context.Context, cfg *config.Config) []finding {
	dir := existing(cfg.Data)
	findings := append(glassBroken(a, cfg.Data), webhooksLast(a, cfg)...)
	findings = append(findings, clockSane(a, cfg.Data), diskFree(dir), syncWorks(a, dir))
	findings = append(findings, permissions(cfg.Data)...)
	findings = append(findings, workerAnswers(a, ctx, cfg), policiesCompile(a, ctx, cfg))
	findings = append(findings, materialLasts(a, cfg)...)
	findings = append(findings, scopesFit(cfg)...)
	findings = append(findings, trustFresh(a, cfg)...)
	findings = append(findings, policiesStand(cfg)...)
	findings = append(findings, sbomsMade(cfg)...)
	findings = append(findings, databasesFresh(a, cfg)...)
	for _, w := range append(slices.Clone(cfg.Warnings()), cfg.Advice()...) {
		findings = append(findings, finding{"configuration", warning, w.In(cfg.Path())})
	}
	return findings
}

// existing is the directory, or where it would be made.
func existing(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return dir
		}
		dir = parent
	}
}

// clockSane compares the clock with what was written before: tokens, quarantine and certificates depend on it.
func clockSane(a *cli.App, data string) finding {
	now := a.Clock()
	if now.Year() < 2026 || now.Year() > 2100 {
		return finding{"clock", broken, fmt.Sprintf("it is not %s; set the clock", now.UTC().Format(time.RFC3339))}
	}
	if info, err := os.Stat(filepath.Join(data, "meta.db")); err == nil && info.ModTime().After(now.Add(time.Minute)) {
		return finding{"clock", broken, fmt.Sprintf("it says %s, and the metadata was written at %s; set the clock", now.UTC().Format(time.RFC3339), info.ModTime().UTC().Format(time.RFC3339))}
	}
	return finding{"clock", fine, now.UTC().Format(time.RFC3339)}
}

// The free space below which the doctor warns and fails, in bytes.
const (
	littleSpace = 5 << 30
	noSpace     = 256 << 20
)

func diskFree(dir string) finding {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return finding{"disk space", broken, err.Error()}
	}
	free := int64(st.Bavail) * st.Bsize
	detail := fmt.Sprintf("%.1f GiB free in %s", float64(free)/(1<<30), dir)
	switch {
	case free < noSpace || st.Files > 0 && st.Ffree < 1000:
		return finding{"disk space", broken, detail + fmt.Sprintf(", %d files more", st.Ffree)}
	case free < littleSpace:
		return finding{"disk space", warning, detail}
	}
	return finding{"disk space", fine, detail}
}

// slowSync is where every push would be slow.
const slowSync = 50 * time.Millisecond

// syncWorks writes and syncs a file as a push does, and says how long that takes.
func syncWorks(a *cli.App, dir string) finding {
	f, err := os.CreateTemp(dir, ".assay-doctor-*")
	if err != nil {
		return finding{"fsync", broken, err.Error()}
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	var took []time.Duration
	page := bytes.Repeat([]byte{1}, 4096)
	for range 9 {
		began := a.Clock()
		if _, err := f.Write(page); err != nil {
			return finding{"fsync", broken, err.Error()}
		}
		if err := f.Sync(); err != nil {
			return finding{"fsync", broken, err.Error()}
		}
		took = append(took, a.Clock().Sub(began))
	}
	if err := place.SyncDirectory(dir); err != nil {
		return finding{"fsync", broken, "of the directory: " + err.Error()}
	}
	slices.Sort(took)
	median := took[len(took)/2]
	detail := fmt.Sprintf("%s in %s", median.Round(time.Microsecond), dir)
	if median > slowSync {
		return finding{"fsync", warning, detail + ": pushes will be slow"}
	}
	return finding{"fsync", fine, detail}
}

// permissions looks at the directory and the registry's own keys.
func permissions(data string) []finding {
	info, err := os.Stat(data)
	if errors.Is(err, iofs.ErrNotExist) {
		return []finding{{"data directory", fine, data + " will be made"}}
	}
	if err != nil {
		return []finding{{"data directory", broken, err.Error()}}
	}
	found := []finding{{"data directory", fine, data}}
	if info.Mode().Perm()&0o077 != 0 {
		found[0] = finding{"data directory", warning, fmt.Sprintf("%s has mode %04o: others can look into it; chmod 700", data, info.Mode().Perm())}
	}
	for _, name := range []string{place.KeySBOM, place.KeyVerdict, place.KeyLog, place.KeyToken} {
		path := filepath.Join(data, "keys", name)
		_, err := place.ReadKey(path)
		switch {
		case errors.Is(err, iofs.ErrNotExist):
		case err != nil:
			found = append(found, finding{"key " + name, broken, err.Error()})
		default:
			found = append(found, finding{"key " + name, fine, path})
		}
	}
	return found
}

// workerAnswers has the worker describe an image with one empty layer.
func workerAnswers(a *cli.App, ctx context.Context, cfg *config.Config) finding {
	if len(cfg.SBOM.Formats) == 0 {
		return finding{"sbom worker", fine, "not used: sbom.formats is empty"}
	}
	w, err := sbom.NewWorker(sbom.WorkerOptions{Path: cfg.SBOM.Worker, Memory: int64(cfg.SBOM.Memory), Timeout: time.Duration(cfg.SBOM.Timeout)})
	if err != nil {
		return finding{"sbom worker", warning, err.Error()}
	}
	request, err := emptyImage(formats(cfg))
	if err != nil {
		return finding{"sbom worker", broken, err.Error()}
	}
	began := a.Clock()
	if _, err := w.Generate(ctx, request); err != nil {
		return finding{"sbom worker", broken, fmt.Sprintf("%s: %v", w.Path(), err)}
	}
	return finding{"sbom worker", fine, fmt.Sprintf("%s answers in %s", w.Path(), a.Clock().Sub(began).Round(time.Millisecond))}
}

// emptyImage is an image of one layer that holds nothing.
func emptyImage(formats []sbom.Format) (sbom.Request, error) {
	layer := make([]byte, 1024) // the end of a tar archive
	content := map[store.Digest][]byte{}
	keep := func(mediaType string, b []byte) store.Descriptor {
		d := store.DigestOf(digest.SHA256, b)
		content[d] = b
		return store.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
	}
	l := keep("application/vnd.oci.image.layer.v1.tar", layer)
	image, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": []store.Digest{l.Digest}}, "config": map[string]any{},
	})
	if err != nil {
		return sbom.Request{}, err
	}
	c := keep("application/vnd.oci.image.config.v1+json", image)
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": store.TypeImage, "config": c, "layers": []store.Descriptor{l}})
	if err != nil {
		return sbom.Request{}, err
	}
	return sbom.Request{
		Repository: "assay/doctor", Subject: keep(store.TypeImage, manifest), Manifest: manifest, Formats: formats,
		Open: func(_ context.Context, d store.Digest) (*store.Blob, error) {
			b, ok := content[d]
			if !ok {
				return nil, store.Errorf(store.CodeBlobUnknown, "the empty image has no such blob")
			}
			return store.InlineBlob(d, b), nil
		},
	}, nil
}

func policiesCompile(a *cli.App, ctx context.Context, cfg *config.Config) finding {
	set, err := rules.CompileAlone(a, ctx, cfg)
	if err != nil {
		return finding{"policies", broken, err.Error()}
	}
	return finding{"policies", fine, fmt.Sprintf("%d compiled, revision %s", len(cfg.Policies), cli.Short(set.Revision()))}
}
