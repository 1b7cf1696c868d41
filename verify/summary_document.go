package verify

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/assay-registry/assay/store"
)

// spdx reads an SPDX document of version 2.2 or 2.3 (spdx.github.io/spdx-spec/v2.3): as JSON, or in the tag-value form, which cosign carries as one text.
func (s summary) spdx(predicate json.RawMessage) error {
	if len(predicate) > 0 && predicate[0] == '"' {
		var text string
		if err := json.Unmarshal(predicate, &text); err != nil {
			return err
		}
		return s.spdxTagValue(text)
	}
	var p struct {
		Version  string `json:"spdxVersion"`
		Name     string `json:"name"`
		Creation struct {
			Created  string   `json:"created"`
			Creators []string `json:"creators"`
		} `json:"creationInfo"`
		Packages objects `json:"packages"`
	}
	if err := decode(predicate, &p); err != nil {
		return err
	}
	return s.spdxDocument(p.Version, p.Name, p.Creation.Created, p.Creation.Creators, int(p.Packages))
}

// spdxTagValue reads lines of the form Tag: value (clause 6.8 and the sections of each tag). Texts over several lines hold no tag that is read.
func (s summary) spdxTagValue(text string) error {
	said := map[string]string{}
	var creators []string
	packages, inText := 0, false
	for line := range strings.Lines(text) {
		tag, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch {
		case inText:
			inText = !strings.Contains(line, "</text>")
			continue
		case tag == "PackageName":
			packages++
		case tag == "Creator" && len(creators) < maxResources:
			creators = append(creators, value)
		case said[tag] == "" && (tag == "SPDXVersion" || tag == "DocumentName" || tag == "Created"):
			said[tag] = value
		}
		inText = strings.Contains(value, "<text>") && !strings.Contains(value, "</text>")
	}
	return s.spdxDocument(said["SPDXVersion"], said["DocumentName"], said["Created"], creators, packages)
}

func (s summary) spdxDocument(version, name, created string, creators []string, packages int) error {
	number, ok := strings.CutPrefix(version, "SPDX-")
	if !ok || number == "" {
		return errors.New("spdxVersion is not that of SPDX")
	}
	s.text("format", "spdx-"+number)
	s.text("name", name)
	s.text("created", created)
	for _, creator := range creators {
		if tool, ok := strings.CutPrefix(creator, "Tool:"); ok {
			s.text("tool", strings.TrimSpace(tool))
			break
		}
	}
	s.number("packages", packages)
	return nil
}

// cyclonedx reads a CycloneDX document (cyclonedx.org/docs/1.6/json).
func (s summary) cyclonedx(predicate json.RawMessage) error {
	var p struct {
		Format   string `json:"bomFormat"`
		Version  string `json:"specVersion"`
		Metadata struct {
			Created   string          `json:"timestamp"`
			Tools     json.RawMessage `json:"tools"`
			Component struct {
				Name string `json:"name"`
			} `json:"component"`
		} `json:"metadata"`
		Components components `json:"components"`
	}
	if err := decode(predicate, &p); err != nil {
		return err
	}
	if p.Format != "CycloneDX" || p.Version == "" {
		return errors.New("bomFormat is not CycloneDX")
	}
	s.text("format", "cyclonedx-"+p.Version)
	s.text("name", p.Metadata.Component.Name)
	s.text("created", p.Metadata.Created)
	s.text("tool", cyclonedxTool(p.Metadata.Tools))
	s.number("packages", int(p.Components))
	return nil
}

// cyclonedxTool is the first tool of a list (until 1.4), or the first component of an object (since 1.5): its name, and its version after a dash.
func cyclonedxTool(b json.RawMessage) string {
	if len(b) > 0 && b[0] == '{' {
		var tools struct {
			Components json.RawMessage `json:"components"`
		}
		if decode(b, &tools) != nil {
			return ""
		}
		b = tools.Components
	}
	name := ""
	if len(b) == 0 || each(b, func(value []byte) error {
		var tool struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		}
		if name != "" {
			return nil
		}
		if err := decode(value, &tool); err != nil {
			return err
		}
		if name = tool.Name; tool.Version != "" {
			name += "-" + tool.Version
		}
		return nil
	}) != nil {
		return ""
	}
	return name
}

// components counts the components of a CycloneDX document, those inside others too.
type components int

// maxNested is how many levels of components are counted: every level is one more pass over what is inside it.
const maxNested = 8

// UnmarshalJSON implements json.Unmarshaler.
func (c *components) UnmarshalJSON(b []byte) error { return c.count(b, maxNested) }

func (c *components) count(b []byte, levels int) error {
	return each(b, func(value []byte) error {
		if *c++; levels <= 1 {
			return nil
		}
		return store.Members(value, func(key string, inner []byte) error {
			if key != "components" {
				return nil
			}
			return c.count(inner, levels-1)
		})
	})
}
