package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The files of a database of grype, in its archive and where it is installed.
const (
	databaseFile = "vulnerability.db"
	importFile   = "import.json"
	// maxImport is the most bytes of an import.json.
	maxImport = 64 << 10
	// maxArchiveEntries is how many files an archive may have: there are two.
	maxArchiveEntries = 64
)

// grypeLimits bound what a database may cost, whatever it claims to be.
type grypeLimits struct {
	database        int64 // bytes, unpacked
	vulnerabilities int   // rows of vulnerability_handles
	handles         int   // rows of affected_package_handles and of unaffected_package_handles
	names           int   // rows of packages, of epss_handles and the like
	blob            int   // bytes of one document
	affected        int   // entries of one advisory
	line            int   // bytes of one advisory
}

func defaultGrypeLimits(scratch int64) grypeLimits {
	return grypeLimits{database: scratch, vulnerabilities: 4 << 20, handles: 24 << 20, names: 4 << 20, blob: 4 << 20, affected: 20_000, line: 4 << 20}
}

// sqliteMagic begins every SQLite database (sqlite.org, "Database File Format", 1.3).
const sqliteMagic = "SQLite format 3\x00"

// unpack gives the database: the file itself, or what is in the archive by which it is distributed. checked says by what it was found to be whole.
func (g grypeFiles) unpack(ctx context.Context, l grypeLimits) (db *os.File, checked string, err error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(g.file, head)
	if err != nil && err != io.ErrUnexpectedEOF {
		return nil, "", refuse("the file is empty or cannot be read; name a vulnerability.db of grype, or its archive (.tar.zst, .tar.gz)")
	}
	if _, err := g.file.Seek(0, io.SeekStart); err != nil {
		return nil, "", err
	}
	if head = head[:n]; bytes.HasPrefix(head, []byte(sqliteMagic)) {
		checked, err = checkGrype(g.file, g.beside)
		return g.file, checked, err
	}
	archive, err := decompress(g.file, head)
	if err != nil {
		return nil, "", err
	}
	defer archive.Close()
	metadata, err := untarGrype(ctx, archive, g.room, l)
	if err != nil {
		return nil, "", err
	}
	checked, err = checkGrype(g.room, metadata)
	return g.room, checked, err
}

// decompress tells an archive by its first bytes.
func decompress(r io.Reader, head []byte) (io.ReadCloser, error) {
	switch {
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, refuse("the archive is damaged: %v", err)
		}
		return z, nil
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return io.NopCloser(r), nil
	case bytes.HasPrefix(head, []byte("\xfd7zXZ")):
		return nil, refuse("archives of xz are not read; unpack it first, and name its vulnerability.db")
	}
	return nil, refuse("this is neither a database of grype nor its archive; name a vulnerability.db, or the .tar.zst or .tar.gz that it comes in")
}

// untarGrype unpacks the database into db, and reads the import.json if there is one. Other files are passed over.
func untarGrype(ctx context.Context, r io.Reader, db io.Writer, l grypeLimits) (metadata []byte, err error) {
	t, found := tar.NewReader(r), false
	for n := 0; ; n++ {
		h, err := t.Next()
		switch {
		case err == io.EOF && !found:
			return nil, refuse("there is no %s in the archive; is it one of grype's?", databaseFile)
		case err == io.EOF:
			return metadata, nil
		case err != nil:
			return nil, refuse("the archive is damaged: %v", err)
		case n >= maxArchiveEntries:
			return nil, refuse("the archive has more than %d files; one of grype's has two", maxArchiveEntries)
		case h.Typeflag != tar.TypeReg:
			continue
		}
		switch name := path.Base(path.Clean(h.Name)); {
		case name == databaseFile && found, name == importFile && metadata != nil:
			return nil, refuse("the archive holds %s twice", name)
		case name == databaseFile && h.Size > l.database:
			return nil, refuse("the database in the archive has %d bytes; at most %d are read", h.Size, l.database)
		case name == databaseFile:
			found = true
			err = copyWhile(ctx, db, t)
		case name == importFile:
			metadata, err = io.ReadAll(io.LimitReader(t, maxImport))
		}
		if err != nil {
			return nil, refuse("the archive is damaged: %v", err)
		}
	}
}

// copyWhile copies until ctx ends.
func copyWhile(ctx context.Context, to io.Writer, from io.Reader) error {
	for ctx.Err() == nil {
		if _, err := io.CopyN(to, from, 16<<20); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// checkGrype compares a database with the digest that its import.json states: xxh64 and 16 hexadecimal digits.
func checkGrype(db *os.File, metadata []byte) (string, error) {
	if metadata == nil {
		return "", nil
	}
	var m struct {
		Digest string `json:"digest"`
	}
	if err := json.Unmarshal(metadata, &m); err != nil {
		return "", refuse("the %s of the database is no JSON, so that nobody knows whether it is whole", importFile)
	}
	want, ok := strings.CutPrefix(m.Digest, "xxh64:")
	if !ok {
		return "", refuse("the %s of the database states the digest %.60q; only xxh64 is known", importFile, m.Digest)
	}
	if _, err := db.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h := xxhash.New()
	if _, err := io.Copy(h, db); err != nil {
		return "", err
	}
	if have := hex.EncodeToString(h.Sum(nil)); have != want {
		return "", refuse("the database is not the one that its %s describes: it has the digest xxh64:%s in place of %.60s; fetch it again", importFile, have, m.Digest)
	}
	return fmt.Sprintf("%s (%s)", importFile, m.Digest), nil
}
