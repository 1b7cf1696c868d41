package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// published is what TUF repositories say, for compiling the policies that come from them; nil where a repository said nothing yet, or what it said ran out.
type published func(authority string) *verify.TUFState

// inForce leaves out what has expired, unless the authority is to go on with a warning.
func inForce(states published, authorities []verify.Authority, now time.Time) published {
	return func(name string) *verify.TUFState {
		s := states(name)
		if s == nil || now.Before(s.Expires) {
			return s
		}
		for _, a := range authorities {
			if a.Name == name && a.TUF != nil && a.TUF.Expired == "warn" {
				return s
			}
		}
		return nil
	}
}

// dataFile holds parameters, by the name of the policy in the configuration.
const dataFile = "data.json"

// fromTUF fills a policy with the modules that a TUF repository publishes, and with the parameters of its data.json, over which those of the configuration win.
func fromTUF(p *engine.Policy, authority string, states published) error {
	var s *verify.TUFState
	if states != nil {
		s = states(authority)
	}
	p.Source = map[string]string{}
	if s == nil {
		p.Source, p.Params = absentPolicy(authority), nil
		return nil
	}
	for name, text := range s.Policies {
		if strings.HasSuffix(name, ".rego") {
			p.Source[name] = string(text)
		}
	}
	if len(p.Source) == 0 {
		p.Source, p.Params = absentPolicy(authority), nil
		return nil
	}
	data, ok := s.Policies[dataFile]
	if !ok {
		return nil
	}
	if err := store.StrictJSON(data); err != nil {
		return fmt.Errorf("policies/%s of the TUF repository of %s: %w", dataFile, authority, err)
	}
	var params map[string]map[string]any
	if err := json.Unmarshal(data, &params); err != nil {
		return fmt.Errorf("policies/%s of the TUF repository of %s is no object of parameters by policy name: %w", dataFile, authority, err)
	}
	merged := maps.Clone(params[p.Name])
	if merged == nil {
		merged = map[string]any{}
	}
	maps.Copy(merged, p.Params)
	p.Params = merged
	return nil
}

// absentPolicy refuses everything: what a repository would allow is not known.
func absentPolicy(authority string) map[string]string {
	refusal := fmt.Sprintf(`contains {"code": "tuf.policies", "msg": "The policies that the TUF repository of %[1]s publishes are not there, or have expired.", "remedy": "an administrator runs: assay trust update %[1]s"}`, authority)
	return map[string]string{"absent.rego": fmt.Sprintf("package assay\n\npush.deny %[1]s\n\nadmit.deny %[1]s\n\ntag.deny %[1]s\n", refusal)}
}
