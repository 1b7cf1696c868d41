package cli

import (
	"errors"
	"slices"
)

// JoinErrors is errors.Join where there is something to join: one error stays what it is, and a person reads its sentence.
func JoinErrors(errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
