package imagecmd

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/verify"
)

// printFacts prints evidence: a row each, or all that is known of each.
func printFacts(a *cli.App, facts []verify.Fact, wide bool) error {
	if len(facts) == 0 {
		return nil
	}
	if wide {
		for i := range facts {
			if err := a.Say("\n%s", strings.TrimRight(factBlock(&facts[i]), "\n")); err != nil {
				return err
			}
		}
		return nil
	}
	var rows [][]string
	for i := range facts {
		f := &facts[i]
		by := f.Authority
		if f.Identity != "" {
			by = strings.TrimSpace(by + " " + f.Identity)
		}
		rows = append(rows, []string{factState(f), factKind(f), by, cli.Short(string(f.Evidence)), f.Message})
	}
	if err := a.Say(""); err != nil {
		return err
	}
	return cli.Table(a.Stdout, []string{"STATE", "EVIDENCE", "BY", "MANIFEST", "WHY"}, rows)
}

func factState(f *verify.Fact) string {
	switch {
	case f.Verified:
		return "verified"
	case f.Code != "":
		return string(f.Code)
	}
	return "not verified"
}

func factKind(f *verify.Fact) string {
	if f.PredicateType != "" {
		return f.PredicateType
	}
	return string(f.Kind)
}

// maxShown bounds what is printed of one value of a predicate's summary, in bytes.
const maxShown = 300

// factBlock is everything that is known of a piece of evidence under one authority, a line each.
func factBlock(f *verify.Fact) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		if value := cli.Printable(fmt.Sprintf(format, args...)); strings.TrimSpace(value) != "" {
			fmt.Fprintf(&b, "  %-12s %s\n", name, value)
		}
	}
	fmt.Fprintf(&b, "%s  %s\n", cli.Printable(factState(f)), cli.Printable(factKind(f)))
	line("authority", "%s", f.Authority)
	line("why", "%s", f.Message)
	line("scheme", "%s, found by %s", f.Scheme, f.Found)
	line("manifest", "%s", f.Evidence)
	line("layer", "%s", f.Layer)
	line("inherited", "%s", f.InheritedFrom)
	line("key", "%s", f.KeyID)
	line("identity", "%s", f.Identity)
	line("issuer", "%s", f.Issuer)
	line("serial", "%s", f.Serial)
	line("target", "%s", f.Target)
	line("role", "%s", f.Role)
	for _, l := range f.Logs {
		line("log", "%s index %d %s", cli.Short("sha256:" + l.Log)[len("sha256:"):], l.Index, cli.Moment(l.At))
	}
	if !f.SignedAt.IsZero() {
		line("signed at", "%s (%s)", cli.Moment(f.SignedAt), f.TimeSource)
	}
	line("valid from", "%s", cli.Moment(f.ValidFrom))
	line("valid until", "%s", cli.Moment(f.ValidUntil))
	line("reference", "%s", f.ClaimedReference)
	for _, name := range slices.Sorted(maps.Keys(f.Extensions)) {
		line("extension", "%s = %s", name, f.Extensions[name])
	}
	for _, name := range slices.Sorted(maps.Keys(f.Annotations)) {
		line("annotation", "%s = %s", name, f.Annotations[name])
	}
	for _, name := range slices.Sorted(maps.Keys(f.Summary)) {
		line("summary", "%s = %s", name, shown(f.Summary[name]))
	}
	return b.String()
}

// shown is a value as text, cut.
func shown(v any) string {
	if s, ok := v.(string); ok {
		return cutShown(s)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return cutShown(string(text))
}

func cutShown(s string) string {
	if len(s) > maxShown {
		return strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	return s
}
