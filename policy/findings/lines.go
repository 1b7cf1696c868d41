package findings

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/sbom/finding"
)

// maxExplained is of how many findings an explanation tells what is stated.
const maxExplained = 20

// lines say for people what is known: how many findings there are, on what that rests, and what is stated of which by whom.
func (x *Assessment) lines() []string {
	if x.Report == nil {
		return nil
	}
	counts, open := finding.Count(x.Report.Findings), []string{}
	for _, class := range Classes() {
		if n := counts.BySeverity[class]; n > 0 {
			open = append(open, strconv.Itoa(n)+" "+class)
		}
	}
	text := "vulnerabilities: " + cmp.Or(strings.Join(open, ", "), "none")
	if counts.Suppressed > 0 {
		text += ", and " + strconv.Itoa(counts.Suppressed) + " that statements excuse"
	}
	lines := []string{text + "; the oldest database is of " + x.Report.DBTime().UTC().Format("2006-01-02 15:04")}
	for n := range x.Report.Findings {
		f := &x.Report.Findings[n]
		if f.VEX == nil {
			continue
		}
		if len(lines) > maxExplained {
			return append(lines, "... and more; assay vulns lists them")
		}
		line := f.ID + " in " + PackageOf(&f.Package) + ": " + string(f.VEX.Status) + ", authority " + f.VEX.Authority
		if why := cmp.Or(f.VEX.Justification, f.VEX.Impact); why != "" {
			line += " (" + sentence.Clip(why, sentence.Max) + ")"
		}
		lines = append(lines, line)
	}
	return lines
}
