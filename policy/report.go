package policy

import (
	"time"

	"github.com/assay-registry/assay/store"
)

// AuditRecord is one state transition, or one write refused to a principal with a writing role.
type AuditRecord struct {
	At         time.Time    `json:"at"`
	Actor      string       `json:"actor"`
	Action     string       `json:"action"` // push, evidence, delete, revoke, lift, restore, expire, reevaluate, refuse, trust, user
	Repository store.Name   `json:"repository,omitempty"`
	Digest     store.Digest `json:"digest,omitempty"`
	Tag        string       `json:"tag,omitempty"`
	From       store.State  `json:"from,omitempty"`
	To         store.State  `json:"to,omitempty"`
	Decision   string       `json:"decision,omitempty"`
	Reason     string       `json:"reason,omitempty"`
	// By is the other manifest that came or went, such as evidence, where the change of state followed from that.
	By store.Digest `json:"by,omitempty"`
}
