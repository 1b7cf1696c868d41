package doctor

import (
	"context"
	"fmt"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy"
)

// sbomsMade says what there is to do about SBOMs, as the server wrote it down last. Without such a file no server has looked.
func sbomsMade(_ context.Context, _ *cli.App, cfg *config.Config) []finding {
	const name = "sboms"
	s := place.SBOMState{SBOMProgress: &policy.SBOMProgress{}}
	kept, err := place.KeptState(cfg.Data, place.StateSBOMs, place.MaxSBOMState, &s)
	if !kept {
		return nil
	}
	if err != nil {
		return []finding{{name, broken, err.Error()}}
	}
	status, detail := fine, fmt.Sprintf("%d images wait, %d SBOMs are to be read", s.Waiting, s.Reading)
	if s.Retrying > 0 {
		status, detail = warning, fmt.Sprintf("%s, %d failed and are tried again (%s)", detail, s.Retrying, s.Reason)
	}
	if b := s.Backfill; b != nil && !b.Finished.IsZero() {
		detail += fmt.Sprintf("; the review of older images for %s is finished", b.Generator)
	} else if b != nil {
		detail += fmt.Sprintf("; the review of older images for %s saw %d manifests and queued %d images so far", b.Generator, b.Seen, b.Queued)
	}
	if s.Failed > 0 && s.First != nil {
		more := ""
		if s.More {
			more = "more than "
		}
		status = warning
		detail += fmt.Sprintf("; %s%d were given up, such as %s@%s, not %s: %s (assay sbom status lists them, assay sbom retry tries again)",
			more, s.Failed, s.First.Repository, s.First.Digest, s.First.What, s.First.Reason)
	}
	return []finding{{name, status, cli.Printable(detail + ", since " + cli.Moment(s.At))}}
}
