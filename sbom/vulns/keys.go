package vulns

import (
	"encoding/binary"
	"strings"

	"github.com/assay-registry/assay/sbom/advisory"
	"github.com/assay-registry/assay/sbom/ecosystem"
)

// space is the name of the key space. In it, NUL separates texts, numbers are big-endian, and (cell) is a value with its generation, see cell.go:
//
//	#                                  state: the generation that readers see, and the one that an import is writing
//	@                                  cursor: up to which package version is matched; the next number of the outbox
//	b<name>                            a database
//	a<database><id>                    (cell) an advisory
//	l<identifier>NUL<database><id>     an advisory that goes by that identifier, perhaps: the advisory decides
//	n<ecosystem>NUL<name>NUL<release>NUL<database>   (cell) entry: what the database says about a name
//	c<chunk>                           of 4,096 package versions: of which class those are that are matched, and which of them have a record f
//	p<version>                         a matched package version: what it is looked up by, and its class
//	v<ecosystem>NUL<name>NUL<version>  a package version that is looked up by that name
//	f<version>                         (cell) what was found for a package version, or that it is too much to be kept; none where nothing was
//	i<repository>NUL<digest>           what decisions read of an image, see Summary
//	e<year><block>                     (cell) EPSS of the CVE numbers of a block
//	k<year>                            (cell) known exploited vulnerabilities of a year
//	j<number>                          journal: cells that an import wrote, until they are settled
//	d<number>                          outbox: package versions whose findings changed, until a listener took them
//
// A database is two bytes, a package version (index.ID) four, a year two, a block four, and the numbers of journal and outbox eight.
const space = "vulns"

func namePrefix(k ecosystem.Key, class byte) []byte {
	b := make([]byte, 0, 16+len(k.Base)+len(k.Name))
	return append(append(append(append(append(b, class), k.Base...), 0), k.Name...), 0)
}

func entryPrefix(k ecosystem.Released) []byte {
	return append(append(namePrefix(k.Key, 'n'), k.Release...), 0)
}

func entryOf(k ecosystem.Released, db uint16) []byte {
	return binary.BigEndian.AppendUint16(entryPrefix(k), db)
}

// entryIn reads the key of an entry.
func entryIn(key []byte) (k ecosystem.Released, db uint16, ok bool) {
	if len(key) < 3 {
		return k, 0, false
	}
	part := strings.Split(string(key[1:len(key)-2]), "\x00")
	if len(part) != 4 || part[3] != "" {
		return k, 0, false
	}
	return ecosystem.Released{Key: ecosystem.Key{Base: part[0], Name: part[1]}, Release: part[2]}, binary.BigEndian.Uint16(key[len(key)-2:]), true
}

func versionKey(class byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{class}, id)
}

func namedVersion(k ecosystem.Key, id uint32) []byte {
	return binary.BigEndian.AppendUint32(namePrefix(k, 'v'), id)
}

func advisoryKey(db uint16, id string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{'a'}, db), id...)
}

func linkPrefix(name string) []byte {
	return append(append([]byte{'l'}, strings.ToUpper(name)...), 0)
}

func linkKey(name string, db uint16, id string) []byte {
	return append(binary.BigEndian.AppendUint16(linkPrefix(name), db), id...)
}

// linkIn reads the key of a link.
func linkIn(key []byte) (name string, a advisory.ID, ok bool) {
	name, rest, ok := strings.Cut(string(key[1:]), "\x00")
	if !ok || len(rest) < 3 {
		return "", a, false
	}
	return name, advisory.ID{DB: binary.BigEndian.Uint16([]byte(rest)), ID: rest[2:]}, true
}

func sequenceKey(class byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{class}, n)
}

// tail4 is the number at the end of a key.
func tail4(key []byte) uint32 { return binary.BigEndian.Uint32(key[len(key)-4:]) }

// upTo is the end of the range of all keys that begin with prefix.
func upTo(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func side(b bool) int {
	if b {
		return 1
	}
	return 0
}
