package rules

import (
	"fmt"
	"time"

	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/verify"
)

// Published is what TUF repositories say, for compiling the policies that come from them; nil where a repository said nothing yet, or what it said ran out.
type Published func(authority string) *verify.TUFState

// InForce leaves out what has expired, unless the authority is to go on with a warning.
func InForce(states Published, authorities []verify.Authority, now time.Time) Published {
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

// fromTUF fills a policy with the modules that a TUF repository publishes, and with the parameters of its data.json, over which those of the configuration win.
func fromTUF(p *engine.Policy, authority string, states Published) error {
	var s *verify.TUFState
	if states != nil {
		s = states(authority)
	}
	files := map[string]string{}
	if s != nil {
		for name, text := range s.Policies {
			files[name] = string(text)
		}
	}
	if err := Fill(p, files, "the TUF repository of "+authority); err != nil {
		return err
	}
	if len(p.Source) == 0 {
		p.Source, p.Params = absentPolicy(authority), nil
	}
	return nil
}

// absentPolicy refuses everything: what a repository would allow is not known.
func absentPolicy(authority string) map[string]string {
	return refusing("tuf.policies", fmt.Sprintf("The policies that the TUF repository of %s publishes are not there, or have expired.", authority), "an administrator runs: assay trust update "+authority)
}
