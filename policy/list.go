package policy

import (
	"context"
	"encoding/json"

	"github.com/assay-registry/assay/policy/access"
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

// pages are how a list is read: in growing pieces, so that a short page of a long list costs little, and at most maxExamined keys.
type pages struct{ size, left int }

func paging(limit int) *pages { return &pages{min(limit+1, maxPage), maxExamined} }

// next is the size of the next piece; 0 when enough was looked at.
func (p *pages) next() int {
	n := min(p.size, p.left)
	p.left -= n
	p.size = min(2*p.size, maxPage)
	return n
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
		from := after
		for p := paging(limit); ; {
			n := p.next()
			if n == 0 {
				page.Next = from
				return nil
			}
			names := s.RepositoryPage(from, n)
			for _, name := range names {
				if len(page.Items) == limit {
					page.Next = from
					return nil
				}
				if v.sees(s, name) {
					page.Items = append(page.Items, name)
				}
				from = string(name)
			}
			if len(names) < n {
				return nil
			}
		}
	})
	return page, err
}

func (v *view) sees(s store.Snapshot, repo store.Name) bool {
	roles := v.p.Roles(repo)
	switch {
	case !v.p.Allows(repo, access.ActionPull) && !v.p.Catalog():
		return false
	case roles.Has(access.RoleAdmin | access.RoleSign | access.RoleScan | access.RolePush):
		return true
	}
	return roles.Has(access.RolePull) && s.Opens(repo)
}

// Tags lists the tags whose manifest the caller could GET.
func (v *view) Tags(ctx context.Context, repo store.Name, after string, limit int) (store.Page[string], error) {
	var page store.Page[string]
	unknown := store.Errorf(store.CodeNameUnknown, "there is no such repository here")
	if err := v.p.MayRead(repo, unknown); err != nil {
		return page, err
	}
	limit = bounded(limit)
	err := v.list(ctx, repo, func(l *look) error {
		page = store.Page[string]{}
		if !l.s.RepositoryExists(repo) {
			return unknown
		}
		from := after
		for p := paging(limit); ; {
			n := p.next()
			if n == 0 || len(l.stale) >= batch {
				page.Next = from
				return nil
			}
			items, err := l.s.TagPage(repo, from, n)
			if err != nil {
				return err
			}
			for i := range items {
				if len(page.Items) == limit {
					page.Next = from
					return nil
				}
				l.ref = store.Reference{Tag: items[i].Name}
				if m, err := l.byTag(&items[i].TagRecord); err == nil && m != nil {
					page.Items = append(page.Items, items[i].Name)
				}
				from = items[i].Name
			}
			if len(items) < n {
				return nil
			}
		}
	})
	return page, err
}

// list has a list made of what is certain: what is in doubt is decided first. What cannot be decided is not shown, as a GET would not.
func (v *view) list(ctx context.Context, repo store.Name, fill func(*look) error) error {
	settled, err := v.a.read(ctx, func(s store.Snapshot, t *grounds) ([]store.Item, error) {
		l := look{v: v, s: s, repo: repo, t: t, now: v.a.now(), listing: true}
		err := fill(&l)
		return l.stale, err
	})
	if settled || ctx.Err() != nil {
		return err
	}
	return nil
}

// Referrers lists the referrers of a subject that the caller could GET, whether the subject is here or not.
func (v *view) Referrers(ctx context.Context, repo store.Name, subject store.Digest, artifactType, after string, limit int) (store.Page[store.Descriptor], error) {
	var page store.Page[store.Descriptor]
	if err := v.p.MayRead(repo, store.Errorf(store.CodeNameUnknown, "there is no such repository here")); err != nil {
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
	err := v.list(ctx, repo, func(l *look) (err error) {
		page, err = l.referrers(subject, artifactType, from, limit)
		return err
	})
	return page, err
}

func (l *look) referrers(subject store.Digest, artifactType string, from store.Digest, limit int) (page store.Page[store.Descriptor], err error) {
	size := 0
	for p := paging(limit); ; {
		n := p.next()
		if n == 0 || len(l.stale) >= batch {
			page.Next = string(from)
			return page, nil
		}
		edges := l.s.Edges(l.repo, subject, from, n)
		for _, e := range edges {
			var d store.Descriptor
			if err := json.Unmarshal(e.JSON, &d); err != nil {
				return page, store.Errorf(store.CodeInternal, "a referrer's record is damaged; run assay check: %w", err)
			}
			wanted := artifactType == "" || d.ArtifactType == artifactType
			if full := len(page.Items) == limit || size+len(e.JSON) > maxListed && len(page.Items) > 0; full && wanted {
				page.Next = string(from)
				return page, nil
			}
			if m, err := l.byDigest(e.Evidence, true); wanted && err == nil && m != nil {
				size += len(e.JSON) + 1
				page.Items = append(page.Items, d)
			}
			from = e.Evidence
		}
		if len(edges) < n {
			return page, nil
		}
	}
}
