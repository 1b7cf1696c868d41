package policy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// ImageRef is a manifest that a question about contents names.
type ImageRef struct {
	Repository store.Name
	Reference  store.Reference
}

// ContentMatch is an image that a query found.
type ContentMatch struct {
	Repository store.Name             `json:"repository"`
	Digest     store.Digest           `json:"digest"`
	Origin     index.Origin           `json:"origin"`
	Packages   []index.PackageVersion `json:"packages"`
}

// ContentPage is a page of a query's answer.
type ContentPage struct {
	Images     []ContentMatch `json:"images"`
	Next       string         `json:"next,omitempty"`       // the parameter after of the next page
	Pending    int            `json:"pending,omitempty"`    // images that are not in the answer yet
	Uncompared []string       `json:"uncompared,omitempty"` // versions that the range could not be compared with
}

// ContentList is what one image contains.
type ContentList struct {
	Repository store.Name   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	*index.Entry
	Drift *contract.DriftInput `json:"drift,omitempty"` // what a client declares against what the registry found, once both are there
}

// ContentDrift is the drift of one image.
type ContentDrift struct {
	Repository store.Name   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	*inventory.Drift
}

// ContentFilter restricts a query to images in some states, and to those first seen in some time. What is zero restricts nothing.
type ContentFilter struct {
	States []store.State
	Since  time.Time // first seen then or later
	Until  time.Time // first seen before
}

// lets reports whether an image passes that stands so, whatever its last verdict said.
func (f ContentFilter) lets(rec *store.ManifestRecord, state store.State) bool {
	if len(f.States) > 0 && !slices.Contains(f.States, state) {
		return false
	}
	if f.Since.IsZero() && f.Until.IsZero() {
		return true
	}
	det, err := rec.Detail()
	return err == nil && !det.FirstSeen.Before(f.Since) && (f.Until.IsZero() || det.FirstSeen.Before(f.Until))
}

// QueryContents finds the images that hold packages, of those that the caller could GET and the filter lets through.
func (a *Admission) QueryContents(ctx context.Context, p access.Principal, q index.Query, filter ContentFilter) (page index.Page, err error) {
	if err := sight.MayAsk(p); err != nil {
		return page, err
	}
	err = a.askInTurn(ctx, p, func() error {
		page, err = index.Find(ctx, a.local, q, func(s store.Snapshot, i store.Item) bool {
			rec, err := s.Manifest(i.Repository, i.Digest)
			if err != nil || rec == nil {
				return false
			}
			state := sight.Standing(s, a.Trust(), a.now(), i.Repository, rec)
			return filter.lets(rec, state) && sight.MayGet(p, i.Repository, rec, state)
		})
		return err
	})
	return page, err
}

// Contents lists what an image contains. Of an image of several platforms, platform (os/architecture[/variant]) says which is meant. Errors: as for a GET of the
// image; CodeInvalid where a platform must be chosen; CodeNotFound where nothing is indexed.
func (a *Admission) Contents(ctx context.Context, p access.Principal, r ImageRef, platform string) (list *ContentList, err error) {
	err = a.answer(ctx, p, func(s store.Snapshot) error {
		e, err := a.contents(s, p, r, platform)
		if err != nil {
			return err
		}
		list = &ContentList{Repository: e.Image.Repository, Digest: e.Image.Digest, Entry: e}
		read, err := inventory.Of(s.Records, e.Image)
		if read != nil && read.Drift != nil {
			list.Drift = read.Drift.Input()
		}
		return err
	})
	return list, err
}

// entry is what one image contains.
func (a *Admission) entry(ctx context.Context, p access.Principal, r ImageRef, platform string) (e *index.Entry, err error) {
	err = a.answer(ctx, p, func(s store.Snapshot) error {
		e, err = a.contents(s, p, r, platform)
		return err
	})
	return e, err
}

// DriftContents says how what a client declares about an image differs from what the registry found in it. Errors: as for Contents; CodeNotFound where there are not both.
func (a *Admission) DriftContents(ctx context.Context, p access.Principal, r ImageRef, platform string) (out *ContentDrift, err error) {
	err = a.local.View(ctx, func(s store.Snapshot) error {
		i, err := a.contentsOf(s, p, r, platform)
		if err != nil {
			return err
		}
		read, err := inventory.Of(s.Records, i)
		if err != nil {
			return err
		}
		waits := inventory.Queued(s.Records, i) != nil
		switch {
		case read != nil && read.Drift != nil:
			out = &ContentDrift{i.Repository, i.Digest, read.Drift}
			return nil
		case waits:
			return store.Errorf(store.CodeNotFound, "the SBOMs of %s are being read; ask again in a moment", i.Digest)
		case read == nil || read.Declared == "":
			return store.Errorf(store.CodeNotFound, "nobody declared what is in %s: no SBOM is attached to it but the registry's own, if any", i.Digest)
		case read.Failed != "":
			return store.Errorf(store.CodeNotFound, "the SBOMs of %s cannot be compared: %s", i.Digest, read.Failed)
		}
		return store.Errorf(store.CodeNotFound, "the registry has made no SBOM of %s, so that there is nothing to hold the declared one against; it makes one when the image is admitted", i.Digest)
	})
	return out, err
}

func (a *Admission) contents(s store.Snapshot, p access.Principal, r ImageRef, platform string) (*index.Entry, error) {
	i, err := a.contentsOf(s, p, r, platform)
	if err != nil {
		return nil, err
	}
	e, err := index.Image(s.Records, i)
	if err == nil && e == nil {
		err = inventory.Missing(i.Digest)
	}
	return e, err
}

// contentsOf finds the one image that a question about contents means, if the caller could GET it.
func (a *Admission) contentsOf(s store.Snapshot, p access.Principal, r ImageRef, platform string) (store.Item, error) {
	if err := p.MayRead(r.Repository, sight.Unknown()); err != nil {
		return store.Item{}, err
	}
	d, _, err := sight.Resolve(s, r.Repository, r.Reference)
	if err != nil {
		return store.Item{}, err
	}
	rec, err := s.Manifest(r.Repository, d)
	switch {
	case err != nil:
		return store.Item{}, err
	case rec == nil || !sight.Knows(p, r.Repository, rec):
		return store.Item{}, sight.Unknown()
	case !a.mayGet(s, p, r.Repository, rec):
		return store.Item{}, sight.Refusal(r.Repository, rec, r.Reference)
	}
	if rec.Kind == store.KindIndex {
		if d, err = choosePlatform(s, d, rec, platform); err != nil {
			return store.Item{}, err
		}
		return a.contentsOf(s, p, ImageRef{r.Repository, store.Reference{Digest: d}}, "")
	}
	return store.Item{Repository: r.Repository, Digest: d}, nil
}

// choosePlatform finds the one image of an index that is meant.
func choosePlatform(s store.Snapshot, d store.Digest, rec *store.ManifestRecord, platform string) (store.Digest, error) {
	p, err := store.ParseManifest(rec.MediaType, s.Content(d))
	if err != nil {
		return "", err
	}
	var found []store.Digest
	names := ""
	for _, m := range p.Manifests {
		if m.Platform == nil || m.Platform.OS == "unknown" || m.MediaType == store.TypeIndex || m.MediaType == store.TypeDockerList {
			continue
		}
		name := m.Platform.OS + "/" + m.Platform.Architecture
		if m.Platform.Variant != "" {
			name += "/" + m.Platform.Variant
		}
		if names += " " + name; platform == "" || name == platform {
			found = append(found, m.Digest)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", store.Errorf(store.CodeNotFound, "the image has no platform %.60q; it has%s", platform, names)
	}
	return "", store.Errorf(store.CodeInvalid, "the image has several platforms; choose one:%s", names)
}

// WhyContents says where a package was found and what needs it, from the document that the index was made of.
func (a *Admission) WhyContents(ctx context.Context, p access.Principal, r ImageRef, platform, pattern, versions string) ([]index.Reason, error) {
	e, err := a.entry(ctx, p, r, platform)
	if err != nil {
		return nil, err
	}
	var reasons []index.Reason
	err = inventory.WithDocument(ctx, a.local, a.reading, p.Name, e.Origin, func(inv *sbom.Inventory) (err error) {
		reasons, err = index.Why(inv, pattern, versions)
		return err
	})
	return reasons, err
}

// DiffContents says what an image contains that another does not, and the reverse.
func (a *Admission) DiffContents(ctx context.Context, p access.Principal, from, to ImageRef, platform string) (*index.Difference, error) {
	x, err := a.entry(ctx, p, from, platform)
	if err != nil {
		return nil, err
	}
	y, err := a.entry(ctx, p, to, platform)
	if err != nil {
		return nil, err
	}
	d := index.Diff(x, y)
	return &d, nil
}

// CheckContents verifies the package index and, if deep, that it says what the stored documents say and that what was matched of vulnerabilities is what matching again
// finds. A document that is gone or cannot be read is a problem of its image. It reports at most limit problems.
func CheckContents(ctx context.Context, local *store.Local, deep bool, limit int) ([]store.Problem, error) {
	if !deep {
		return index.Check(ctx, local, nil, limit)
	}
	var unreadable []store.Problem
	read := func(ctx context.Context, image store.Item, origin index.Origin) (*sbom.Inventory, error) {
		b, err := local.ReadContent(ctx, origin.Document, inventory.MaxDocument)
		if store.CodeOf(err) == store.CodeBlobUnknown {
			return nil, nil // the index says that it is gone, unless its image is, too
		}
		if err != nil {
			return nil, err
		}
		inv, _, err := inventory.Read(b)
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
