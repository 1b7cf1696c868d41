package policy

import "github.com/assay-registry/assay/store"

// cause is who or what a change is for, in the audit record, and by which manifest that came or went.
type cause struct {
	actor, action string
	by            store.Digest
}

// record is an audit record of a change of d that this is the cause of.
func (c cause) record(d store.Digest) AuditRecord {
	r := AuditRecord{Actor: c.actor, Action: c.action}
	if c.by != d {
		r.By = c.by
	}
	return r
}
