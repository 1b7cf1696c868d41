package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/census"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/sigstore"
)

// The registry of BenchmarkReport, its records on disk: images of 500 packages, of which 450 are those of their repository; each signed, with three attached SBOMs.
const (
	reportImages       = 10_000
	reportRepositories = 100
	reportPackages     = 500
	reportLicenses     = 40
)

// BenchmarkReport counts 10,000 images for an administrator, and tells what it costs to note their vulnerabilities. CPU time is the process's own (getrusage).
func BenchmarkReport(b *testing.B) {
	a, items := reportRegistry(b, 0)
	b.Run("note findings", func(b *testing.B) {
		for b.Loop() {
			if err := a.VulnerabilitiesChanged(b.Context(), vulns.Delta{Queued: items[:1000]}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "us/image")
	})
	if err := a.VulnerabilitiesChanged(b.Context(), vulns.Delta{Queued: items}); err != nil {
		b.Fatal(err)
	}
	b.Run("report", func(b *testing.B) {
		before := cpu(b)
		for b.Loop() {
			e, err := a.Census().Count(b.Context(), reportRoot, census.Query{})
			if err != nil || e.Total.Images != reportImages || e.Total.Signed != reportImages || e.Total.Packages != reportImages*reportPackages || e.Partial || e.Total.Vulnerabilities.Images != reportImages {
				b.Fatalf("%+v %v", e.Total, err)
			}
		}
		b.ReportMetric(float64((cpu(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
	})
}

// BenchmarkDecide decides 10,000 images again by shipped policies that read what images contain, without keeping verdicts; "open" reads nothing. CPU time is the process's own, per image.
func BenchmarkDecide(b *testing.B) {
	a, items := reportRegistry(b, 1)
	if err := a.VulnerabilitiesChanged(b.Context(), vulns.Delta{Queued: items}); err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"open", "sbom", "licences", "vulnerabilities"} {
		b.Run(name, func(b *testing.B) {
			candidate, err := engine.Compile(b.Context(), []engine.Policy{{Name: name, Repositories: store.Globs{"**"}, Mode: contract.ModeEnforce, Source: mustBuiltin(b, "builtin:"+name), Params: reportParams[name]}},
				engine.Options{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			decide := func() {
				r, err := a.Replay(b.Context(), reportRoot, candidate, replay.Options{Examples: 3})
				if err != nil || r.Manifests < len(items) || r.Failed > 0 {
					b.Fatalf("%+v %v", r, err)
				}
			}
			decide()
			before := cpu(b)
			for b.Loop() {
				decide()
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N)/float64(len(items)), "cpu-us/image")
		})
	}
}

var (
	reportRoot   = access.Principal{Kind: access.KindUser, Name: "root", Grants: []access.Grant{{Who: "root", Repositories: store.Globs{"**"}, Roles: access.RoleAdmin}}}
	reportParams = map[string]map[string]any{"licences": {"denied": []any{"AGPL-3.0-only"}}, "vulnerabilities": {"severities": []any{"critical"}}}
)

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportRegistry has images with their evidence, from a place on: the first is a signature that is only noted, and cannot be verified again.
func reportRegistry(b *testing.B, evidence int) (*policy.Admission, []store.Item) {
	ctx, log := b.Context(), slog.New(slog.DiscardHandler)
	dir := b.TempDir()
	kv, err := bolt.Open(filepath.Join(dir, "meta.db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = kv.Close() })
	local, err := store.NewLocal(ctx, store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: kv, Clock: time.Now, Rand: rand.Reader, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	set, err := engine.Compile(ctx, []engine.Policy{{Name: "open", Repositories: store.Globs{"**"}, Mode: contract.ModeEnforce, Source: mustBuiltin(b, "builtin:open")}}, engine.Options{Log: log})
	if err != nil {
		b.Fatal(err)
	}
	x := index.New(local, log)
	a, err := policy.New(ctx, policy.Options{Local: local, Engine: set, Verifier: sigstore.New(log), Inventories: x, Clock: time.Now, Rand: rand.Reader, Log: log, QuarantineMax: time.Hour, QuarantineGrace: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	var records []string
	for n := range 2000 {
		records = append(records, fmt.Sprintf(`{"id":"CVE-2026-%04d","modified":"2026-01-01T00:00:00Z","database_specific":{"severity":"HIGH"},"affected":[{"package":{"ecosystem":"npm","name":"package-%d"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.0.%d"}]}]}]}`, n, n*10, n%5))
	}
	text := "[" + strings.Join(records, ",") + "]"
	source, err := osv.Open("osv.json", strings.NewReader(text), int64(len(text)))
	if err != nil {
		b.Fatal(err)
	}
	m := vulns.New(local, log, nil)
	if _, err := m.Import(ctx, vulns.Info{Name: "main", Built: time.Now().Add(-time.Hour)}, source); err != nil {
		b.Fatal(err)
	}
	var items []store.Item
	for n := 0; n < reportImages; n += 100 {
		repo := store.Name(fmt.Sprintf("acme/r%03d", n/100%reportRepositories))
		for i := range 100 {
			if _, err := local.PutBlob(ctx, repo, reportManifest(string(repo), i)); err != nil {
				b.Fatal(err)
			}
		}
		if err := local.Update(ctx, func(tx *store.Txn) error {
			for i := range 100 {
				if err := reportImage(tx, x, repo, n/100, i, evidence); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		for i := range 100 {
			items = append(items, store.Item{Repository: repo, Digest: store.DigestOf(digest.SHA256, reportManifest(string(repo), i))})
		}
		if _, err := x.Fold(ctx); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := m.Match(ctx); err != nil {
		b.Fatal(err)
	}
	return a, items
}

func mustBuiltin(b *testing.B, name string) map[string]string {
	source, err := engine.BuiltinSource(name)
	if err != nil {
		b.Fatal(err)
	}
	return source
}

func reportManifest(repo string, n int) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[],"annotations":{"n":"%s %d"}}`,
		reportDigest("config", 1), repo, n)
}

func reportDigest(what string, n int) store.Digest {
	return store.DigestOf(digest.SHA256, fmt.Appendf(nil, "%s %d", what, n))
}

// reportImage writes the records that a push, a signature and three SBOMs leave.
func reportImage(tx *store.Txn, x *index.Index, repo store.Name, r, n, first int) error {
	put := func(d store.Digest, kind store.Kind, state store.State) {
		rec := &store.ManifestRecord{Digest: d, Kind: kind, State: state, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 1000}
		rec.SetDetail(&store.Detail{FirstSeen: time.Unix(1, 0), Pushers: []string{"ci"}})
		tx.PutManifest(repo, rec)
	}
	image := store.Item{Repository: repo, Digest: store.DigestOf(digest.SHA256, reportManifest(string(repo), n))}
	put(image.Digest, store.KindImage, store.StateAdmitted)
	for i := first; i < 4; i++ {
		evidence := reportDigest(string(image.Digest), i)
		put(evidence, store.KindEvidence, store.StateEvidence)
		fact := fmt.Sprintf(`{"facts":[{"evidence":%q,"layer":%q,"found":"referrers","kind":"document","scheme":"none","verified":true,"authority":"registry"}],"found":"referrers","registry":true,"at":"2026-01-01T00:00:00Z"}`, evidence, evidence)
		if i == 0 {
			fact = fmt.Sprintf(`{"under":{"release":{"revision":"x","facts":[{"evidence":%q,"layer":%q,"found":"tag","kind":%q,"scheme":"cosign","verified":true,"authority":"release","key_id":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}]}},"found":"tag","at":"2026-01-01T00:00:00Z"}`, evidence, evidence, verify.KindSignature)
		}
		tx.PutFacts(repo, image.Digest, evidence, []byte(fact))
	}
	inv := &sbom.Inventory{Format: "spdx-2.3"}
	for p := range reportPackages {
		name, version := fmt.Sprintf("package-%d", (r*7+p)%20_000), "1.0.1"
		if p >= 450 {
			version = fmt.Sprintf("1.0.%d", n%10)
		}
		inv.Packages = append(inv.Packages, sbom.Package{PURL: "pkg:npm/" + name + "@" + version, Name: name, Version: version, Type: "npm", Licenses: []string{[]string{"MIT", "Apache-2.0", "GPL-3.0-only"}[p%3]}})
	}
	summary := sbom.Summary{Generator: "assay", Created: time.Unix(1, 0), Packages: reportPackages, ByType: store.Counts{{Name: "npm", N: reportPackages}}}
	licences := map[string]int{}
	for _, p := range inv.Packages {
		licences[p.Licenses[0]]++
	}
	for l := range reportLicenses {
		licences[fmt.Sprintf("MIT AND LicenseRef-%d", l)] = 1
	}
	summary.ByLicense = store.NewCounts(licences)
	made, err := json.Marshal(map[string]any{"summary": summary, "docs": map[sbom.Format]store.Digest{sbom.SPDX: image.Digest}, "attached": []store.Digest{image.Digest}, "at": time.Unix(1, 0)})
	if err != nil {
		return err
	}
	tx.PutSBOM(repo, image.Digest, made)
	tx.Space("ingest").Put([]byte("s"+string(repo)+"\x00"+string(image.Digest)), []byte(`{"work":"x","origin":"generated"}`))
	return x.Put(tx, image, index.Origin{Kind: "generated", Document: image.Digest}, inv)
}
