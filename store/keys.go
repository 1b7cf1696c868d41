package store

import (
	"encoding/hex"
	"strings"
)

// Schema is the version of the key schema. A store of another version is refused.
//
// One ordered key space; <r> is a repository name followed by NUL, <d> a binary digest (one byte of algorithm, then the raw sum, so that no digest is a prefix of another).
//
//	!schema                 version
//	R<r>                    the repository exists
//	m<r><d>                 manifest record (record.go)
//	c<d>                    content: every manifest, and blobs of at most InlineLimit bytes
//	b<r><d>                 the blob is linked into the repository
//	g<d><kind><r>           reverse of m ('m') and b ('b'): while one is there, the content stays
//	i<d of alternate><r name> the manifest whose bytes have that digest too: its binary digest
//	r<r><d of blob><d>      that manifest references the blob; value 'c' (config) or 'l'
//	o<r><d of blob><d>      that manifest opens the blob to whoever may pull (it is admitted, or evidence)
//	p<r><d of child><d>     that index lists the child
//	t<r><tag>               tag record
//	T<r><d><tag>            a tag whose current or visible digest it is
//	h<r><tag>NUL<d>         manifests that stood under a reserved tag
//	e<r><d of subject><d>   referrer edge: the descriptor as JSON
//	x<r><d of subject><d>   what is known of that evidence: its facts
//	q<r><d>                 to be decided again
//	w<r><d>                 SBOM work
//	s<r><d>                 SBOM record
//	d<id>                   decision
//	a<time><random>         audit record
//	D<class>NUL<name>       document: users, authorities, revocations, the denial set
//	X<space>NUL<key>        the key space of another package (space.go): sbom/index; "audit" is the chain of the audit records (chain.go)
const Schema = "1"

const keySchema = "!schema"

func digestKey(d Digest) []byte { return appendDigest(make([]byte, 0, 65), d) }

func appendDigest(k []byte, d Digest) []byte {
	algorithm, encoded, _ := strings.Cut(string(d), ":")
	if algorithm == "sha512" {
		k = append(k, 2)
	} else {
		k = append(k, 1)
	}
	for i := 0; i+1 < len(encoded); i += 2 {
		k = append(k, nibble(encoded[i])<<4|nibble(encoded[i+1]))
	}
	return k
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	panic("store: a digest that was never parsed") // every Digest went through ParseDigest
}

// readDigest takes a binary digest off the front of k.
func readDigest(k []byte) (d Digest, rest []byte, ok bool) {
	if len(k) == 0 {
		return "", nil, false
	}
	n, prefix := 33, "sha256:"
	if k[0] == 2 {
		n, prefix = 65, "sha512:"
	}
	if k[0] < 1 || k[0] > 2 || len(k) < n {
		return "", nil, false
	}
	var text [7 + 2*64]byte
	copy(text[:], prefix)
	hex.Encode(text[7:], k[1:n])
	return Digest(text[:7+2*(n-1)]), k[n:], true
}

func repoKey(prefix byte, repo Name, parts ...[]byte) []byte {
	n := 2 + len(repo)
	for _, p := range parts {
		n += len(p)
	}
	k := make([]byte, 0, n)
	k = append(k, prefix)
	k = append(k, repo...)
	k = append(k, 0)
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

// itemKey is the key of what belongs to one digest in one repository.
func itemKey(prefix byte, repo Name, d Digest) []byte {
	k := make([]byte, 0, 2+len(repo)+65)
	k = append(k, prefix)
	k = append(k, repo...)
	return appendDigest(append(k, 0), d)
}

func repoOf(k []byte) (Name, []byte, bool) {
	n, rest, ok := cutRepo(k)
	return Name(n), rest, ok
}

// cutRepo is repoOf without a copy.
func cutRepo(k []byte) (repo, rest []byte, ok bool) {
	if len(k) < 2 {
		return nil, nil, false
	}
	for i, c := range k[1:] {
		if c == 0 {
			return k[1 : 1+i], k[2+i:], true
		}
	}
	return nil, nil, false
}

func contentKey(d Digest) []byte { return appendDigest(append(make([]byte, 0, 66), 'c'), d) }

func globalKey(d Digest, kind byte, repo Name) []byte {
	k := append([]byte{'g'}, digestKey(d)...)
	return append(append(k, kind), repo...)
}

func docKey(class, name string) []byte { return []byte("D" + class + "\x00" + name) }

// after is the end of the range of all keys that begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// successor is the first key after k.
func successor(k []byte) []byte { return append(append([]byte(nil), k...), 0) }
