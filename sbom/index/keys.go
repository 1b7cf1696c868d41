package index

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/assay-registry/assay/store"
)

// space is the name of the index's key space. In it, numbers are four bytes, big-endian:
//
//	!                          numbering: another text whenever numbers may begin anew
//	#                          counters: generation, and the next number of each kind
//	q<repository>NUL<digest>   queued: what is to become of an image, and a sum of w
//	w<repository>NUL<digest>   queued: the inventory
//	f<repository>NUL<digest>   indexed: the image's number, set and origin
//	m<image>                   the image of that number
//	k<repository>NUL<chunk>    images of a repository
//	s<sum>                     set: versions, as differences
//	r<sum><image>              an image that has the set
//	n<name>                    number of a name (a package URL without version)
//	N<name number>             the name
//	v<name number><version>NUL<sum> number of a package version; sum is of all else that tells versions apart
//	p<version number>          package version, and the chunks of images that it is in
//	l<licence in lower case>   number of a licence
//	L<licence number>          the licence
//	c<licence number><chunk>   versions that declare it
//	j<chunk><licence number>   images that hold such a version
//	i<chunk><group>            images that hold versions: the postings of 8 version numbers, of which the group is an eighth
//
// A chunk is 16,384 numbers. Postings are ordered by chunk first: a push adds to the newest chunk alone, the postings of which lie together.
const space = "sbom"

// chunkBits is the size of a chunk: at most 2 KiB as a plain bitmap.
const chunkBits = 14

// maxChunks is how many chunks there are of any 32-bit numbers: a range of keys that differ by the chunk alone has no more, and is read as a whole.
const maxChunks = 1 << (32 - chunkBits)

var keyNumbering = []byte("!")

// numberingSize is the length of that text.
const numberingSize = 32

const (
	maxName    = 448 // bytes of names and versions in keys; longer ones end in a sum of themselves
	sumSize    = 16
	maxLicense = 256
)

func chunkOf(n uint32) uint32 { return n >> chunkBits }

func numberKey(class byte, numbers ...uint32) []byte {
	k := make([]byte, 1, 1+4*len(numbers))
	k[0] = class
	for _, n := range numbers {
		k = binary.BigEndian.AppendUint32(k, n)
	}
	return k
}

// numbersIn reads the numbers of a key behind its class.
func numberIn(k []byte, place int) (uint32, bool) {
	if at := 1 + 4*place; len(k) >= at+4 {
		return binary.BigEndian.Uint32(k[at:]), true
	}
	return 0, false
}

func textKey(class byte, s string) []byte { return append([]byte{class}, s...) }

func imageKey(class byte, i store.Item) []byte {
	return append(append(append([]byte{class}, i.Repository...), 0), i.Digest...)
}

func imageIn(k []byte) (store.Item, bool) {
	repo, d, ok := strings.Cut(string(k[1:]), "\x00")
	digest, err := store.ParseDigest(d)
	return store.Item{Repository: store.Name(repo), Digest: digest}, ok && err == nil
}

func repositoryKey(repo store.Name, chunk uint32) []byte {
	return binary.BigEndian.AppendUint32(append(append([]byte{'k'}, repo...), 0), chunk)
}

func versionKey(name uint32, version string, sum []byte) []byte {
	return append(append(append(numberKey('v', name), version...), 0), sum...)
}

// upTo is the end of the range of all keys that begin with prefix, which never ends in 0xff.
func upTo(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// short makes a key out of text of any length.
func short(s string, max int) string {
	if len(s) <= max {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return strings.ToValidUTF8(s[:max-2*sumSize-1], "") + "~" + hex.EncodeToString(sum[:sumSize])
}
