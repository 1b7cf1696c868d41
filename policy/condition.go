package policy

import "github.com/assay-registry/assay/store"

// asked holds the tags to the condition of whoever writes them: on what HEAD tells of them to who may push.
func (w *writing) asked() error {
	in := w.in
	if in.when == nil {
		return nil
	}
	for _, name := range in.tags {
		tag, err := w.tx.Tag(in.repo, name)
		if err != nil {
			return err
		}
		var now store.Digest
		if tag != nil && tag.Current != "" {
			rec, err := w.tx.Manifest(in.repo, tag.Current)
			if err != nil {
				return err
			}
			gone := rec == nil || rec.State == store.StateTombstoned || rec.State == store.StateExpired || rec.State == store.StateRevoked
			if !gone && w.t.Revocation(in.repo, tag.Current) == nil {
				now = tag.Current
			}
		}
		if !in.when.Holds(now) {
			return store.Errorf(store.CodePrecondition, "the tag %s of %s was written by somebody else meanwhile, so nothing was stored; read it again and repeat the change", name, in.repo)
		}
	}
	return nil
}
