package serve

import (
	"time"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy/vsa"
	"github.com/assay-registry/assay/verify"
)

// verdicts are the options of summaries.
func verdicts(cfg *config.Config, keys *place.Keyring, release string) (vsa.Options, error) {
	id, err := verify.KeyID(keys.Verdict.Public())
	if err != nil {
		return vsa.Options{}, err
	}
	o := vsa.Options{Key: keys.Verdict, All: cfg.Verdicts.Attest == "all", Verifier: cfg.VerifierOf("urn:assay:" + id), Host: cfg.Host(), Version: release,
		Validity: time.Duration(cfg.Verdicts.Validity)}
	for _, l := range cfg.Verdicts.Levels {
		o.Levels = append(o.Levels, vsa.Level{Authority: l.Authority, Level: l.Level})
	}
	return o, nil
}
