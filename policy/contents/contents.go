package contents

import (
	"context"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/ingest"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/turns"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// Options are what a Reader is made of.
type Options struct {
	Local     *store.Local
	Trust     func() *trust.Snapshot // in force now
	Findings  *findings.Reader
	Answering *turns.Queue // questions, of which the widest takes a second, and a hundred megabytes
	Reading   *turns.Queue // SBOMs that are read: each may take several times its 40 MiB
	// Refresh decides again what of a reference is in doubt.
	Refresh func(ctx context.Context, repo store.Name, ref store.Reference)
	Clock   func() time.Time
}

// Reader answers what images contain, to each caller what that caller could GET.
type Reader struct{ o Options }

// New makes a Reader.
func New(o Options) *Reader { return &Reader{o} }

func (r *Reader) now() time.Time { return r.o.Clock().UTC() }

// askInTurn answers a question about the contents of images in turn. Errors: CodeTooManyRequests.
func (r *Reader) askInTurn(ctx context.Context, p access.Principal, answer func() error) error {
	if err := r.o.Answering.Take(ctx, p.Name); err != nil {
		return err
	}
	defer r.o.Answering.Leave()
	return answer()
}

// answer reads in turn, in one view, what a question about one image takes. Errors: CodeTooManyRequests.
func (r *Reader) answer(ctx context.Context, p access.Principal, read func(store.Snapshot) error) error {
	return r.askInTurn(ctx, p, func() error { return r.o.Local.View(ctx, read) })
}

// mayGet reports whether a caller could GET a manifest: only then may it be shown what its bytes say.
func (r *Reader) mayGet(s store.Snapshot, p access.Principal, repo store.Name, rec *store.ManifestRecord) bool {
	return sight.Gets(s, r.o.Trust(), r.now(), p, repo, rec)
}

// Ref is a manifest that a question about contents names.
type Ref struct {
	Repository store.Name
	Reference  store.Reference
}

// Match is an image that a query found.
type Match struct {
	Repository store.Name             `json:"repository"`
	Digest     store.Digest           `json:"digest"`
	Origin     index.Origin           `json:"origin"`
	Packages   []index.PackageVersion `json:"packages"`
}

// Page is a page of a query's answer.
type Page struct {
	Images     []Match  `json:"images"`
	Next       string   `json:"next,omitempty"`       // the parameter after of the next page
	Pending    int      `json:"pending,omitempty"`    // images that are not in the answer yet
	Uncompared []string `json:"uncompared,omitempty"` // versions that the range could not be compared with
}

// List is what one image contains.
type List struct {
	Repository store.Name   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	*index.Entry
	Drift *contract.DriftInput `json:"drift,omitempty"` // what a client declares against what the registry found, once both are there
}

// Drift is the drift of one image.
type Drift struct {
	Repository store.Name   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	*inventory.Drift
}

// Filter restricts a query to images in some states, and to those first seen in some time. What is zero restricts nothing.
type Filter struct {
	States []store.State
	Since  time.Time // first seen then or later
	Until  time.Time // first seen before
}

// lets reports whether an image passes that stands so, whatever its last verdict said.
func (f Filter) lets(rec *store.ManifestRecord, state store.State) bool {
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
func (r *Reader) QueryContents(ctx context.Context, p access.Principal, q index.Query, filter Filter) (page index.Page, err error) {
	if err := sight.MayAsk(p); err != nil {
		return page, err
	}
	err = r.askInTurn(ctx, p, func() error {
		page, err = index.Find(ctx, r.o.Local, q, func(s store.Snapshot, i store.Item) bool {
			rec, err := s.Manifest(i.Repository, i.Digest)
			if err != nil || rec == nil {
				return false
			}
			state := sight.Standing(s, r.o.Trust(), r.now(), i.Repository, rec)
			return filter.lets(rec, state) && sight.MayGet(p, i.Repository, rec, state)
		})
		return err
	})
	return page, err
}

// Contents lists what an image contains. Of an image of several platforms, platform (os/architecture[/variant]) says which is meant. Errors: as for a GET of the
// image; CodeInvalid where a platform must be chosen; CodeNotFound where nothing is indexed.
func (r *Reader) Contents(ctx context.Context, p access.Principal, ref Ref, platform string) (list *List, err error) {
	err = r.answer(ctx, p, func(s store.Snapshot) error {
		e, err := r.contents(s, p, ref, platform)
		if err != nil {
			return err
		}
		list = &List{Repository: e.Image.Repository, Digest: e.Image.Digest, Entry: e}
		read, err := inventory.Of(s.Records, e.Image)
		if read != nil && read.Drift != nil {
			list.Drift = read.Drift.Input()
		}
		return err
	})
	return list, err
}

// entry is what one image contains.
func (r *Reader) entry(ctx context.Context, p access.Principal, ref Ref, platform string) (e *index.Entry, err error) {
	err = r.answer(ctx, p, func(s store.Snapshot) error {
		e, err = r.contents(s, p, ref, platform)
		return err
	})
	return e, err
}

// DriftContents says how what a client declares about an image differs from what the registry found in it. Errors: as for Contents; CodeNotFound where there are not both.
func (r *Reader) DriftContents(ctx context.Context, p access.Principal, ref Ref, platform string) (out *Drift, err error) {
	err = r.o.Local.View(ctx, func(s store.Snapshot) error {
		i, err := r.contentsOf(s, p, ref, platform)
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
			out = &Drift{i.Repository, i.Digest, read.Drift}
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

func (r *Reader) contents(s store.Snapshot, p access.Principal, ref Ref, platform string) (*index.Entry, error) {
	i, err := r.contentsOf(s, p, ref, platform)
	if err != nil {
		return nil, err
	}
	e, err := index.Image(s.Records, i)
	if err == nil && e == nil {
		err = ingest.Missing(i.Digest)
	}
	return e, err
}

// contentsOf finds the one image that a question about contents means, if the caller could GET it.
func (r *Reader) contentsOf(s store.Snapshot, p access.Principal, ref Ref, platform string) (store.Item, error) {
	if err := p.MayRead(ref.Repository, sight.Unknown()); err != nil {
		return store.Item{}, err
	}
	d, _, err := sight.Resolve(s, ref.Repository, ref.Reference)
	if err != nil {
		return store.Item{}, err
	}
	rec, err := s.Manifest(ref.Repository, d)
	switch {
	case err != nil:
		return store.Item{}, err
	case rec == nil || !sight.Knows(p, ref.Repository, rec):
		return store.Item{}, sight.Unknown()
	case !r.mayGet(s, p, ref.Repository, rec):
		return store.Item{}, sight.Refusal(ref.Repository, rec, ref.Reference)
	}
	if rec.Kind == store.KindIndex {
		if d, err = choosePlatform(s, d, rec, platform); err != nil {
			return store.Item{}, err
		}
		return r.contentsOf(s, p, Ref{ref.Repository, store.Reference{Digest: d}}, "")
	}
	return store.Item{Repository: ref.Repository, Digest: d}, nil
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
func (r *Reader) WhyContents(ctx context.Context, p access.Principal, ref Ref, platform, pattern, versions string) ([]index.Reason, error) {
	e, err := r.entry(ctx, p, ref, platform)
	if err != nil {
		return nil, err
	}
	var reasons []index.Reason
	err = ingest.WithDocument(ctx, r.o.Local, r.o.Reading, p.Name, e.Origin, func(inv *sbom.Inventory) (err error) {
		reasons, err = index.Why(inv, pattern, versions)
		return err
	})
	return reasons, err
}

// DiffContents says what an image contains that another does not, and the reverse.
func (r *Reader) DiffContents(ctx context.Context, p access.Principal, from, to Ref, platform string) (*index.Difference, error) {
	x, err := r.entry(ctx, p, from, platform)
	if err != nil {
		return nil, err
	}
	y, err := r.entry(ctx, p, to, platform)
	if err != nil {
		return nil, err
	}
	d := index.Diff(x, y)
	return &d, nil
}
