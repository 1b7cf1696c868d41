package vex

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/store"
)

// Status is what a statement says of a product and a vulnerability (OpenVEX 0.2, "Status Labels").
type Status string

// The statuses. What CycloneDX says otherwise is brought into these: exploitable is affected, in_triage under investigation, resolved fixed, a false positive not affected.
const (
	NotAffected        Status = "not_affected"
	StillAffected      Status = "affected"
	Fixed              Status = "fixed"
	UnderInvestigation Status = "under_investigation"
)

// Statement is one of VEX. What is behind Document is the caller's, who knows whose it is.
type Statement struct {
	Vulnerability string
	Aliases       []string
	Products      []Product
	Status        Status
	Justification string
	Impact        string // why it is not affected, in words
	Action        string
	Timestamp     time.Time
	Author        string
	Document      string // its id

	Rank      int // of the signer: 0 is trusted most
	Authority string
	Evidence  store.Digest
}

// Product is what a statement is about: an image, or a package in any image.
type Product struct {
	ID            string         // package URL, or whatever the document calls it
	Digests       []store.Digest // of the image
	Subcomponents []string       // package URLs; none: all of the product
}

// Limits of a VEX document.
const (
	MaxDocument = 16 << 20 // bytes

	maxStatements = 50_000
	maxProducts   = 100_000 // in all statements, with their subcomponents
	maxWords      = 2000    // characters of a text, the rest is cut
)

// Parse reads the statements of a document: OpenVEX 0.2 (and 0.0.1), CycloneDX JSON with analyses, or an in-toto statement with one of them as its predicate. The content decides;
// mediaType must not contradict it ("" says nothing). Errors: CodeInvalid.
func Parse(mediaType string, b []byte) ([]Statement, error) {
	if len(b) > MaxDocument {
		return nil, store.Errorf(store.CodeInvalid, "the VEX document has %d bytes; at most %d are read", len(b), MaxDocument)
	}
	if err := store.StrictJSON(b); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the VEX document is not JSON: %w", err)
	}
	top := map[string]json.RawMessage{}
	if err := store.Members(b, func(key string, value []byte) error {
		top[key] = value
		return nil
	}); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the VEX document is no object: %w", err)
	}
	if p, ok := top["predicate"]; ok && top["_type"] != nil {
		return Parse("", p)
	}
	kind, read := "", (*vexReader).openVEX
	switch {
	case strings.HasPrefix(textOf(top["@context"]), "https://openvex.dev/ns"):
		kind = "openvex"
	case textOf(top["bomFormat"]) == "CycloneDX":
		kind, read = "cyclonedx", (*vexReader).cyclone
	default:
		return nil, store.Errorf(store.CodeInvalid, "the document is neither OpenVEX nor CycloneDX with vulnerabilities")
	}
	for _, other := range [...]string{"openvex", "cyclonedx"} {
		if strings.Contains(mediaType, other) && other != kind {
			return nil, store.Errorf(store.CodeInvalid, "the document is labelled %.100q but is %s", mediaType, kind)
		}
	}
	v := &vexReader{}
	if err := read(v, b); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the VEX document cannot be read: %w", err)
	}
	return v.list, nil
}

func textOf(b json.RawMessage) string {
	var s string
	if len(b) == 0 || b[0] != '"' || json.Unmarshal(b, &s) != nil {
		return ""
	}
	return s
}

// vexReader gathers statements within limits.
type vexReader struct {
	list     []Statement
	products int
}

// add takes in a statement that says something about something.
func (v *vexReader) add(s Statement) error {
	if len(v.list) == maxStatements {
		return store.Errorf(store.CodeInvalid, "it has more than %d statements", maxStatements)
	}
	for i := range s.Products {
		if v.products += 1 + len(s.Products[i].Subcomponents); v.products > maxProducts {
			return store.Errorf(store.CodeInvalid, "it names more than %d products", maxProducts)
		}
	}
	if !osv.ValidID(s.Vulnerability) {
		return nil // about nothing that could be found
	}
	for _, text := range [...]*string{&s.Justification, &s.Impact, &s.Action, &s.Author, &s.Document} {
		*text = osv.Legible(*text, maxWords)
	}
	v.list = append(v.list, s)
	return nil
}

// named is a member that OpenVEX 0.0.1 has as text and 0.2 as an object.
type named struct {
	ID            string            `json:"@id"`
	Name          string            `json:"name"`
	Aliases       []string          `json:"aliases"`
	Identifiers   map[string]string `json:"identifiers"`
	Hashes        map[string]string `json:"hashes"`
	Subcomponents []named           `json:"subcomponents"`
}

// UnmarshalJSON reads both forms.
func (n *named) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &n.ID)
	}
	type plain named
	return json.Unmarshal(b, (*plain)(n))
}

// purl is the package URL of a component, or what else it is called.
func (n *named) purl() string {
	if p := n.Identifiers["purl"]; p != "" {
		return p
	}
	return n.ID
}

func (n *named) product(inherited []named) Product {
	p := Product{ID: n.purl()}
	for algorithm, value := range n.Hashes {
		if d, err := store.ParseDigest(strings.ReplaceAll(strings.ToLower(algorithm), "-", "") + ":" + value); err == nil {
			p.Digests = append(p.Digests, d)
		}
	}
	parts := n.Subcomponents
	if len(parts) == 0 {
		parts = inherited
	}
	for i := range parts {
		p.Subcomponents = append(p.Subcomponents, parts[i].purl())
	}
	return p
}

// openVEX reads OpenVEX (openvex/spec, OPENVEX-SPEC.md).
func (v *vexReader) openVEX(b []byte) error {
	var doc struct {
		ID          string `json:"@id"`
		Author      string `json:"author"`
		Timestamp   string `json:"timestamp"`
		LastUpdated string `json:"last_updated"`
		Statements  []struct {
			Vulnerability named   `json:"vulnerability"`
			Timestamp     string  `json:"timestamp"`
			LastUpdated   string  `json:"last_updated"`
			Products      []named `json:"products"`
			Subcomponents []named `json:"subcomponents"` // 0.0.1
			Status        string  `json:"status"`
			Justification string  `json:"justification"`
			Impact        string  `json:"impact_statement"`
			Action        string  `json:"action_statement"`
		} `json:"statements"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return err
	}
	for i := range doc.Statements {
		from := &doc.Statements[i]
		s := Statement{Aliases: from.Vulnerability.Aliases, Status: Status(from.Status), Justification: from.Justification, Impact: from.Impact, Action: from.Action,
			Author: doc.Author, Document: doc.ID, Timestamp: firstTime(from.LastUpdated, from.Timestamp, doc.LastUpdated, doc.Timestamp)}
		s.Vulnerability = from.Vulnerability.Name
		if s.Vulnerability == "" { // an IRI that ends in the identifier, or the identifier
			s.Vulnerability = from.Vulnerability.ID[strings.LastIndexByte(from.Vulnerability.ID, '/')+1:]
		}
		switch s.Status {
		case NotAffected, StillAffected, Fixed, UnderInvestigation:
		default:
			return store.Errorf(store.CodeInvalid, "its statement %d has the status %.40q, which is none", i+1, from.Status)
		}
		for k := range from.Products {
			s.Products = append(s.Products, from.Products[k].product(from.Subcomponents))
		}
		if err := v.add(s); err != nil {
			return err
		}
	}
	return nil
}

func firstTime(list ...string) time.Time {
	for _, s := range list {
		if t := osv.Instant(s); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// cycloneComponent is a component of CycloneDX, as far as it counts.
type cycloneComponent struct {
	Ref        string             `json:"bom-ref"`
	PURL       string             `json:"purl"`
	Version    string             `json:"version"`
	Components []cycloneComponent `json:"components"`
}

// cyclone reads the analyses of CycloneDX 1.4 to 1.7 ("vulnerabilities[].analysis").
func (v *vexReader) cyclone(b []byte) error {
	var doc struct {
		Serial   string `json:"serialNumber"`
		Metadata struct {
			Timestamp string           `json:"timestamp"`
			Component cycloneComponent `json:"component"`
			Authors   []struct {
				Name string `json:"name"`
			} `json:"authors"`
		} `json:"metadata"`
		Components      []cycloneComponent `json:"components"`
		Vulnerabilities []cycloneAnalysis  `json:"vulnerabilities"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return err
	}
	known := map[string]Product{}
	doc.Metadata.Component.gather(known)
	for i := range doc.Components {
		doc.Components[i].gather(known)
	}
	author := ""
	if len(doc.Metadata.Authors) > 0 {
		author = doc.Metadata.Authors[0].Name
	}
	for i := range doc.Vulnerabilities {
		s, ok := doc.Vulnerabilities[i].statement(known)
		if !ok {
			continue
		}
		if s.Author, s.Document = author, doc.Serial; s.Timestamp.IsZero() {
			s.Timestamp = osv.Instant(doc.Metadata.Timestamp)
		}
		if err := v.add(s); err != nil {
			return err
		}
	}
	return nil
}

func (c *cycloneComponent) gather(known map[string]Product) {
	if c.Ref != "" {
		p := Product{ID: c.PURL}
		if d, err := store.ParseDigest(c.Version); err == nil { // generators put the image's digest here
			p.Digests = []store.Digest{d}
		}
		known[c.Ref] = p
	}
	for i := range c.Components {
		c.Components[i].gather(known)
	}
}

type cycloneAnalysis struct {
	ID         string `json:"id"`
	References []struct {
		ID string `json:"id"`
	} `json:"references"`
	Analysis *struct {
		State         string   `json:"state"`
		Justification string   `json:"justification"`
		Response      []string `json:"response"`
		Detail        string   `json:"detail"`
		First         string   `json:"firstIssued"`
		Last          string   `json:"lastUpdated"`
	} `json:"analysis"`
	Affects []struct {
		Ref string `json:"ref"`
	} `json:"affects"`
}

// cycloneStates are the states of analyses ("impactAnalysisState").
var cycloneStates = map[string]Status{"resolved": Fixed, "resolved_with_pedigree": Fixed, "exploitable": StillAffected, "in_triage": UnderInvestigation, "false_positive": NotAffected, "not_affected": NotAffected}

func (c *cycloneAnalysis) statement(known map[string]Product) (s Statement, ok bool) {
	if c.Analysis == nil || cycloneStates[c.Analysis.State] == "" {
		return s, false
	}
	a := c.Analysis
	s = Statement{Vulnerability: c.ID, Status: cycloneStates[a.State], Justification: a.Justification, Impact: a.Detail, Action: strings.Join(a.Response, ", "), Timestamp: firstTime(a.Last, a.First)}
	if a.State == "false_positive" && s.Impact == "" {
		s.Impact = "false positive"
	}
	for _, r := range c.References {
		s.Aliases = append(s.Aliases, r.ID)
	}
	for _, to := range c.Affects {
		p, found := known[to.Ref]
		if _, after, link := strings.Cut(to.Ref, "#"); !found && link { // a BOM-link to another document
			p, found = known[after]
			if !found {
				p, found = Product{ID: after}, true
			}
		}
		if !found {
			p = Product{ID: to.Ref}
		}
		s.Products = append(s.Products, p)
	}
	return s, true
}

// Suppresses reports whether a finding that it is about does not count: it is fixed, or not affected for a reason that is told.
func (s *Statement) Suppresses() bool {
	return s.Status == Fixed || s.Status == NotAffected && (s.Justification != "" || s.Impact != "")
}
