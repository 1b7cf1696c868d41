package policy

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vex"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// How many findings a policy is told of by name: the worst, and beyond them those that some statement excuses, so that what is excused can be told from what is not.
const (
	maxTop     = 100
	maxExcused = 1000
)

// assessment is what the registry itself knows of the vulnerabilities of an image.
type assessment struct {
	report    *vulns.Report         // nil where there is none
	said      [][]contract.VEXInput // of each finding, by authority
	unmatched string                // why there is none: a part of a sentence
}

// reporter is vulns.Findings, or vulns.Unscored where nobody asks how likely exploitation is.
type reporter func(r store.Records, image store.Item) (*vulns.Report, error)

// assess compares what an image contains with the databases, and with what facts say about exploitability. It reads in the caller's snapshot or transaction.
func (a *Admission) assess(ctx context.Context, r store.Records, report reporter, t *grounds, i store.Item, facts []verify.Fact, parents []store.Digest) (*assessment, error) {
	if a.o.Inventories == nil {
		return &assessment{unmatched: "this registry keeps no index of what images contain"}, nil
	}
	known, err := report(r, i)
	if unreported(err) {
		return &assessment{unmatched: err.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case known == nil:
		return &assessment{unmatched: "no SBOM of it is indexed yet"}, nil
	case !osv(known.Databases):
		return &assessment{unmatched: "no vulnerability database is installed"}, nil
	}
	statements, err := a.statements(ctx, t, i, facts)
	if err != nil {
		return nil, err
	}
	return &assessment{report: known, said: applyVEX(i, parents, known.Findings, statements)}, nil
}

// unreported reports whether an error says why there is no report of what an image contains.
func unreported(err error) bool {
	return errors.Is(err, vulns.ErrTooMany) || errors.Is(err, vulns.ErrWaits)
}

// unsigned reports whether all that is known of an image's contents is a document that anybody may have attached: it lists what its author wants found.
func unsigned(r store.Records, i store.Item) (bool, error) {
	read, err := readIngested(r, i)
	return read == nil || read.Origin == originAttached, err // of whom nobody knows any more, it is anybody's
}

// vulnerabilities are what a policy is told: the registry's own matches where there are any, else the newest report that an authority attested. Reports in attestations are told of
// statements, too: there is one place that reads those. Where no policy asks, nothing is looked up.
func (a *Admission) vulnerabilities(ctx context.Context, tx *store.Txn, t *grounds, s *subjectManifest, facts []verify.Fact, in *contract.Input) error {
	in.Vulnerabilities = attestedVulnerabilities(facts)
	if !t.Engine.Traits(s.repo).Vulnerabilities || in.Subject.Kind != store.KindImage {
		return nil
	}
	i := store.Item{Repository: s.repo, Digest: s.rec.Digest}
	x, err := a.assess(ctx, tx.Records, vulns.Unscored, t, i, facts, in.Subject.Parents)
	if err != nil {
		return err
	}
	if anybodys, err := unsigned(tx.Records, i); err != nil {
		return err
	} else if anybodys && x.report != nil {
		x = &assessment{unmatched: "its only SBOM is one that nobody who is trusted signed"}
	}
	if err := a.excuseReports(ctx, t, i, facts, in); err != nil {
		return err
	}
	switch {
	case x.report != nil:
		in.Vulnerabilities = x.input(in.Request.Time)
	case in.Vulnerabilities == nil:
		in.Vulnerabilities = &contract.VulnerabilitiesInput{Unmatched: x.unmatched}
	default:
		in.Vulnerabilities.Unmatched = x.unmatched
	}
	return nil
}

// classes are the severities, the worst first.
func classes() []string {
	return []string{"critical", "high", "medium", "low", "negligible", "unknown"}
}

// input is what a policy is told of matches. The counts are of everything that was found, excused or not: whose excuses count is the policy's to say.
func (x *assessment) input(now time.Time) *contract.VulnerabilitiesInput {
	in := &contract.VulnerabilitiesInput{Present: true, Origin: contract.VulnerabilitiesMatched, ScannedAt: now, DBTime: x.report.DBTime(), Counts: map[string]int{}, Fixable: map[string]int{}}
	for _, c := range classes() {
		in.Counts[c], in.Fixable[c] = 0, 0
	}
	in.Uncovered = x.report.Uncovered[:min(len(x.report.Uncovered), maxTop)]
	in.Systems, in.Languages, in.Unlooked = x.report.Systems, x.report.Languages, x.report.Unlooked
	order := make([]int, len(x.report.Findings))
	for n := range order {
		order[n] = n
	}
	slices.SortStableFunc(order, func(i, j int) int {
		f, g := &x.report.Findings[i], &x.report.Findings[j]
		return cmp.Or(int(g.Severity)-int(f.Severity), strings.Compare(f.ID, g.ID), strings.Compare(f.Package.Name, g.Package.Name))
	})
	excused := 0
	for _, n := range order {
		f := &x.report.Findings[n]
		in.Counts[f.Severity.String()]++
		if len(f.Fixed) > 0 {
			in.Fixable[f.Severity.String()]++
		}
		excuses := slices.ContainsFunc(x.said[n], func(v contract.VEXInput) bool { return v.Suppresses })
		if len(in.Top) >= maxTop && (!excuses || excused >= maxExcused) {
			continue
		}
		if len(in.Top) >= maxTop {
			excused++
		}
		in.Top = append(in.Top, findingInput(f, x.said[n]))
	}
	return in
}

func findingInput(f *finding.Finding, said []contract.VEXInput) contract.VulnerabilityInput {
	in := contract.VulnerabilityInput{ID: f.ID, Severity: f.Severity.String(), Package: packageOf(&f.Package), FixedIn: strings.Join(f.Fixed, ", "), Aliases: f.Aliases,
		Exploited: f.KEV != nil, Uncertain: f.State == "unknown", Statements: said}
	if !f.Published.IsZero() {
		in.Published = f.Published.UTC().Format(time.RFC3339)
	}
	if f.VEX != nil {
		in.VEX = string(f.VEX.Status)
	}
	return in
}

// packageOf names a package version as reports do.
func packageOf(v *index.PackageVersion) string {
	if v.PURL != "" {
		return v.PURL
	}
	return v.Name + "@" + v.Version
}

// excuseReports tells beside each finding of an attested report what authorities say of it.
func (a *Admission) excuseReports(ctx context.Context, t *grounds, i store.Item, facts []verify.Fact, in *contract.Input) error {
	if !slices.ContainsFunc(facts, vexFact) {
		return nil
	}
	statements, err := a.statements(ctx, t, i, facts)
	if err != nil || len(statements) == 0 {
		return err
	}
	for n := range in.Attestations {
		f := &in.Attestations[n]
		if top, ok := f.Summary["top"].([]any); ok && f.Verified && verify.ScanPredicate(f.PredicateType) {
			f.Summary = maps.Clone(f.Summary) // it is the fact's
			f.Summary["top"] = excuseSummary(i, in.Subject.Parents, top, statements)
		}
	}
	if v := in.Vulnerabilities; v != nil {
		list := make([]finding.Finding, len(v.Top))
		for n, one := range v.Top {
			list[n] = attestedFinding(one.ID, one.Package)
		}
		for n, said := range applyVEX(i, in.Subject.Parents, list, statements) {
			if v.Top[n].Statements = said; list[n].VEX != nil {
				v.Top[n].VEX = string(list[n].VEX.Status)
			}
		}
	}
	return nil
}

func excuseSummary(i store.Item, parents []store.Digest, top []any, statements []vex.Statement) []any {
	list := make([]finding.Finding, len(top))
	for n, one := range top {
		m, _ := one.(map[string]any)
		id, _ := m["id"].(string)
		name, _ := m["package"].(string)
		list[n] = attestedFinding(id, name)
	}
	out := slices.Clone(top)
	for n, said := range applyVEX(i, parents, list, statements) {
		m, ok := top[n].(map[string]any)
		if !ok || len(said) == 0 {
			continue
		}
		m = maps.Clone(m)
		var told []any
		for _, v := range said {
			told = append(told, map[string]any{"authority": v.Authority, "status": v.Status, "suppresses": v.Suppresses, "reason": v.Reason, "evidence": string(v.Evidence), "at": v.At})
		}
		m["statements"] = told
		out[n] = m
	}
	return out
}

// attestedFinding is a finding of somebody else's report, as far as statements are compared with it.
func attestedFinding(id, name string) finding.Finding {
	f := finding.Finding{ID: id, Package: index.PackageVersion{Name: name}}
	if p, err := sbom.ParsePURL(name); err == nil {
		f.Package = index.PackageVersion{Name: p.Base(), PURL: p.String(), Version: p.Version, Type: p.Type}
	}
	return f
}
