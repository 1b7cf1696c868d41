package verify

import (
	"encoding/json"
	"maps"
)

// The predicate types of provenance that [Statement.Summary] reads.
const (
	provenanceV02 = "https://slsa.dev/provenance/v0.2"
	provenanceV1  = "https://slsa.dev/provenance/v1"
)

// Summary is the part of a predicate that policies read: for SLSA provenance the strings builder, build_type, source, source_digest and ref, each where the
// statement has it, cut to MaxText. Nil for any other predicate. It is as trustworthy as the fact that carries it: call it for proven ones.
func (st *Statement) Summary() map[string]any {
	var said map[string]string
	switch st.PredicateType {
	case provenanceV02:
		said = summarizeV02(st.Predicate)
	case provenanceV1:
		said = summarizeV1(st.Predicate)
	}
	maps.DeleteFunc(said, func(_, v string) bool { return v == "" })
	if len(said) == 0 {
		return nil
	}
	summary := make(map[string]any, len(said))
	for k, v := range said {
		summary[k] = cut(v, MaxText)
	}
	return summary
}

// resource is a pinned source: in-toto's resource descriptor, and the config source and materials of v0.2.
type resource struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest"`
}

// commit is the digest that names a source, as "algorithm:digits".
func (r resource) commit() string {
	for _, algorithm := range [...]string{"sha256", "sha512", "gitCommit", "sha1"} {
		if v := r.Digest[algorithm]; v != "" {
			return algorithm + ":" + v
		}
	}
	return ""
}

func summarizeV02(predicate json.RawMessage) map[string]string {
	var p struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		BuildType  string `json:"buildType"`
		Invocation struct {
			ConfigSource resource `json:"configSource"`
		} `json:"invocation"`
		Materials []resource `json:"materials"`
	}
	if decode(predicate, &p) != nil {
		return nil
	}
	source := p.Invocation.ConfigSource
	if source.URI == "" && len(p.Materials) > 0 {
		source = p.Materials[0]
	}
	return map[string]string{"builder": p.Builder.ID, "build_type": p.BuildType, "source": source.URI, "source_digest": source.commit()}
}

func summarizeV1(predicate json.RawMessage) map[string]string {
	var p struct {
		Definition struct {
			BuildType    string          `json:"buildType"`
			Parameters   json.RawMessage `json:"externalParameters"`
			Dependencies []resource      `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
		Run struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
		} `json:"runDetails"`
	}
	if decode(predicate, &p) != nil {
		return nil
	}
	said := map[string]string{"builder": p.Run.Builder.ID, "build_type": p.Definition.BuildType}
	if len(p.Definition.Dependencies) > 0 {
		said["source"], said["source_digest"] = p.Definition.Dependencies[0].URI, p.Definition.Dependencies[0].commit()
	}
	// External parameters are the build type's own: those of GitHub's workflows are read, others are left alone.
	var parameters struct {
		Workflow struct {
			Ref        string `json:"ref"`
			Repository string `json:"repository"`
		} `json:"workflow"`
	}
	if decode(p.Definition.Parameters, &parameters) == nil {
		said["ref"] = parameters.Workflow.Ref
		if said["source"] == "" {
			said["source"] = parameters.Workflow.Repository
		}
	}
	return said
}
