package policy

import (
	"context"
	"encoding/json"

	"github.com/assay-registry/assay/store"
)

// Limits of a page: entries, and keys that are looked at to fill it.
const (
	maxPage     = 1000
	maxExamined = 10_000
	maxListed   = 4<<20 - 64<<10 // bytes of descriptors in a page of referrers: the index with them stays within a manifest's 4 MiB
)

func bounded(limit int) int {
	if limit <= 0 || limit > maxPage {
		return maxPage
	}
	return limit
}

// Repositories lists those in which the caller has a reading role and, if that is only pull, something to read.
func (v *view) Repositories(ctx context.Context, after string, limit int) (store.Page[store.Name], error) {
	var page store.Page[store.Name]
	if !v.p.Authenticated() && v.p.Challenge && len(v.p.Grants) == 0 {
		return page, store.Errorf(store.CodeUnauthorized, "authentication is required to list repositories")
	}
	limit = bounded(limit)
	err := v.a.local.View(ctx, func(s store.Snapshot) error {
		page = store.Page[store.Name]{}
		names := s.RepositoryPage(after, maxExamined)
		for i, n := range names {
			if len(page.Items) == limit {
				page.Next = string(names[i-1])
				return nil
			}
			if v.sees(s, n) {
				page.Items = append(page.Items, n)
			}
		}
		if len(names) == maxExamined {
			page.Next = string(names[len(names)-1])
		}
		return nil
	})
	return page, err
}

func (v *view) sees(s store.Snapshot, repo store.Name) bool {
	roles := v.p.Roles(repo)
	switch {
	case !v.p.Allows(repo, ActionPull) && !v.p.catalog():
		return false
	case roles.Has(RoleAdmin | RoleSign | RoleScan | RolePush):
		return true
	}
	return roles.Has(RolePull) && s.Opens(repo)
}

// catalog reports whether a token was issued for the catalog.
func (p Principal) catalog() bool {
	for _, s := range p.Scopes {
		if s.Repository == "" && s.Actions&ActionCatalog != 0 {
			return true
		}
	}
	return false
}

// Tags lists the tags whose manifest the caller could GET.
func (v *view) Tags(ctx context.Context, repo store.Name, after string, limit int) (store.Page[string], error) {
	var page store.Page[string]
	unknown := store.Errorf(store.CodeNameUnknown, "there is no such repository here")
	if err := v.mayRead(repo, unknown); err != nil {
		return page, err
	}
	limit = bounded(limit)
	err := v.a.local.View(ctx, func(s store.Snapshot) error {
		page = store.Page[string]{}
		if !s.RepositoryExists(repo) {
			return unknown
		}
		items, err := s.TagPage(repo, after, maxExamined)
		if err != nil {
			return err
		}
		for i := range items {
			if len(page.Items) == limit {
				page.Next = items[i-1].Name
				return nil
			}
			l := look{v: v, s: s, repo: repo, ref: store.Reference{Tag: items[i].Name}, t: v.a.trust.Load(), now: v.a.now(), listing: true}
			if m, err := l.byTag(&items[i].TagRecord); err == nil && m != nil {
				page.Items = append(page.Items, items[i].Name)
			}
		}
		if len(items) == maxExamined {
			page.Next = items[len(items)-1].Name
		}
		return nil
	})
	return page, err
}

// Referrers lists the referrers of a subject that the caller could GET, whether the subject is here or not.
func (v *view) Referrers(ctx context.Context, repo store.Name, subject store.Digest, artifactType, after string, limit int) (store.Page[store.Descriptor], error) {
	var page store.Page[store.Descriptor]
	if err := v.mayRead(repo, store.Errorf(store.CodeNameUnknown, "there is no such repository here")); err != nil {
		return page, err
	}
	from := store.Digest("")
	if after != "" {
		d, err := store.ParseDigest(after)
		if err != nil {
			return page, err
		}
		from = d
	}
	limit = bounded(limit)
	err := v.a.local.View(ctx, func(s store.Snapshot) error {
		l := look{v: v, s: s, repo: repo, t: v.a.trust.Load(), now: v.a.now(), listing: true}
		var err error
		page, err = l.referrers(subject, artifactType, from, limit)
		return err
	})
	return page, err
}

func (l *look) referrers(subject store.Digest, artifactType string, after store.Digest, limit int) (page store.Page[store.Descriptor], err error) {
	edges := l.s.Edges(l.repo, subject, after, maxExamined)
	size := 0
	for i, e := range edges {
		var d store.Descriptor
		if err := json.Unmarshal(e.JSON, &d); err != nil {
			return page, store.Errorf(store.CodeInternal, "a referrer's record is damaged; run assay check: %w", err)
		}
		if artifactType != "" && d.ArtifactType != artifactType {
			continue
		}
		if m, err := l.byDigest(e.Evidence, true); err != nil || m == nil {
			continue
		}
		if len(page.Items) == limit || size+len(e.JSON) > maxListed && len(page.Items) > 0 {
			page.Next = string(edges[i-1].Evidence)
			return page, nil
		}
		size += len(e.JSON) + 1
		page.Items = append(page.Items, d)
	}
	if len(edges) == maxExamined {
		page.Next = string(edges[len(edges)-1].Evidence)
	}
	return page, nil
}
