package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/census"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/outbox"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// matching is a kit whose gate knows vulnerabilities.
type matching struct {
	*kit
	g *generator
	x *index.Index
	m *vulns.Matcher
}

// matchingKit asks of every image in acme/** that nothing critical or high was matched in it.
func matchingKit(t *testing.T, edit ...func(*policy.Options)) *matching {
	t.Helper()
	g := &generator{}
	k, x := indexed(t, g, append([]func(*policy.Options){func(o *policy.Options) {
		trustedForAll(o)
		o.Engine = compile(t, with("vulnerabilities", `{"severities":["critical","high"],"origins":["matched"]}`))
	}}, edit...)...)
	m := &matching{kit: k, g: g, x: x}
	m.m = vulns.New(k.local, slog.New(slog.DiscardHandler), func(ctx context.Context, d vulns.Delta) error { return m.a.VulnerabilitiesChanged(ctx, d) })
	return m
}

// trustedForAll has the authorities count for all that they attest.
func trustedForAll(o *policy.Options) {
	for n := range o.Authorities {
		o.Authorities[n].Attests = verify.Attestable()
	}
}

// image pushes an image that holds one package.
func (m *matching) image(repo store.Name, tag, purl string) image {
	m.t.Helper()
	m.g.purl = purl
	i := m.push(pusher, repo, tag, purl)
	m.enrich()
	m.ingest(m.x)
	return i
}

// osvRecord is an advisory about an npm package, for all versions before a fixed one.
func osvRecord(id, name, fixed, severity string, more ...string) string {
	return fmt.Sprintf(`{"schema_version":"1.6.0","id":%q,"modified":"2026-11-01T00:00:00Z","published":"2026-10-01T00:00:00Z","summary":"a bug","database_specific":{"severity":%q},
		"affected":[{"package":{"ecosystem":"npm","name":%q},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":%q}]}]}]%s}`, id, strings.ToUpper(severity), name, fixed, strings.Join(more, ""))
}

// database imports advisories, built on a day, and delivers what that changed.
func (m *matching) database(day int, records ...string) {
	m.t.Helper()
	text := []byte("[" + strings.Join(records, ",") + "]")
	source, err := osv.Open("fixture.json", bytes.NewReader(text), int64(len(text)))
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.m.Import(m.ctx, vulns.Info{Name: "osv", Built: time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC)}, source); err != nil {
		m.t.Fatal(err)
	}
	m.settle()
}

func (m *matching) settle() {
	m.t.Helper()
	if _, err := m.m.Match(m.ctx); err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.m.Deliver(m.ctx); err != nil {
		m.t.Fatal(err)
	}
	if err := m.a.Catchup(m.ctx); err != nil {
		m.t.Fatal(err)
	}
}

// standing is a verdict with when it was made and by which decision.
func (k *kit) verdictOf(repo store.Name, d store.Digest) string {
	k.t.Helper()
	e, err := k.a.Explain(k.ctx, admin, repo, store.Reference{Digest: d})
	if err != nil {
		k.t.Fatal(err)
	}
	id := ""
	if e.Decision != nil {
		id = e.Decision.ID
	}
	return fmt.Sprint(e.State, " ", e.DecidedAt, " ", id)
}

func (k *kit) audited(action string) []string {
	k.t.Helper()
	page, err := k.a.Audit(k.ctx, admin, "", 1000)
	if err != nil {
		k.t.Fatal(err)
	}
	var found []string
	for _, r := range page.Items {
		if r.Action == action {
			found = append(found, string(r.Repository)+" "+r.Reason)
		}
	}
	return found
}

// A database that comes decides what waited for one; a newer one decides exactly the images again of which it knows something else.
func TestADeltaDecidesItsImagesAgainAndNoOthers(t *testing.T) {
	told := &post{}
	m := matchingKit(t, func(o *policy.Options) {
		o.Targets = []outbox.Target{{URL: "https://x.example", Repositories: store.Globs{"**"}, Events: []string{outbox.EventVulnerabilities}, Post: told}}
	})
	left, right := m.image(app, "left", "pkg:npm/left-pad@1.0.0"), m.image("acme/other", "right", "pkg:npm/right-pad@1.0.0")
	if got := m.explain(app, left.desc.Digest).Decision.Deny[0]; got.Code != "vuln.missing" || !strings.Contains(got.Message, "no vulnerability database is installed") {
		t.Errorf("%+v", got)
	}
	m.database(1, osvRecord("GHSA-1", "elsewhere", "2.0.0", "critical"))
	want(t, "left", m.get(puller, app, "left"), string(left.desc.Digest))
	want(t, "right", m.get(puller, "acme/other", "right"), string(right.desc.Digest))
	if got := m.decided(app, left.desc.Digest).Vulnerabilities; got == nil || got.Origin != contract.VulnerabilitiesMatched || got.Counts["critical"] != 0 || got.DBTime.Day() != 1 {
		t.Errorf("%+v", got)
	}
	leftBefore, rightBefore := m.verdictOf(app, left.desc.Digest), m.verdictOf("acme/other", right.desc.Digest)
	if got := m.audited("vulnerabilities"); len(got) != 0 {
		t.Errorf("nothing was found, and told: %v", got)
	}

	newer := []string{osvRecord("GHSA-1", "elsewhere", "2.0.0", "critical"), osvRecord("GHSA-2", "left-pad", "1.1.0", "critical", `,"aliases":["CVE-2026-7"]`)}
	m.database(2, newer...)
	want(t, "left", m.get(puller, app, "left"), denied)
	want(t, "right", m.get(puller, "acme/other", "right"), string(right.desc.Digest))
	if got := m.verdictOf("acme/other", right.desc.Digest); got != rightBefore {
		t.Errorf("touched: %s, was %s", got, rightBefore)
	}
	if got := m.verdictOf(app, left.desc.Digest); got == leftBefore {
		t.Error("not decided again")
	}
	in := m.decided(app, left.desc.Digest).Vulnerabilities
	if in.Counts["critical"] != 1 || in.Fixable["critical"] != 1 || len(in.Top) != 1 || in.Top[0].ID != "CVE-2026-7" || !slices.Contains(in.Top[0].Aliases, "GHSA-2") || in.Top[0].FixedIn != "1.1.0" ||
		in.Top[0].Package != "pkg:npm/left-pad@1.0.0" || in.Top[0].Published != "2026-10-01T00:00:00Z" {
		t.Errorf("%+v", in)
	}
	if got := m.audited("vulnerabilities"); !slices.Equal(got, []string{"acme/app vulnerabilities changed: +CVE-2026-7"}) {
		t.Errorf("audit: %v", got)
	}
	m.deliver()
	var e outbox.Event
	if got := told.take(); len(got) != 1 || json.Unmarshal([]byte(got[0]), &e) != nil || !slices.Equal(e.Data.Added, []string{"CVE-2026-7"}) || e.Data.Counts["critical"] != 1 || e.Data.Digest != left.desc.Digest {
		t.Errorf("%v", got)
	}

	// Told twice, it has no effect; a database without it takes it back.
	leftBefore = m.verdictOf(app, left.desc.Digest)
	if err := m.a.VulnerabilitiesChanged(m.ctx, vulns.Delta{Database: "osv", Queued: []store.Item{{Repository: app, Digest: left.desc.Digest}, {Repository: "acme/other", Digest: right.desc.Digest}}}); err != nil {
		t.Fatal(err)
	}
	m.settle()
	if got := m.verdictOf(app, left.desc.Digest); got != leftBefore || m.verdictOf("acme/other", right.desc.Digest) != rightBefore {
		t.Errorf("touched: %s, was %s", got, leftBefore)
	}
	m.database(3, newer[0], osvRecord("GHSA-3", "another", "1.0.0", "low"))
	want(t, "left", m.get(puller, app, "left"), string(left.desc.Digest))
	if got := m.audited("vulnerabilities"); len(got) != 2 || got[1] != "acme/app vulnerabilities changed: -CVE-2026-7" {
		t.Errorf("audit: %v", got)
	}
	// An image that comes later is decided with what is known, without anybody matching first.
	late := m.push(pusher, app, "late", "late")
	m.g.purl = "pkg:npm/another@0.9.0"
	m.enrich()
	m.ingest(m.x)
	want(t, "late", m.get(puller, app, "late"), string(late.desc.Digest))
	if got := m.decided(app, late.desc.Digest).Vulnerabilities; got.Counts["low"] != 1 {
		t.Errorf("%+v", got)
	}
}

func openVEX(id, status, justification, at string, digests ...store.Digest) []byte {
	var products []string
	for _, d := range digests {
		products = append(products, fmt.Sprintf(`{"@id":"pkg:oci/app@sha256%%3A%s"}`, d.Encoded()))
	}
	return []byte(fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex","author":"a","timestamp":%q,"version":1,"statements":[{"vulnerability":{"name":%q},
		"products":[%s],"status":%q,"justification":%q}]}`, at, id, strings.Join(products, ","), status, justification))
}

func (m *matching) say(s *key, predicateType string, doc []byte, about store.Digest) {
	m.t.Helper()
	if _, err := m.put(signer, app, "", ocispec.MediaTypeImageManifest, m.attest(app, predicateType, doc, s, about)); err != nil {
		m.t.Fatal(err)
	}
}

// Statements excuse a finding by who is trusted most, then by time; it stays visible, with who said so. Whoever is not trusted changes nothing.
func TestStatementsExcuseFindings(t *testing.T) {
	ci, stranger := newKey(t), newKey(t)
	m := matchingKit(t, func(o *policy.Options) { o.Authorities = append(o.Authorities, ci.attesting("ci", "acme/**")) })
	i := m.image(app, "v1", "pkg:npm/left-pad@1.0.0")
	m.database(1, osvRecord("CVE-2026-7", "left-pad", "1.1.0", "critical"))
	pulled := func() string { return m.get(puller, app, "v1") }
	const vex = "https://openvex.dev/ns/v0.2.0"
	want(t, "affected", pulled(), denied)
	m.say(stranger, vex, openVEX("CVE-2026-7", "not_affected", "component_not_present", "2026-11-19T00:00:00Z", i.desc.Digest), i.desc.Digest)
	want(t, "a stranger says it is not", pulled(), denied)
	m.say(ci, vex, openVEX("CVE-2026-7", "not_affected", "vulnerable_code_not_in_execute_path", "2026-11-19T00:00:00Z", i.desc.Digest), i.desc.Digest)
	want(t, "ci says it is not", pulled(), string(i.desc.Digest))
	v, err := m.a.Vulnerabilities(m.ctx, puller, contents.Ref{Repository: app, Reference: store.Reference{Tag: "v1"}}, "", "", 0, false)
	if err != nil || len(v.Findings) != 1 || v.Counts.Suppressed != 1 || len(v.Databases) != 1 {
		t.Fatalf("%+v %v", v, err)
	}
	if f := v.Findings[0]; f.VEX == nil || !f.VEX.Suppressed || f.VEX.Authority != "ci" || f.VEX.Justification != "vulnerable_code_not_in_execute_path" || len(f.Statements) != 1 {
		t.Errorf("%+v", f)
	}
	m.say(stranger, vex, openVEX("CVE-2026-7", "affected", "", "2026-11-20T11:00:00Z", i.desc.Digest), i.desc.Digest)
	want(t, "a stranger says that it is", pulled(), string(i.desc.Digest))
	if e := m.explain(app, i.desc.Digest); len(e.Findings) != 2 || !strings.Contains(e.Findings[1], "not_affected, authority ci (vulnerable_code_not_in_execute_path)") {
		t.Errorf("explained: %q", e.Findings)
	}
	tree, err := m.a.Tree(m.ctx, puller, app, store.Reference{Tag: "v1"})
	if err != nil || len(tree.Findings) != 2 {
		t.Errorf("%+v %v", tree, err)
	}
	if got := m.audited("vulnerabilities"); len(got) != 2 || got[1] != "acme/app vulnerabilities changed: statements say CVE-2026-7 not_affected (by ci)" {
		t.Errorf("audit: %q", got)
	}

	// The authority that the configuration names first outweighs a later one, whenever it spoke; its own later word replaces its earlier one.
	m.say(m.key, vex, openVEX("CVE-2026-7", "affected", "", "2026-11-01T00:00:00Z", i.desc.Digest), i.desc.Digest)
	want(t, "release says that it is", pulled(), denied)
	m.say(m.key, vex, openVEX("CVE-2026-7", "not_affected", "component_not_present", "2026-11-02T00:00:00Z", i.desc.Digest), i.desc.Digest)
	want(t, "release says that it is not, after all", pulled(), string(i.desc.Digest))
	in := m.decided(app, i.desc.Digest).Vulnerabilities
	if in.Counts["critical"] != 1 || in.Top[0].VEX != "not_affected" || len(in.Top[0].Statements) != 2 || in.Top[0].Statements[0].Authority != "release" || !in.Top[0].Statements[0].Suppresses {
		t.Errorf("%+v", in)
	}

	// Whose word counts is the policy's to narrow.
	m.setEngine(with("vulnerabilities", `{"origins":["matched"],"vex_authorities":["nobody"]}`))
	want(t, "nobody is heard", pulled(), denied)
	m.setEngine(with("vulnerabilities", `{"origins":["matched"],"vex_authorities":["ci"]}`))
	want(t, "ci is heard", pulled(), string(i.desc.Digest))
	m.setEngine(with("vulnerabilities", `{"origins":["matched"],"vex":"ignore"}`))
	want(t, "no statements", pulled(), denied)
}

// CycloneDX documents with an analysis are statements, too; a statement about an index is about what it holds.
func TestStatementsInCycloneDXAndOfIndexes(t *testing.T) {
	m := matchingKit(t)
	one := m.image(app, "v1", "pkg:npm/left-pad@1.0.0")
	m.database(1, osvRecord("CVE-2026-7", "left-pad", "1.1.0", "critical"))
	want(t, "affected", m.get(puller, app, "v1"), denied)
	m.say(m.key, "https://cyclonedx.org/vex", []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"metadata":{"timestamp":"2026-11-19T00:00:00Z"},"vulnerabilities":[{"id":"CVE-2026-7",
		"analysis":{"state":"not_affected","justification":"code_not_reachable"},"affects":[{"ref":"pkg:npm/left-pad@1.0.0"}]}]}`), one.desc.Digest)
	want(t, "CycloneDX", m.get(puller, app, "v1"), string(one.desc.Digest))

	two := m.image(app, "v2", "pkg:npm/left-pad@1.0.1")
	top := m.index(pusher, app, "multi", two.desc)
	want(t, "affected", m.get(puller, app, "v2"), denied)
	m.say(m.key, "https://openvex.dev/ns/v0.2.0", openVEX("CVE-2026-7", "fixed", "", "2026-11-19T00:00:00Z", top.Digest), top.Digest)
	want(t, "said of the index", m.get(puller, app, "v2"), string(two.desc.Digest))
}

// A document that nobody signed lists what its author wants found: nothing that was matched in it is an answer.
func TestAnUnsignedSBOMIsNothingToMatch(t *testing.T) {
	m := matchingKit(t)
	m.database(1, osvRecord("CVE-2026-7", "left-pad", "1.1.0", "critical"))
	m.g.err = fmt.Errorf("no generator")
	i := m.push(pusher, app, "v1", "one")
	m.enrich()
	doc := []byte(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x","documentNamespace":"https://example.com/x","dataLicense":"CC0-1.0","packages":[]}`)
	layer := m.blob(pusher, app, doc)
	layer.MediaType = "application/spdx+json"
	config := m.blob(pusher, app, []byte("{}"))
	config.MediaType = ocispec.MediaTypeEmptyJSON
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/spdx+json", Config: config, Layers: []ocispec.Descriptor{layer}, Subject: &i.desc}
	manifest.SchemaVersion = 2
	if _, err := m.put(pusher, app, "", ocispec.MediaTypeImageManifest, m.json(manifest)); err != nil {
		t.Fatal(err)
	}
	m.ingest(m.x)
	m.settle()
	want(t, "it says that it holds nothing", m.get(puller, app, "v1"), denied)
	if got := m.explain(app, i.desc.Digest).Decision.Deny[0].Message; !strings.Contains(got, "nobody who is trusted signed") {
		t.Error(got)
	}
}

// What a policy does not read is not looked up, and an image that no policy judges by its vulnerabilities is told of and not decided again.
func TestWherePoliciesDoNotAskNothingIsDecidedAgain(t *testing.T) {
	m := matchingKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("signed")) })
	i := m.push(pusher, app, "v1", "one")
	m.g.purl = "pkg:npm/left-pad@1.0.0"
	m.sign(signer, app, i.desc.Digest, m.kit.key)
	m.enrich()
	m.ingest(m.x)
	before := m.verdictOf(app, i.desc.Digest)
	m.database(1, osvRecord("CVE-2026-7", "left-pad", "1.1.0", "critical"))
	if got := m.verdictOf(app, i.desc.Digest); got != before {
		t.Errorf("decided again: %s, was %s", got, before)
	}
	if got := m.audited("vulnerabilities"); len(got) != 1 {
		t.Errorf("audit: %q", got)
	}
	if in := m.decided(app, i.desc.Digest).Vulnerabilities; in != nil {
		t.Errorf("%+v", in)
	}
}

// Each sees what they could pull; pages lead through all, and not across databases.
func TestWhoSeesVulnerabilities(t *testing.T) {
	m := matchingKit(t)
	bad, good := m.image(app, "bad", "pkg:npm/left-pad@1.0.0"), m.image("acme/other", "good", "pkg:npm/left-pad@1.2.0")
	records := []string{osvRecord("CVE-2026-7", "left-pad", "1.1.0", "critical"), osvRecord("CVE-2026-8", "left-pad", "1.3.0", "low"), osvRecord("CVE-2026-9", "left-pad", "1.3.0", "low")}
	m.database(1, records...)
	image := func(repo store.Name, d store.Digest) contents.Ref {
		return contents.Ref{Repository: repo, Reference: store.Reference{Digest: d}}
	}
	if _, err := m.a.Vulnerabilities(m.ctx, puller, image(app, bad.desc.Digest), "", "", 0, false); store.CodeOf(err) != store.CodeDenied {
		t.Error(err)
	}
	if _, err := m.a.Vulnerabilities(m.ctx, user("x", access.RolePull, "other/**"), image(app, bad.desc.Digest), "", "", 0, false); store.CodeOf(err) != store.CodeManifestUnknown {
		t.Error(err)
	}
	v, err := m.a.Vulnerabilities(m.ctx, admin, image(app, bad.desc.Digest), "", "", 2, true)
	if err != nil || len(v.Findings) != 2 || v.Findings[0].ID != "CVE-2026-7" || v.Next == "" || v.Counts.BySeverity["low"] != 2 {
		t.Fatalf("%+v %v", v, err)
	}
	next := v.Next
	if v, err = m.a.Vulnerabilities(m.ctx, admin, image(app, bad.desc.Digest), "", next, 2, false); err != nil || len(v.Findings) != 1 || v.Next != "" {
		t.Fatalf("%+v %v", v, err)
	}
	found := func(p access.Principal, id string, globs ...store.Glob) (repositories []string) {
		for after := ""; ; {
			page, err := m.a.AffectedImages(m.ctx, p, id, globs, after, 1)
			if err != nil {
				return []string{string(store.CodeOf(err))}
			}
			for _, one := range page.Images {
				if len(one.Findings) != 1 || one.Findings[0].ID != id || len(page.Databases) != 1 {
					t.Errorf("%+v", one)
				}
				repositories = append(repositories, string(one.Repository))
			}
			if after = page.Next; after == "" {
				return repositories
			}
		}
	}
	slicesEqual := func(what string, got []string, wanted ...string) {
		t.Helper()
		if slices.Sort(got); !slices.Equal(got, wanted) {
			t.Errorf("%s: got %q, want %q", what, got, wanted)
		}
	}
	slicesEqual("an administrator", found(admin, "CVE-2026-8"), "acme/app", "acme/other")
	slicesEqual("a puller", found(puller, "CVE-2026-8"), "acme/other")
	slicesEqual("of one repository", found(admin, "CVE-2026-8", "acme/app"), "acme/app")
	slicesEqual("in one of them alone", found(admin, "CVE-2026-7"), "acme/app")
	slicesEqual("unknown", found(admin, "CVE-1999-1"), string(store.CodeNotFound))
	slicesEqual("a stranger", found(access.Principal{Kind: access.KindAnonymous, Challenge: true}, "CVE-2026-8"), string(store.CodeUnauthorized))
	e := m.estate(admin, census.Query{})
	if got := e.Total.Vulnerabilities; got == nil || got.Images != 2 || got.Affected != 2 || got.Counts["critical"] != 1 || got.Counts["low"] != 4 || got.Fixable["low"] != 4 || len(e.Databases) != 1 {
		t.Errorf("%+v", got)
	}
	m.database(2, records[0], records[1])
	if _, err = m.a.Vulnerabilities(m.ctx, admin, image(app, bad.desc.Digest), "", next, 2, false); store.CodeOf(err) != store.CodeInvalid {
		t.Error(err)
	}
	_ = good
}

// What is excused can be told from what is not, however many findings there are.
func TestFindingsBeyondTheNamedOnesAreExcused(t *testing.T) {
	m := matchingKit(t)
	i := m.image(app, "v1", "pkg:npm/left-pad@1.0.0")
	var records, statements []string
	for n := range 150 {
		id := fmt.Sprintf("CVE-2026-%04d", n)
		records = append(records, osvRecord(id, "left-pad", "1.1.0", "high"))
		statements = append(statements, fmt.Sprintf(`{"vulnerability":{"name":%q},"status":"fixed"}`, id))
	}
	m.database(1, records...)
	want(t, "affected", m.get(puller, app, "v1"), denied)
	vex := fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"a","timestamp":"2026-11-19T00:00:00Z","version":1,"statements":[%s]}`, strings.Join(statements, ","))
	m.say(m.kit.key, "https://openvex.dev/ns/v0.2.0", []byte(vex), i.desc.Digest)
	want(t, "all of them are excused", m.get(puller, app, "v1"), string(i.desc.Digest))
	if in := m.decided(app, i.desc.Digest).Vulnerabilities; len(in.Top) != 150 || in.Counts["high"] != 150 {
		t.Errorf("%d %v", len(in.Top), in.Counts)
	}
}

// A database that is removed takes away what was admitted with it, at once and without a finding: nothing was found because it spoke of the packages.
func TestARemovedDatabaseReopensWhatWasAdmittedWithIt(t *testing.T) {
	m := matchingKit(t)
	i := m.image(app, "v1", "pkg:npm/left-pad@1.0.0")
	m.database(1, osvRecord("GHSA-1", "elsewhere", "2.0.0", "critical"))
	want(t, "nothing found", m.get(puller, app, "v1"), string(i.desc.Digest))
	if _, err := m.m.Remove(m.ctx, "osv"); err != nil {
		t.Fatal(err)
	}
	m.settle()
	want(t, "without a database", m.get(puller, app, "v1"), denied)
	if got := m.explain(app, i.desc.Digest).Decision.Deny[0]; got.Code != "vuln.missing" {
		t.Errorf("%+v", got)
	}
	m.database(2, osvRecord("GHSA-1", "elsewhere", "2.0.0", "critical"))
	want(t, "with one again", m.get(puller, app, "v1"), string(i.desc.Digest))
	m.database(3, strings.ReplaceAll(osvRecord("GHSA-1", "elsewhere", "2.0.0", "critical"), `"npm"`, `"PyPI"`))
	want(t, "with one that speaks of npm no more", m.get(puller, app, "v1"), denied)
	if got := m.explain(app, i.desc.Digest).Decision.Deny[0]; got.Code != "vuln.uncovered_language" {
		t.Errorf("%+v", got)
	}
}

// What databases speak of is no finding: an image that is looked at again after that changed is decided again, and nobody is told of vulnerabilities that changed.
func TestCoverageIsNoFinding(t *testing.T) {
	m := matchingKit(t)
	m.image(app, "v1", "pkg:npm/left-pad@1.0.0")
	m.database(1, strings.ReplaceAll(osvRecord("GHSA-1", "elsewhere", "2.0.0", "critical"), `"npm"`, `"PyPI"`))
	want(t, "uncovered", m.get(puller, app, "v1"), denied)
	m.database(2, strings.ReplaceAll(osvRecord("GHSA-1", "elsewhere", "2.0.0", "critical"), `"npm"`, `"PyPI"`), osvRecord("GHSA-2", "elsewhere", "2.0.0", "critical"))
	m.image(app, "v2", "pkg:npm/left-pad@1.0.0") // pushed and read again
	m.settle()
	if got := m.audited("vulnerabilities"); len(got) > 0 {
		t.Errorf("told: %q", got)
	}
	m.database(3, osvRecord("GHSA-2", "left-pad", "2.0.0", "critical"))
	if got := m.audited("vulnerabilities"); len(got) != 1 {
		t.Errorf("told: %q", got)
	}
}

// Of an image of which more is found than anybody could read, nothing is told, and a policy that wants a report refuses it: when it is pushed, and when a newer database finds as much.
func TestTooManyFindingsAreNone(t *testing.T) {
	m := matchingKit(t)
	m.database(1, osvRecord("GHSA-1", "elsewhere", "2.0.0", "critical"))
	m.g.more = 250
	i := m.image(app, "v1", "pkg:npm/left-pad@1.0.0")
	want(t, "before", m.get(puller, app, "v1"), string(i.desc.Digest))
	records := []string{osvRecord("GHSA-1", "elsewhere", "2.0.0", "critical")}
	for n := range 20 {
		var cves []string
		for o := range 20 {
			cves = append(cves, fmt.Sprintf(`"CVE-2026-%d"`, 10000+20*n+o))
		}
		records = append(records, osvRecord(fmt.Sprintf("GHSA-2-%d", n), "left-pad", "2.0.0", "low", `,"upstream":[`, strings.Join(cves, ","), `]`))
	}
	m.database(2, records...)
	later := m.image("acme/other", "v1", "pkg:npm/left-pad@1.1.0")
	for repo, d := range map[store.Name]store.Digest{app: i.desc.Digest, "acme/other": later.desc.Digest} {
		deny := m.explain(repo, d).Decision.Deny
		if len(deny) != 1 || deny[0].Code != "vuln.missing" || !strings.Contains(deny[0].Message, "more than 100000 findings") {
			t.Errorf("%s: %+v", repo, deny)
		}
		got, err := m.a.Vulnerabilities(m.ctx, admin, contents.Ref{Repository: repo, Reference: store.Reference{Digest: d}}, "", "", 10, false)
		if err != nil || !strings.Contains(got.Unmatched, "more than 100000") || len(got.Findings) != 0 {
			t.Errorf("%s: %+v, %v", repo, got, err)
		}
	}
	m.settle()
	page, err := m.a.AffectedImages(m.ctx, admin, "CVE-2026-10007", nil, "", 10)
	if err != nil || len(page.Images) != 2 || len(page.Images[0].Findings) != 100 {
		t.Errorf("%d images, %v", len(page.Images), err)
		for _, one := range page.Images {
			t.Error(one.Repository, len(one.Findings))
		}
	}
}
