package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
)

// merging gathers the packages of one advisory. The same package of two releases, or of several rows, is one entry where it says the same.
type merging struct {
	list []osvAffected
	seen map[string]bool
}

func (m *merging) add(a osvAffected) error {
	text, err := json.Marshal(a)
	if err != nil || m.seen[string(text)] {
		return err
	}
	if m.seen == nil {
		m.seen = map[string]bool{}
	}
	m.seen[string(text)] = true
	m.list = append(m.list, a)
	return nil
}

// packages adds what one row is about.
func (w *grypeWriter) packages(ctx context.Context, row grypeVulnerability, a *osvAdvisory, merged *merging) error {
	handles := of(w.tables.affected, row.id)
	whole := map[[2]string]bool{} // packages and the releases that speak of them
	for _, h := range handles {
		if s := w.tables.systems[h.os]; s.channel == "" {
			whole[[2]string{s.ecosystem, w.tables.packages[h.pkg].name}] = true
		}
	}
	denied := w.denied(ctx, row.id)
	for _, h := range handles {
		ecosystem, name, why := w.place(h, whole)
		if why != "" {
			w.tables.report.LeftOut[why]++
			continue
		}
		if denied[[2]uint32{h.pkg, h.os}] {
			continue
		}
		b, err := w.packageDocument(ctx, h.blob)
		if err != nil {
			return err
		}
		for _, cve := range b.CVEs {
			a.Aliases = append(a.Aliases, clipped(cve, 120))
		}
		if b.elsewhere() {
			w.tables.report.LeftOut["about another platform"]++
			continue
		}
		entry, ok := b.affected(ecosystem, name)
		if !ok {
			continue
		}
		if len(merged.list) >= w.limits.affected {
			return refuse("the database has an advisory, %.100q, about more than %d packages", row.name, w.limits.affected)
		}
		if err := merged.add(entry); err != nil {
			return err
		}
	}
	return nil
}

// packageDocument reads what is said of a package. Releases share documents, and follow one another.
func (w *grypeWriter) packageDocument(ctx context.Context, id uint32) (*packageBlob, error) {
	if w.last == nil || w.lastID != id {
		b := new(packageBlob)
		if err := w.document(ctx, id, b); err != nil {
			return nil, err
		}
		w.last, w.lastID = b, id
	}
	return w.last, nil
}

// place is the ecosystem and the name of a handle's package; or why it is left out.
func (w *grypeWriter) place(h grypeHandle, whole map[[2]string]bool) (ecosystem, name, why string) {
	p, ok := w.tables.packages[h.pkg]
	if !ok || p.name == "" {
		return "", "", "about a package that the database does not have"
	}
	name = clipped(p.name, 500)
	if h.os == 0 {
		if ecosystem = grypeEcosystem(p.ecosystem); ecosystem == "" {
			return "", "", "of an ecosystem that is not matched (" + clipped(p.ecosystem, 40) + ")"
		}
		return ecosystem, name, ""
	}
	s := w.tables.systems[h.os]
	switch {
	case s.ecosystem == "":
		return "", "", "of an operating system that is not matched"
	case s.channel != "":
		return "", "", "of a channel of longer support"
	case s.whole != "" && whole[[2]string{s.whole, p.name}]:
		return "", "", "of a minor release, whose major release is there"
	}
	return s.ecosystem, name, ""
}

// denied are the packages, with their systems, of which the provider says that the vulnerability does not affect them in any version. What it says of some versions alone
// is passed over: it could take away a finding that is one.
func (w *grypeWriter) denied(ctx context.Context, vulnerability uint32) map[[2]uint32]bool {
	list := of(w.tables.unaffected, vulnerability)
	if len(list) == 0 {
		return nil
	}
	denied := map[[2]uint32]bool{}
	for _, u := range list {
		var b packageBlob
		if w.document(ctx, u.blob, &b) == nil && !b.elsewhere() && !slices.ContainsFunc(b.Ranges, func(r grypeRange) bool { return r.Version.Constraint != "" }) {
			denied[[2]uint32{u.pkg, u.os}] = true
		}
	}
	return denied
}

// elsewhere reports whether a document is about packages that no image of Linux has: those of other platforms, or of a vendor's rebuilds.
func (b *packageBlob) elsewhere() bool {
	q := b.Qualifiers
	if q == nil {
		return false
	}
	if q.RootIO != nil && *q.RootIO {
		return true
	}
	foreign := func(cpe string) bool {
		return strings.Contains(cpe, ":microsoft:windows") || strings.Contains(cpe, ":apple:") || strings.Contains(cpe, ":google:android")
	}
	return len(q.Platforms) > 0 && !slices.ContainsFunc(q.Platforms, func(cpe string) bool { return !foreign(cpe) })
}

// affected is a document as OSV says it; nothing where no version is affected.
func (b *packageBlob) affected(ecosystem, name string) (a osvAffected, any bool) {
	a.Package.Ecosystem, a.Package.Name = ecosystem, name
	stream := ""
	if q := b.Qualifiers; q != nil && q.Module != nil && *q.Module != "" {
		a.Specific = &osvSpecific{Module: clipped(*q.Module, 100)}
		_, stream, _ = strings.Cut(*q.Module, ":")
	}
	for _, r := range b.Ranges {
		fixed := ""
		if r.Fix != nil {
			if r.Fix.State == "not-affected" {
				continue
			}
			if r.Fix.State == "fixed" {
				fixed = r.Fix.Version
			}
		}
		for _, part := range strings.Split(r.Version.Constraint, "||") {
			if len(a.Ranges)+len(a.Versions) >= maxRanges { // then all versions: those that nothing is said about any more would be free of it
				a.Ranges, a.Versions = []osvRange{{"ECOSYSTEM", []map[string]string{{"introduced": "0"}}}}, nil
				return a, true
			}
			events, versions := constraint(part, fixed)
			if events != nil {
				beginStream(events, stream)
				a.Ranges = append(a.Ranges, osvRange{"ECOSYSTEM", events})
			}
			a.Versions = append(a.Versions, versions...)
		}
	}
	return a, len(a.Ranges) > 0 || len(a.Versions) > 0
}

// beginStream has a range begin where the module's stream does, if that is named after a version: the fix of nodejs:18 says nothing of nodejs:16, which has its own. What an
// older stream lacks would else count as a hole in it for ever.
func beginStream(events []map[string]string, stream string) {
	if len(events) != 2 || events[0]["introduced"] != "0" || stream == "" {
		return
	}
	epoch, version, ok := strings.Cut(events[1]["fixed"], ":")
	if !ok {
		epoch, version = "", epoch
	} else {
		epoch += ":"
	}
	if strings.HasPrefix(version, stream+".") {
		events[0]["introduced"] = epoch + clipped(stream, 100)
	}
}

// maxRanges is how many ranges one package of an advisory may have; no advisory has near as many.
const maxRanges = 1000

// constraint turns the bounds that all hold (">=1.0, <1.2.3") into events. OSV has no open beginning: ">1.0" begins with 1.0, which is one version too many. An upper
// bound that belongs to the range (<=) with a known fix ends at the fix, so that the fix is told.
func constraint(s, fixed string) (events []map[string]string, versions []string) {
	introduced, kind, upper := "0", "", ""
	for _, b := range bounds(s) {
		switch b.op {
		case ">", ">=":
			introduced = b.version
		case "<":
			kind, upper = "fixed", b.version
		case "<=":
			kind, upper = "last_affected", b.version
		case "=", "==", "":
			versions = append(versions, b.version)
		}
	}
	switch {
	case len(versions) > 0:
		return nil, versions
	case kind == "fixed" && (upper == "0" || upper == "0:0"):
		return nil, nil // "< 0": the way in which distributions say that a package is not affected
	case kind == "last_affected" && fixed != "" && fixed != "0":
		kind, upper = "fixed", fixed
	}
	events = []map[string]string{{"introduced": clipped(introduced, 200)}}
	if kind != "" {
		events = append(events, map[string]string{kind: clipped(upper, 200)})
	}
	return events, nil
}

type grypeBound struct{ op, version string }

// bounds splits a constraint at commas and blanks. A version has neither.
func bounds(s string) (list []grypeBound) {
	if t := strings.TrimSpace(s); strings.EqualFold(t, "none") || strings.HasPrefix(strings.ToLower(t), "none ") {
		return nil
	}
	op := ""
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
		version := strings.TrimLeft(word, "<>=!~^")
		op += word[:len(word)-len(version)]
		if version == "" {
			continue // the version follows after a blank
		}
		list = append(list, grypeBound{op, version})
		op = ""
	}
	return list
}
