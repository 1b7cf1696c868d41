package access

import "github.com/assay-registry/assay/store"

// Answer is what the reads table of semantics.md says.
type Answer int

// The answers, by the status that tells them.
const (
	Absent  Answer = iota // 404
	Refused               // 403
	Granted               // 200
)

// Thing is what is asked for.
type Thing int

// The things.
const (
	Manifest Thing = iota // by tag or digest
	Config                // a blob that some manifest references as its config
	Layer                 // any other blob
)

// Unreferenced is the row of blobs that nothing references.
const Unreferenced store.State = "unreferenced"

// Question is one cell of the reads table.
type Question struct {
	Roles    Roles
	Uploader bool // an authenticated principal that pushed this manifest (or, for a config, may read it as its uploader)
	State    store.State
	What     Thing
	Head     bool
	ByDigest bool
	HeadDeny bool // refusals.head: deny
}

// Reads is the reads table: the best that any of the roles is given. It is pure.
func Reads(q Question) Answer {
	if q.State == "" || q.State == store.StateTombstoned {
		return Absent
	}
	best := Absent
	if q.Roles.Has(RoleAdmin | RoleSign | RoleScan) {
		best = max(best, q.privileged())
	}
	if q.Roles.Has(RolePush) {
		best = max(best, q.pusher())
	}
	if q.Roles.Has(RolePull) {
		best = max(best, q.puller())
	}
	if q.Head && best == Refused && q.Roles.Has(RolePush) {
		return Absent // whoever may push never gets 403 from a HEAD: clients give up on anything but 200 and 404
	}
	return best
}

func (q Question) privileged() Answer {
	if q.State != store.StateRevoked {
		return Granted
	}
	if q.Roles.Has(RoleScan) || q.Roles.Has(RoleAdmin) && q.ByDigest {
		return Granted
	}
	return Refused
}

func (q Question) pusher() Answer {
	switch q.State {
	case store.StateExpired:
		return Absent
	case store.StateEvidence:
		return Granted
	case store.StateRevoked:
		if q.Head && q.What != Manifest {
			return Granted
		}
		if q.Head {
			return Absent
		}
		return Refused
	case Unreferenced:
		if q.Head {
			return Granted
		}
		return Absent
	}
	if q.Head || q.Uploader && q.What != Layer {
		return Granted
	}
	return Refused
}

func (q Question) puller() Answer {
	switch q.State {
	case store.StateAdmitted, store.StateEvidence:
		return Granted
	case store.StateQuarantined, store.StatePending:
		if q.Head && q.What == Manifest && !q.HeadDeny {
			return Granted
		}
		return Refused
	case store.StateRevoked:
		return Refused
	}
	return Absent
}
