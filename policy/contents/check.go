package contents

import (
	"context"
	"fmt"

	"github.com/assay-registry/assay/policy/ingest"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// Check verifies the package index and, if deep, that it says what the stored documents say and that what was matched of vulnerabilities is what matching again
// finds. A document that is gone or cannot be read is a problem of its image. It reports at most limit problems.
func Check(ctx context.Context, local *store.Local, deep bool, limit int) ([]store.Problem, error) {
	if !deep {
		return index.Check(ctx, local, nil, limit)
	}
	var unreadable []store.Problem
	read := func(ctx context.Context, image store.Item, origin index.Origin) (*sbom.Inventory, error) {
		b, err := local.ReadContent(ctx, origin.Document, ingest.MaxDocument)
		if store.CodeOf(err) == store.CodeBlobUnknown {
			return nil, nil // the index says that it is gone, unless its image is, too
		}
		if err != nil {
			return nil, err
		}
		inv, _, err := ingest.Read(b)
		if err == nil {
			return inv, nil
		}
		if len(unreadable) < limit {
			unreadable = append(unreadable, store.Problem{Key: "package index " + string(image.Repository) + "@" + string(image.Digest),
				What: fmt.Sprintf("its document %s cannot be read: %s; have it made again: assay sbom retry", origin.Document, sentence.Clip(err.Error(), sentence.Max))})
		}
		return nil, index.ErrUnread
	}
	problems, err := index.Check(ctx, local, read, limit)
	problems = append(problems, unreadable[:min(len(unreadable), limit-len(problems))]...)
	if err != nil || len(problems) >= limit {
		return problems, err
	}
	more, err := vulns.Check(ctx, local, limit-len(problems))
	return append(problems, more...), err
}
