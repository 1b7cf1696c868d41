package trust

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"strings"
)

// files are a repository in memory, by plain name.
type files map[string][]byte

// Tar reads a repository from a tar archive that was carried over an air gap, into memory: at most MaxTarEntries entries and MaxRepository bytes, in one of the layouts of
// [Directory], below "./" or not. Links, devices and names that climb out are refused, and so is a name that comes twice. Errors: ErrMalformed, ErrTooBig, ErrTooMany.
func Tar(r io.Reader) (Source, error) {
	all, total := files{}, int64(0)
	archive := tar.NewReader(r)
	for entries := 0; ; entries++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all.rooted()
		}
		if err != nil {
			return nil, failf(ErrMalformed, "", "this is not a tar archive, or it is damaged; give a plain tar (tar cf), not a compressed one: %w", err)
		}
		if entries >= MaxTarEntries {
			return nil, failf(ErrTooMany, "", "the archive has more than %d entries", MaxTarEntries)
		}
		name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if strings.Contains("/"+header.Name+"/", "/../") {
			return nil, failf(ErrMalformed, "", "the archive has the name %q, which climbs out of it", header.Name)
		}
		switch header.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg:
		default:
			return nil, failf(ErrMalformed, "", "%q in the archive is no regular file; pack the files that links point to (tar ch)", header.Name)
		}
		if header.Size < 0 || header.Size > MaxRepository-total {
			return nil, tooBig("the archive", MaxRepository)
		}
		total += header.Size
		if _, twice := all[name]; twice {
			return nil, failf(ErrMalformed, "", "the archive has %q twice", header.Name)
		}
		if all[name], err = readAll(archive, header.Name, header.Size); err != nil {
			return nil, err
		}
	}
}

// rooted moves the metadata of the layout with metadata/ to the top.
func (f files) rooted() (Source, error) {
	for _, dir := range layouts {
		if _, ok := f[path.Join(dir, "timestamp.json")]; !ok {
			continue
		}
		if dir == "" {
			return f, nil
		}
		moved := files{}
		for name, b := range f {
			if base, ok := strings.CutPrefix(name, dir+"/"); ok {
				moved[base] = b
			} else if strings.HasPrefix(name, targetsDir) {
				moved[name] = b
			}
		}
		return moved, nil
	}
	return nil, failf(ErrMalformed, "", "the archive has no timestamp.json, neither at its top nor in metadata/; pack the repository's folder itself (tar cf x.tar -C folder .)")
}

// Fetch is [Source].
func (f files) Fetch(_ context.Context, name string, limit int64) ([]byte, error) {
	b, ok := f[plainName(name)]
	if !ok {
		return nil, notFound(name)
	}
	if int64(len(b)) > limit {
		return nil, tooBig(name, limit)
	}
	return b, nil
}
