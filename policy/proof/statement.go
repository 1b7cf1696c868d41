package proof

import (
	"maps"
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// statement is what somebody signed, however often it was attached and whatever is wrapped around it: copies are free, and count once. Logs that a copy leaves out make it
// another, and so does a certificate: one of them may be revoked.
type statement struct {
	under                                string // in the facts of one manifest: the repository that counts them, and the revision of the authority
	authority, key, issuer, name, serial string
	scheme                               verify.Scheme
	kind                                 verify.FactKind
	predicate                            string
	signed                               store.Digest
	logs                                 string
}

func statementOf(f verify.Fact) statement {
	s := statement{authority: f.Authority, key: f.KeyID, issuer: f.Issuer, name: f.Identity, serial: f.Serial, scheme: f.Scheme, kind: f.Kind, predicate: f.PredicateType, signed: f.Signed}
	if s.signed == "" { // a fact of before that was told
		s.signed = f.Layer
	}
	logs := make([]string, len(f.Logs))
	for i, l := range f.Logs {
		logs[i] = l.Log
	}
	slices.Sort(logs)
	s.logs = strings.Join(logs, " ")
	return s
}

// Statements are what somebody signed, each with the fact of it that lasts longest.
type Statements map[statement]verify.Fact

// Without takes out what others prove, too, for as long.
func (all Statements) Without(others Statements) {
	maps.DeleteFunc(all, func(s statement, f verify.Fact) bool {
		there, is := others[s]
		return is && !Longer(f, there)
	})
}

// Statements are all that a manifest proves.
func (k *Known) Statements() Statements {
	all := Statements{}
	add := func(under string, j Judged) {
		for _, f := range j.Facts {
			if !f.Verified {
				continue
			}
			s := statementOf(f)
			s.under = under + " " + j.Revision
			if known, there := all[s]; !there || Longer(f, known) {
				all[s] = f
			}
		}
	}
	for _, j := range k.Under {
		add("", j)
	}
	for repo, under := range k.Elsewhere {
		for _, j := range under {
			add(string(repo), j)
		}
	}
	return all
}
