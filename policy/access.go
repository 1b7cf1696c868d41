package policy

import (
	"github.com/assay-registry/assay/store"
)

// answer is what the reads table of semantics.md says.
type answer int

const (
	absent  answer = iota // 404
	refused               // 403
	granted               // 200
)

// thing is what is asked for.
type thing int

const (
	aManifest thing = iota
	aConfig         // a blob that some manifest references as its config
	aLayer          // any other blob
)

// stateUnreferenced is the row of blobs that nothing references.
const stateUnreferenced store.State = "unreferenced"

// question is one cell of the reads table.
type question struct {
	roles    Roles
	uploader bool // an authenticated principal that pushed this manifest (or, for a config, may read it as its uploader)
	state    store.State
	what     thing
	head     bool
	byDigest bool
	headDeny bool // refusals.head: deny
}

// access is the reads table: the best that any of the roles is given. It is pure.
func access(q question) answer {
	if q.state == "" || q.state == store.StateTombstoned {
		return absent
	}
	best := absent
	if q.roles.Has(RoleAdmin | RoleSign | RoleScan) {
		best = max(best, q.privileged())
	}
	if q.roles.Has(RolePush) {
		best = max(best, q.pusher())
	}
	if q.roles.Has(RolePull) {
		best = max(best, q.puller())
	}
	if q.head && best == refused && q.roles.Has(RolePush) {
		return absent // whoever may push never gets 403 from a HEAD: clients give up on anything but 200 and 404
	}
	return best
}

func (q question) privileged() answer {
	if q.state != store.StateRevoked {
		return granted
	}
	if q.roles.Has(RoleScan) || q.roles.Has(RoleAdmin) && q.byDigest {
		return granted
	}
	return refused
}

func (q question) pusher() answer {
	switch q.state {
	case store.StateExpired:
		return absent
	case store.StateEvidence:
		return granted
	case store.StateRevoked:
		if q.head && q.what != aManifest {
			return granted
		}
		if q.head {
			return absent
		}
		return refused
	case stateUnreferenced:
		if q.head {
			return granted
		}
		return absent
	}
	if q.head || q.uploader && q.what != aLayer {
		return granted
	}
	return refused
}

func (q question) puller() answer {
	switch q.state {
	case store.StateAdmitted, store.StateEvidence:
		return granted
	case store.StateQuarantined, store.StatePending:
		if q.head && q.what == aManifest && !q.headDeny {
			return granted
		}
		return refused
	case store.StateRevoked:
		return refused
	}
	return absent
}

// may refuses a caller without any of the roles, or whose token lacks the action, before anything else is looked at.
// It cannot tell "no right" from "not there" to readers.
func (v *view) may(repo store.Name, roles Roles, action Actions, missing error) error {
	if v.p.Roles(repo).Has(roles) && v.p.Allows(repo, action) {
		return nil
	}
	if !v.p.Authenticated() && v.p.Challenge {
		return store.Errorf(store.CodeUnauthorized, "authentication is required; log in with credentials that have a right on this repository")
	}
	return missing
}

func (v *view) mayRead(repo store.Name, missing error) error {
	return v.may(repo, rolesReading|RolePush, ActionPull, missing)
}

func (v *view) mayWrite(repo store.Name, roles Roles) error {
	return v.may(repo, roles, ActionPush, store.Errorf(store.CodeDenied, "you may not write to %s; ask for the role push there", repo))
}

func unknownManifest() error {
	return store.Errorf(store.CodeManifestUnknown, "there is no such manifest here")
}

func unknownBlob() error { return store.Errorf(store.CodeBlobUnknown, "there is no such blob here") }
