package sight

import (
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// Resolve finds the digest behind a reference: the current one of a tag, which is what questions are about.
func Resolve(s store.Snapshot, repo store.Name, ref store.Reference) (store.Digest, *store.TagRecord, error) {
	if ref.Tag == "" {
		return ref.Digest, nil, nil
	}
	tag, err := s.Tag(repo, ref.Tag)
	if err != nil {
		return "", nil, err
	}
	if tag == nil {
		return "", nil, Unknown()
	}
	return tag.Current, tag, nil
}

// Knows reports whether a caller may know of a manifest: it hides what the reads table answers 404 for.
func Knows(p access.Principal, repo store.Name, rec *store.ManifestRecord) bool {
	q := access.Question{Roles: p.Roles(repo), State: rec.State, What: access.Manifest, ByDigest: true}
	return access.Reads(q) != access.Absent || rec.State == store.StateTombstoned && q.Roles.Has(access.RoleAdmin)
}

// Standing is a manifest's state as a pull of this moment takes it: what is in doubt is not admitted.
func Standing(s store.Snapshot, t *trust.Snapshot, now time.Time, repo store.Name, rec *store.ManifestRecord) store.State {
	switch {
	case rec.State == store.StateTombstoned:
		return rec.State
	case t.Revocation(repo, rec.Digest) != nil:
		return store.StateRevoked
	case rec.State == store.StateAdmitted && t.Doubtful(s.Records, now, store.Item{Repository: repo, Digest: rec.Digest}, rec.Verdict()):
		return store.StatePending
	}
	return rec.State
}

// MayGet reports whether a caller could GET a manifest that stands so: only then may it be shown what its bytes say.
func MayGet(p access.Principal, repo store.Name, rec *store.ManifestRecord, state store.State) bool {
	q := access.Question{Roles: p.Roles(repo), State: state, Uploader: Uploaded(p, rec), What: access.Manifest, ByDigest: true}
	return p.Allows(repo, access.ActionPull) && (access.Reads(q) == access.Granted || rec.State == store.StateTombstoned && q.Roles.Has(access.RoleAdmin))
}

// Gets reports whether a caller could GET a manifest at this moment.
func Gets(s store.Snapshot, t *trust.Snapshot, now time.Time, p access.Principal, repo store.Name, rec *store.ManifestRecord) bool {
	return MayGet(p, repo, rec, Standing(s, t, now, repo, rec))
}

// Uploaded reports whether a caller is among the manifest's pushers.
func Uploaded(p access.Principal, rec *store.ManifestRecord) bool {
	if !p.Authenticated() {
		return false
	}
	det, err := rec.Detail()
	return err == nil && slices.Contains(det.Pushers, p.Name)
}

// MayAsk refuses whoever has no right anywhere.
func MayAsk(p access.Principal) error {
	if !p.Authenticated() && p.Challenge && len(p.Grants) == 0 {
		return store.Errorf(store.CodeUnauthorized, "authentication is required; log in")
	}
	return nil
}
