package findings

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/trust"
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
	maxTop     = vulns.MaxWorst
	maxExcused = 1000
)

// Options are what a Reader is made of.
type Options struct {
	Local   *store.Local
	Indexed bool                   // whether the registry keeps an index of what images contain: without, it knows of no vulnerabilities
	Trust   func() *trust.Snapshot // in force now
	// Borrowed is what is known of a manifest by the evidence that another repository keeps about it, by evidence.
	Borrowed func(s store.Snapshot, repo store.Name, d store.Digest) map[store.Digest]*proof.Known
	Clock    func() time.Time
	Log      *slog.Logger
}

// Reader reads what is known of the vulnerabilities of images, and what authorities state about them. It keeps nothing but documents that it read lately.
type Reader struct {
	o      Options
	spoken spoken
}

// New makes a Reader.
func New(o Options) *Reader { return &Reader{o: o} }

// Image is an image with whose word counts about it.
type Image struct {
	store.Item
	Parents     []store.Digest    // the indexes that hold it: a statement about one is about what it holds
	Facts       []verify.Fact     // of which statements are read: see [Spoken]
	Authorities []trust.Authority // the most trusted first
}

// Assessment is what the registry itself knows of the vulnerabilities of an image.
type Assessment struct {
	Report    *vulns.Report         // nil where there is none
	Said      [][]contract.VEXInput // of each finding, by authority
	Unmatched string                // why there is none: a part of a sentence
}

// Why the registry knows of no vulnerabilities of an image: parts of sentences.
const (
	unmatchedOff      = "this registry keeps no index of what images contain"
	unmatchedUnread   = "no SBOM of it is indexed yet"
	unmatchedNothing  = "no vulnerability database is installed"
	unmatchedAnybodys = "its only SBOM is one that nobody who is trusted signed"
)

// assess compares what an image contains with the databases, and with what facts say about exploitability.
func (r *Reader) assess(ctx context.Context, records store.Records, m *Image) (*Assessment, error) {
	if !r.o.Indexed {
		return &Assessment{Unmatched: unmatchedOff}, nil
	}
	report, err := vulns.Findings(records, m.Item)
	switch {
	case Unreported(err):
		return &Assessment{Unmatched: err.Error()}, nil
	case err != nil:
		return nil, err
	case report == nil:
		return &Assessment{Unmatched: unmatchedUnread}, nil
	case !advised(report.Databases):
		return &Assessment{Unmatched: unmatchedNothing}, nil
	}
	statements, err := r.statements(ctx, m)
	if err != nil {
		return nil, err
	}
	return &Assessment{Report: report, Said: apply(m, report.Findings, statements)}, nil
}

// matches are what a decision is told of the registry's own findings; nil where there are none, with the reason. They are read as they are kept: of what has more findings than a policy is told of,
// all are looked at only where statements may excuse some.
func (r *Reader) matches(ctx context.Context, tx *store.Txn, m *Image, now time.Time) (*contract.VulnerabilitiesInput, string, error) {
	if !r.o.Indexed {
		return nil, unmatchedOff, nil
	}
	known, err := vulns.Summarize(tx, m.Item)
	switch {
	case Unreported(err):
		return nil, err.Error(), nil
	case err != nil:
		return nil, "", err
	case known == nil:
		return nil, unmatchedUnread, nil
	case !known.Advised:
		return nil, unmatchedNothing, nil
	}
	if anybodys, err := unsigned(tx.Records, m.Item); err != nil || anybodys {
		return nil, unmatchedAnybodys, err
	}
	statements, err := r.statements(ctx, m)
	if err != nil {
		return nil, "", err
	}
	list, said := known.Worst, []stated(nil)
	if len(statements) > 0 {
		if list, said, err = excused(tx, m, known, statements); err != nil {
			return nil, "", err
		}
	}
	return matchesInput(known, list, said, now), "", nil
}

// stated is what statements say of a finding.
type stated struct {
	status string // that the most trusted authority gives it
	by     []contract.VEXInput
}

// excused is what statements say of the findings of an image, of which some may be excused that a summary does not name.
func excused(tx *store.Txn, m *Image, known *vulns.Summary, statements []vex.Statement) ([]vulns.Known, []stated, error) {
	list, findings := known.Worst, make([]finding.Finding, 0, len(known.Worst))
	if known.Total > len(list) {
		report, err := vulns.Unscored(tx.Records, m.Item)
		if err != nil {
			return nil, nil, err
		}
		vulns.Worst(report.Findings)
		list, findings = nil, report.Findings
		for n := range findings {
			list = append(list, vulns.KnownOf(&findings[n]))
		}
	} else {
		for n := range list {
			findings = append(findings, list[n].Finding())
		}
	}
	said := make([]stated, len(list))
	for n, by := range apply(m, findings, statements) {
		if said[n].by = by; findings[n].VEX != nil {
			said[n].status = string(findings[n].VEX.Status)
		}
	}
	return list, said, nil
}

// Unreported reports whether an error says why there is no report of what an image contains.
func Unreported(err error) bool {
	return errors.Is(err, vulns.ErrTooMany) || errors.Is(err, vulns.ErrWaits)
}

// unsigned reports whether all that is known of an image's contents is a document that anybody may have attached: it lists what its author wants found.
func unsigned(r store.Records, i store.Item) (bool, error) {
	read, err := inventory.Of(r, i)
	return read == nil || read.Origin == inventory.OriginAttached, err // of whom nobody knows any more, it is anybody's
}

// Tell tells a policy what is known: the registry's own matches where there are any, else the newest report that an authority attested ([Attested]), which is in the input already. Reports in
// attestations are told of statements, too: there is one place that reads those. It reads in the transaction of the decision, which conflicts with whatever makes that old.
func (r *Reader) Tell(ctx context.Context, tx *store.Txn, m *Image, in *contract.Input) error {
	matched, unmatched, err := r.matches(ctx, tx, m, in.Request.Time)
	if err != nil {
		return err
	}
	if err := r.excuseReports(ctx, m, in); err != nil {
		return err
	}
	switch {
	case matched != nil:
		in.Vulnerabilities = matched
	case in.Vulnerabilities == nil:
		in.Vulnerabilities = &contract.VulnerabilitiesInput{Unmatched: unmatched}
	default:
		in.Vulnerabilities.Unmatched = unmatched
	}
	return nil
}

// Classes are the severities, the worst first.
func Classes() []string {
	return []string{"critical", "high", "medium", "low", "negligible", "unknown"}
}

// matchesInput is what a policy is told of matches. The counts are of everything that was found, excused or not: whose excuses count is the policy's to say.
func matchesInput(known *vulns.Summary, list []vulns.Known, said []stated, now time.Time) *contract.VulnerabilitiesInput {
	in := &contract.VulnerabilitiesInput{Present: true, Origin: contract.VulnerabilitiesMatched, ScannedAt: now, DBTime: known.DBTime, Counts: known.Counts, Fixable: known.Fixable}
	in.Uncovered = known.Uncovered[:min(len(known.Uncovered), maxTop)]
	in.Systems, in.Languages, in.Unlooked = known.Systems, known.Languages, known.Unlooked
	in.Top = make([]contract.VulnerabilityInput, 0, min(len(list), maxTop))
	excused := 0
	for n := range list {
		var about stated
		if said != nil {
			about = said[n]
		}
		if n >= maxTop {
			if excused >= maxExcused || !slices.ContainsFunc(about.by, func(v contract.VEXInput) bool { return v.Suppresses }) {
				continue
			}
			excused++
		}
		in.Top = append(in.Top, findingInput(&list[n], about))
	}
	return in
}

func findingInput(f *vulns.Known, about stated) contract.VulnerabilityInput {
	in := contract.VulnerabilityInput{ID: f.ID, Severity: f.Severity.String(), Package: PackageOf(f.Package), FixedIn: f.Fixed, Aliases: f.Aliases, Exploited: f.Exploited, Uncertain: f.Uncertain, VEX: about.status, Statements: about.by}
	if !f.Published.IsZero() {
		in.Published = f.Published.UTC().Format(time.RFC3339)
	}
	return in
}

// PackageOf names a package version as reports do.
func PackageOf(v *index.PackageVersion) string {
	if v.PURL != "" {
		return v.PURL
	}
	return v.Name + "@" + v.Version
}

// excuseReports tells beside each finding of an attested report what authorities say of it.
func (r *Reader) excuseReports(ctx context.Context, m *Image, in *contract.Input) error {
	if !slices.ContainsFunc(m.Facts, Spoken) {
		return nil
	}
	statements, err := r.statements(ctx, m)
	if err != nil || len(statements) == 0 {
		return err
	}
	for n := range in.Attestations {
		f := &in.Attestations[n]
		if top, ok := f.Summary["top"].([]any); ok && f.Verified && verify.ScanPredicate(f.PredicateType) {
			f.Summary = maps.Clone(f.Summary) // it is the fact's
			f.Summary["top"] = excuseSummary(m, top, statements)
		}
	}
	if v := in.Vulnerabilities; v != nil {
		list := make([]finding.Finding, len(v.Top))
		for n, one := range v.Top {
			list[n] = attestedFinding(one.ID, one.Package)
		}
		for n, said := range apply(m, list, statements) {
			if v.Top[n].Statements = said; list[n].VEX != nil {
				v.Top[n].VEX = string(list[n].VEX.Status)
			}
		}
	}
	return nil
}

func excuseSummary(image *Image, top []any, statements []vex.Statement) []any {
	list := make([]finding.Finding, len(top))
	for n, one := range top {
		m, _ := one.(map[string]any)
		id, _ := m["id"].(string)
		name, _ := m["package"].(string)
		list[n] = attestedFinding(id, name)
	}
	out := slices.Clone(top)
	for n, said := range apply(image, list, statements) {
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
