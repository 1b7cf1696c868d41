package proof

import (
	"encoding/json"
	"strconv"

	"github.com/assay-registry/assay/store"
)

// MaxUnverified is how many evidence manifests that add nothing are kept for one subject (semantics.md, "Evidence").
const MaxUnverified = 64

// classUnproven counts, for each subject, the evidence manifests of which facts are kept that prove nothing, or nothing new: an arrival does not read all the others.
const classUnproven = "unproven"

func unprovenName(repo store.Name, subject store.Digest) string {
	return string(repo) + "@" + string(subject)
}

// Unproven is how many evidence manifests are counted for a subject that add nothing.
func Unproven(tx *store.Txn, repo store.Name, subject store.Digest) int {
	n, err := strconv.Atoi(string(tx.Doc(classUnproven, unprovenName(repo, subject))))
	if err != nil {
		return 0
	}
	return n
}

// Put keeps the facts. counted says that these were counted as idle before.
func Put(tx *store.Txn, repo store.Name, subject, evidence store.Digest, k *Known, counted bool) {
	b, err := json.Marshal(k)
	if err != nil {
		panic("proof: facts that do not marshal") // strings, times and decoded JSON
	}
	tx.PutFacts(repo, subject, evidence, b)
	countUnproven(tx, repo, subject, counted, k.Idle())
}

// Drop forgets what a manifest proved of a subject.
func Drop(tx *store.Txn, repo store.Name, subject, evidence store.Digest) {
	b := tx.Fact(repo, subject, evidence)
	if b == nil {
		return
	}
	k, err := Decode(evidence, b)
	tx.DropFacts(repo, subject, evidence)
	countUnproven(tx, repo, subject, err == nil && k.Idle(), false)
}

func countUnproven(tx *store.Txn, repo store.Name, subject store.Digest, was, is bool) {
	n := Unproven(tx, repo, subject)
	switch {
	case is && !was:
		n++
	case was && !is:
		n--
	default:
		return
	}
	if n <= 0 {
		tx.DeleteDoc(classUnproven, unprovenName(repo, subject))
	} else {
		tx.PutDoc(classUnproven, unprovenName(repo, subject), []byte(strconv.Itoa(n)))
	}
}
