package vulnscmd

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/sbom"
)

// SARIF 2.1.0 (OASIS), as far as one image's findings need it.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool            `json:"tool"`
		Automation sarifAutomation      `json:"automationDetails"`
		Bases      map[string]sarifBase `json:"originalUriBaseIds"`

		Invocations []sarifInvocation `json:"invocations,omitempty"` // where something was not looked at
		Results     []sarifResult     `json:"results"`               // empty, and not absent: it was looked
		Properties  map[string]any    `json:"properties,omitempty"`
	}
	sarifInvocation struct {
		OK    bool        `json:"executionSuccessful"`
		Notes []sarifNote `json:"toolExecutionNotifications"`
	}
	sarifNote struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifAutomation struct {
		ID string `json:"id"`
	}
	sarifBase struct {
		Description sarifText `json:"description"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID         string         `json:"id"`
		Short      sarifText      `json:"shortDescription"`
		Help       sarifText      `json:"help"`
		HelpURI    string         `json:"helpUri,omitempty"`
		Default    sarifDefault   `json:"defaultConfiguration"`
		Properties map[string]any `json:"properties"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI  string `json:"uri"`
		Base string `json:"uriBaseId"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
)

// imageRoot names, in a run, the root of the image's file system.
const imageRoot = "IMAGE"

// sarif makes the document of one image. It depends on the answer alone.
func sarif(v *contents.Vulnerabilities, release string) *sarifLog {
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: "assay", Version: release, Rules: []sarifRule{}}},
		Automation: sarifAutomation{"assay/" + string(v.Repository) + "/"},
		Bases:      map[string]sarifBase{imageRoot: {sarifText{"The root of the file system of " + string(v.Repository) + "@" + string(v.Digest)}}},
		Results:    []sarifResult{},
		Properties: map[string]any{"image": string(v.Repository) + "@" + string(v.Digest), "databases": v.Databases},
	}
	if len(v.Uncovered) > 0 {
		run.Properties["uncovered"] = v.Unlooked
		run.Invocations = []sarifInvocation{{OK: true, Notes: []sarifNote{{Level: "warning", Message: sarifText{plain("No database speaks of " + strings.Join(uncovered(v), ", ") + ": nothing can be found there.")}}}}}
	}
	var ids []string
	for i := range v.Findings {
		ids = append(ids, v.Findings[i].ID)
	}
	slices.Sort(ids)
	rules := map[string]int{}
	for n, id := range slices.Compact(ids) {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(v, id))
		rules[id] = n
	}
	for i := range v.Findings {
		f := &v.Findings[i]
		run.Results = append(run.Results, sarifResultOf(v, f, rules[f.ID]))
	}
	return &sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}

// sarifRuleOf describes a vulnerability: by the worst of its findings, which comes first.
func sarifRuleOf(v *contents.Vulnerabilities, id string) sarifRule {
	f := &v.Findings[slices.IndexFunc(v.Findings, func(f contents.KnownFinding) bool { return f.ID == id })]
	r := sarifRule{ID: id, Short: sarifText{plain(cmp.Or(f.Summary, id))}, Default: sarifDefault{sarifLevel(f)},
		Properties: map[string]any{"tags": []string{"security", "vulnerability", f.Severity.String()}, "security-severity": securitySeverity(f)}}
	help := []string{id + " is of severity " + f.Severity.String()}
	if len(f.Aliases) > 0 {
		help = append(help, "also known as "+strings.Join(f.Aliases, ", "))
	}
	if f.KEV != nil {
		help = append(help, "it is exploited")
	}
	r.Help = sarifText{plain(strings.Join(help, "; ") + ".")}
	for _, a := range f.Advisories {
		if u, err := url.Parse(a.URL); err == nil && (u.Scheme == "https" || u.Scheme == "http") && r.HelpURI == "" {
			r.HelpURI = a.URL
		}
	}
	return r
}

func sarifResultOf(v *contents.Vulnerabilities, f *contents.KnownFinding, rule int) sarifResult {
	text := fmt.Sprintf("%s %s is affected by %s", f.Package.Name, f.Package.Version, f.ID)
	if f.State == "unknown" {
		text = fmt.Sprintf("%s %s may be affected by %s: %s", f.Package.Name, f.Package.Version, f.ID, f.Reason)
	}
	if len(f.Fixed) > 0 {
		text += "; fixed in " + strings.Join(f.Fixed, ", ")
	}
	r := sarifResult{RuleID: f.ID, RuleIndex: rule, Level: sarifLevel(f), Message: sarifText{plain(text + ".")}}
	for _, l := range f.Locations {
		r.Locations = append(r.Locations, sarifPlace(v, f, l))
	}
	if len(r.Locations) == 0 {
		r.Locations = []sarifLocation{sarifPlace(v, f, sbom.Location{})}
	}
	// Neither version nor layer: the finding is the same one after the image was built again.
	first := r.Locations[0].Physical.Artifact.URI
	sum := sha256.Sum256([]byte(strings.Join([]string{string(v.Repository), f.ID, f.Package.Name, first}, "\x00")))
	r.Fingerprints = map[string]string{"assayFinding/v1": hex.EncodeToString(sum[:])}
	if f.VEX != nil && f.VEX.Suppressed {
		r.Suppressions = []sarifSuppression{{Kind: "external", Status: "accepted", Justification: status(f)}}
	}
	return r
}

// sarifPlace is where a package is: a file below the image's root, and the layer. Where no document says it, it is the image.
func sarifPlace(v *contents.Vulnerabilities, f *contents.KnownFinding, l sbom.Location) sarifLocation {
	file := l.Path
	if strings.Trim(file, "/") == "" {
		file = strings.TrimPrefix(f.Package.Name, "pkg:")
	}
	file = path.Clean("/" + file)[1:] // it stays below the root
	place := sarifLocation{Physical: sarifPhysical{Artifact: sarifArtifact{URI: (&url.URL{Path: file}).String(), Base: imageRoot}, Region: sarifRegion{StartLine: 1}}}
	name := string(v.Repository) + "@" + string(v.Digest)
	if l.Layer != "" {
		place.Logical = append(place.Logical, sarifLogical{name + "/" + string(l.Layer), "layer"})
	}
	place.Logical = append(place.Logical, sarifLogical{name + "/" + f.Package.Name + "@" + f.Package.Version, "package"})
	return place
}

// plain takes brackets out of text that images and databases give: in a message they would make links (SARIF 2.1.0, 3.11.6).
func plain(s string) string { return strings.NewReplacer("[", "(", "]", ")").Replace(s) }

func sarifLevel(f *contents.KnownFinding) string {
	switch f.Severity.String() {
	case "critical", "high":
		return "error"
	case "low", "negligible":
		return "note"
	}
	return "warning"
}

// securitySeverity is the number by which code hosts sort: the score, or the least of the class.
func securitySeverity(f *contents.KnownFinding) string {
	if f.Score > 0 {
		return fmt.Sprintf("%.1f", f.Score)
	}
	least := map[string]string{"critical": "9.0", "high": "7.0", "medium": "4.0", "low": "0.1", "negligible": "0.1"}
	return cmp.Or(least[f.Severity.String()], "0.0")
}
