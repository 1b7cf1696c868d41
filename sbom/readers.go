package sbom

import (
	"encoding/json"
	"fmt"
	"strings"
)

type spdxDocument struct {
	Creation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	} `json:"creationInfo"`
	Packages []struct {
		ID        string `json:"SPDXID"`
		Purpose   string `json:"primaryPackagePurpose"`
		Declared  string `json:"licenseDeclared"`
		Concluded string `json:"licenseConcluded"`
		Refs      []struct {
			Type    string `json:"referenceType"`
			Locator string `json:"referenceLocator"`
		} `json:"externalRefs"`
	} `json:"packages"`
	Describes     []string `json:"documentDescribes"`
	Relationships []struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	} `json:"relationships"`
	Licenses []struct {
		ID   string `json:"licenseId"`
		Name string `json:"name"`
	} `json:"hasExtractedLicensingInfos"`
}

func summarizeSPDX(b []byte) (Summary, error) {
	var d spdxDocument
	if err := decode(b, &d); err != nil {
		return Summary{}, fmt.Errorf("the SPDX document cannot be read: %w", err)
	}
	root := map[string]bool{}
	for _, id := range d.Describes {
		root[id] = true
	}
	for _, r := range d.Relationships {
		if r.Type == "DESCRIBES" && r.From == "SPDXRef-DOCUMENT" {
			root[r.To] = true
		}
	}
	names := map[string]string{}
	for _, l := range d.Licenses {
		names[l.ID] = l.Name
	}
	t := newTally()
	t.Created = parseTime(d.Creation.Created)
	for _, c := range d.Creation.Creators {
		if tool, ok := strings.CutPrefix(c, "Tool: "); ok && t.Generator == "" {
			t.Generator = clip(tool)
		}
	}
	for _, p := range d.Packages {
		// A document may describe the packages themselves instead of one root that contains them.
		if root[p.ID] && (p.Purpose == "CONTAINER" || len(root) == 1 && len(d.Packages) > 1) {
			continue
		}
		purl := ""
		for _, r := range p.Refs {
			if r.Type == "purl" {
				purl = r.Locator
				break
			}
		}
		ids := identifiers(p.Declared)
		if len(ids) == 0 {
			ids = identifiers(p.Concluded)
		}
		for i, id := range ids {
			if name := names[id]; name != "" {
				ids[i] = name
			}
		}
		t.add(purl, ids)
	}
	return t.Summary, nil
}

type cycloneComponent struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	Version  string `json:"version"`
	PURL     string `json:"purl"`
	Licenses []struct {
		License struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"license"`
		Expression string `json:"expression"`
	} `json:"licenses"`
	Components []cycloneComponent `json:"components"`
}

type cycloneDocument struct {
	Version  string `json:"specVersion"`
	Metadata struct {
		Timestamp string          `json:"timestamp"`
		Tools     json.RawMessage `json:"tools"`
	} `json:"metadata"`
	Components []cycloneComponent `json:"components"`
}

func summarizeCycloneDX(b []byte) (Summary, error) {
	var d cycloneDocument
	if err := decode(b, &d); err != nil {
		return Summary{}, fmt.Errorf("the CycloneDX document cannot be read: %w", err)
	}
	switch d.Version {
	case "1.2", "1.3", "1.4", "1.5", "1.6", "1.7":
	default:
		return Summary{}, fmt.Errorf("CycloneDX %.20q is not read; versions 1.2 to 1.7 are", d.Version)
	}
	t := newTally()
	t.Created = parseTime(d.Metadata.Timestamp)
	t.Generator = cycloneTool(d.Metadata.Tools)
	t.components(d.Components)
	return t.Summary, nil
}

// components counts every component that is software, nested ones too. encoding/json bounds the depth of the nesting.
func (t *tally) components(list []cycloneComponent) {
	for i := range list {
		c := &list[i]
		switch c.Type {
		case "operating-system":
			t.Distro, t.DistroVer = clip(c.Name), clip(c.Version)
		case "file", "data", "cryptographic-asset", "machine-learning-model":
		default:
			var ids []string
			for _, l := range c.Licenses {
				ids = append(ids, l.License.ID)
				if l.License.ID == "" {
					ids[len(ids)-1] = l.License.Name
				}
				ids = append(ids, identifiers(l.Expression)...)
			}
			t.add(c.PURL, ids)
		}
		t.components(c.Components)
	}
}

// cycloneTool names the first tool: a list until 1.4, an object with components since 1.5.
func cycloneTool(raw json.RawMessage) string {
	type tool struct{ Name, Version string }
	var list []tool
	if json.Unmarshal(raw, &list) != nil {
		var object struct{ Components []tool }
		if json.Unmarshal(raw, &object) != nil {
			return ""
		}
		list = object.Components
	}
	if len(list) == 0 {
		return ""
	}
	return clip(strings.TrimSuffix(list[0].Name+"-"+list[0].Version, "-"))
}

type syftDocument struct {
	Artifacts []struct {
		PURL     string            `json:"purl"`
		Licenses []json.RawMessage `json:"licenses"`
	} `json:"artifacts"`
	Distro struct {
		ID      string `json:"id"`
		Version string `json:"versionID"`
	} `json:"distro"`
	Descriptor struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"descriptor"`
}

func summarizeSyft(b []byte) (Summary, error) {
	var d syftDocument
	if err := decode(b, &d); err != nil {
		return Summary{}, fmt.Errorf("the syft document cannot be read: %w", err)
	}
	t := newTally()
	t.Distro, t.DistroVer = clip(d.Distro.ID), clip(d.Distro.Version)
	t.Generator = clip(strings.TrimSuffix(d.Descriptor.Name+"-"+d.Descriptor.Version, "-"))
	for _, a := range d.Artifacts {
		var ids []string
		for _, raw := range a.Licenses {
			ids = append(ids, syftLicense(raw)...)
		}
		t.add(a.PURL, ids)
	}
	return t.Summary, nil
}

// syftLicense reads a licence: a string in early schemas, an object since.
func syftLicense(raw json.RawMessage) []string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []string{text}
	}
	var object struct {
		Value      string `json:"value"`
		Expression string `json:"spdxExpression"`
	}
	if json.Unmarshal(raw, &object) != nil {
		return nil
	}
	if object.Expression != "" {
		return identifiers(object.Expression)
	}
	return []string{object.Value}
}

// clip bounds a name that somebody else chose.
func clip(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.ToValidUTF8(s, "")
}
