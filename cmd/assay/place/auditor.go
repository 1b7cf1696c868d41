package place

import (
	"context"
	"encoding/json"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/store"
)

// Auditor records changes of users.
func Auditor(local *store.Local) func(context.Context, policy.AuditRecord) error {
	return func(ctx context.Context, record policy.AuditRecord) error {
		text, err := json.Marshal(record)
		if err != nil {
			return err
		}
		return local.Update(ctx, func(tx *store.Txn) error {
			tx.Audit(record.At, text)
			return nil
		})
	}
}
