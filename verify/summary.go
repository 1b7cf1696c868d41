package verify

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/assay-registry/assay/store"
)

// Summary is the part of a predicate that policies read without opening the predicate itself. Texts are cut to MaxText, times stay as they are written, counts are whole
// numbers; what the predicate does not say is absent. Nil for predicate types that are not known, and for a predicate that is not what its type says. By type:
//
//   - SLSA provenance 0.2 and 1: builder, build_type, source, source_digest, ref, entry_point, invocation_id, materials (how many)
//   - SPDX 2, CycloneDX: format, name, tool, created, packages (how many)
//   - cosign's vulnerability record, in-toto vulns: scanner, scanner_version, db, db_version, db_time, started, finished, vulnerabilities (how many), counts and fixable
//     by severity, top (the worst 100: id, severity, package, fixed_in, published)
//   - OpenVEX: author, created, statements (how many), statuses (how many of each)
//   - in-toto test result 0.1: result, url, passed, warned, failed (how many)
//   - SLSA verification summary 0.2 and 1: verifier, result, levels, policy, policy_digest, resource, created
//
// It is as trustworthy as the fact that carries it: call it for proven ones.
func (st *Statement) Summary() map[string]any {
	summarize := summarizer(st.PredicateType)
	if summarize == nil {
		return nil
	}
	s := summary{}
	if summarize(s, st.Predicate) != nil || len(s) == 0 {
		return nil
	}
	return s
}

// summarizer knows the predicate types. Types of documents may carry the document's version.
func summarizer(predicateType string) func(summary, json.RawMessage) error {
	switch predicateType {
	case "https://slsa.dev/provenance/v0.2":
		return summary.provenanceV02
	case "https://slsa.dev/provenance/v1":
		return summary.provenanceV1
	case "https://cosign.sigstore.dev/attestation/vuln/v1", "cosign.sigstore.dev/attestation/vuln/v1", // cosign 1 left the scheme out
		"https://in-toto.io/attestation/vulns/v0.1", "https://in-toto.io/attestation/vulns/v0.2", "https://in-toto.io/attestation/vulns/v0.3":
		return summary.scan
	case "https://in-toto.io/attestation/test-result/v0.1":
		return summary.testResult
	case "https://slsa.dev/verification_summary/v1", "https://slsa.dev/verification_summary/v0.2":
		return summary.verification
	}
	for prefix, summarize := range map[string]func(summary, json.RawMessage) error{
		"https://spdx.dev/Document": summary.spdx, "https://cyclonedx.org/bom": summary.cyclonedx, "https://openvex.dev/ns": summary.openvex,
	} {
		if rest, ok := strings.CutPrefix(predicateType, prefix); ok && (rest == "" || rest[0] == '/') {
			return summarize
		}
	}
	return nil
}

// summary is built of texts, whole numbers, lists of texts or of maps of texts, and maps of whole numbers, as encoding/json would read them back.
type summary map[string]any

// text adds a text that was given.
func (s summary) text(name, value string) {
	if value != "" {
		s[name] = cut(value, MaxText)
	}
}

// number adds a count, zero included.
func (s summary) number(name string, n int) { s[name] = int64(n) }

// resource is a pinned source: in-toto's resource descriptor, and the config source and materials of provenance 0.2.
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

// ref is the Git reference in a URI such as git+https://host/repository@refs/tags/v1.
func (r resource) ref() string {
	if _, ref, ok := strings.Cut(r.URI, "@refs/"); ok {
		return "refs/" + ref
	}
	return ""
}

// maxResources is how many of a predicate's resources are looked at; the rest are counted.
const maxResources = 64

// resources is a list of which only the beginning is kept.
type resources struct {
	first []resource
	count int
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *resources) UnmarshalJSON(b []byte) error {
	return each(b, func(value []byte) error {
		if r.count++; r.count > maxResources {
			return nil
		}
		var one resource
		err := decode(value, &one)
		r.first = append(r.first, one)
		return err
	})
}

// objects counts the objects of a list.
type objects int

// UnmarshalJSON implements json.Unmarshaler.
func (o *objects) UnmarshalJSON(b []byte) error {
	return each(b, func([]byte) error { *o++; return nil })
}

var errNoObject = errors.New("an element is no object")

// each calls do for each element of a list, all of which are objects. null is an empty list.
func each(b []byte, do func([]byte) error) error {
	if string(b) == "null" {
		return nil
	}
	return store.Elements(b, func(value []byte) error {
		if len(value) == 0 || value[0] != '{' {
			return errNoObject
		}
		return do(value)
	})
}

// provenanceV02 reads https://slsa.dev/provenance/v0.2 (slsa.dev/spec/v0.2/provenance, "Schema").
func (s summary) provenanceV02(predicate json.RawMessage) error {
	var p struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		BuildType  string `json:"buildType"`
		Invocation struct {
			ConfigSource struct {
				URI        string            `json:"uri"`
				Digest     map[string]string `json:"digest"`
				EntryPoint string            `json:"entryPoint"`
			} `json:"configSource"`
		} `json:"invocation"`
		Metadata struct {
			ID string `json:"buildInvocationID"`
		} `json:"metadata"`
		Materials resources `json:"materials"`
	}
	if err := decode(predicate, &p); err != nil {
		return err
	}
	source := resource{p.Invocation.ConfigSource.URI, p.Invocation.ConfigSource.Digest}
	if source.URI == "" && len(p.Materials.first) > 0 {
		source = p.Materials.first[0]
	}
	s.text("builder", p.Builder.ID)
	s.text("build_type", p.BuildType)
	s.source(source, "")
	s.text("entry_point", p.Invocation.ConfigSource.EntryPoint)
	s.text("invocation_id", p.Metadata.ID)
	return s.materials(p.Materials)
}

// provenanceV1 reads https://slsa.dev/provenance/v1 (slsa.dev/spec/v1.0/provenance, "Schema").
func (s summary) provenanceV1(predicate json.RawMessage) error {
	var p struct {
		Definition struct {
			BuildType    string          `json:"buildType"`
			Parameters   json.RawMessage `json:"externalParameters"`
			Dependencies resources       `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
		Run struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
			Metadata struct {
				ID string `json:"invocationId"`
			} `json:"metadata"`
		} `json:"runDetails"`
	}
	if err := decode(predicate, &p); err != nil {
		return err
	}
	s.text("builder", p.Run.Builder.ID)
	s.text("build_type", p.Definition.BuildType)
	s.text("invocation_id", p.Run.Metadata.ID)
	parameters := externalParameters(p.Definition.Parameters)
	s.text("entry_point", parameters.Workflow.Path)
	s.source(parameters.source(p.Definition.Dependencies.first), parameters.Workflow.Ref)
	return s.materials(p.Definition.Dependencies)
}

// source adds what was built, and from which reference.
func (s summary) source(r resource, ref string) {
	if ref == "" {
		ref = r.ref()
	}
	s.text("source", r.URI)
	s.text("source_digest", r.commit())
	s.text("ref", ref)
}

// materials adds how many there are, to provenance that says anything at all.
func (s summary) materials(r resources) error {
	if len(s) == 0 {
		return errors.New("it says nothing of the build")
	}
	s.number("materials", r.count)
	return nil
}

// parameters are the external parameters of build types that say where the source is: GitHub's workflows (actions.github.io/buildtypes/workflow/v1), the SLSA generators
// (slsa-framework.github.io/github-actions-buildtypes), BuildKit (docs/attestations/slsa-definitions.md). Those of other build types are left alone.
type parameters struct {
	Workflow struct {
		Ref        string `json:"ref"`
		Repository string `json:"repository"`
		Path       string `json:"path"`
	} `json:"workflow"`
	Source       resource `json:"source"`
	ConfigSource resource `json:"configSource"`
}

func externalParameters(b json.RawMessage) parameters {
	var p parameters
	if decode(b, &p) != nil {
		return parameters{}
	}
	return p
}

// source is what the parameters call the source, with the digest of the dependency that it resolved to; the first dependency where they do not say.
func (p parameters) source(dependencies []resource) resource {
	if repository := p.Workflow.Repository; repository != "" {
		for _, d := range dependencies {
			rest, ok := strings.CutPrefix(strings.TrimPrefix(d.URI, "git+"), repository)
			if ok && (rest == "" || rest[0] == '@') {
				return d
			}
		}
		return resource{URI: repository}
	}
	for _, r := range [...]resource{p.Source, p.ConfigSource} {
		if r.URI != "" {
			return r
		}
	}
	if len(dependencies) > 0 {
		return dependencies[0]
	}
	return resource{}
}
