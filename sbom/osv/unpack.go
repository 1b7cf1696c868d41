package osv

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/assay-registry/assay/store"
)

// Unpacking is what a file holds, unpacked. Its errors are CodeInvalid where the file is damaged or truncated, or unpacks to too much.
type Unpacking struct {
	name  string
	r     io.Reader
	in    *counting  // nil: not packed
	parts func() int // members of gzip, frames of zstd, until now
	ended bool
	n     int64
	max   int64
}

// Unpack reads gzip and zstd by their first bytes. What unpacks to more than max bytes, or much more than it is long, is an error.
func Unpack(name string, r io.Reader, max int64) (*Unpacking, error) {
	in := &counting{r: r}
	buffered := bufio.NewReaderSize(in, 64<<10)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	out := &Unpacking{name: name, in: in, max: max}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z := &members{r: buffered, z: new(gzip.Reader)}
		err = z.next()
		out.r, out.parts = z, func() int { return z.n }
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		f := &frames{r: buffered}
		out.r, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)) // without goroutines that somebody would have to end
		out.parts = func() int { return f.n }
	default:
		out.r, out.in, err = buffered, nil, nil
	}
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "%s cannot be unpacked: %w", name, err)
	}
	return out, nil
}

// Whole reports, at the end, whether the sum or the last block there proves that nothing is missing. Each member of gzip and each frame of zstd ends so, and nothing tells how many there should be: of a file with several
// a part that was cut off between two of them is no less sound, so only one proves it.
func (u *Unpacking) Whole() bool { return u.in != nil && u.ended && u.parts() == 1 }

// Read is [io.Reader].
func (u *Unpacking) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.n += int64(n)
	if u.n > u.max || u.in != nil && u.n > ratioFree && u.n/maxRatio > u.in.n {
		return n, store.Errorf(store.CodeInvalid, "%s has more than %d bytes, unpacked, or %d times its size; import it in parts, if it is what it should be", u.name, u.max, maxRatio)
	}
	if errors.Is(err, io.EOF) {
		u.ended = true
	} else if err != nil && store.CodeOf(err) != store.CodeInvalid {
		err = store.Errorf(store.CodeInvalid, "%s ends too soon or is damaged; fetch it again: %w", u.name, err)
	}
	return n, err
}

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// members unpacks the members of a gzip file (RFC 1952, 2.2) and counts them.
type members struct {
	r *bufio.Reader
	z *gzip.Reader
	n int
}

func (m *members) next() error {
	err := m.z.Reset(m.r)
	m.z.Multistream(false)
	m.n++
	return err
}

func (m *members) Read(p []byte) (int, error) {
	n, err := m.z.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if _, err := m.r.Peek(1); err != nil {
		return n, err // io.EOF at the end of the file
	}
	return n, m.next()
}

// frames passes a zstd file on and counts its frames (RFC 8878, 3.1), by their headers and those of their blocks. What it does not understand it passes on as well: the decoder says what is wrong.
type frames struct {
	r    *bufio.Reader
	n    int
	left int64 // bytes until the next header
	next byte  // whose header that is
	sum  bool  // the frame ends in one
}

const (
	headFrame = iota
	headBlock
	headNone
)

func (f *frames) Read(p []byte) (int, error) {
	for f.left == 0 && f.next != headNone {
		f.head()
	}
	if f.left > 0 {
		p = p[:min(int64(len(p)), f.left)]
	}
	n, err := f.r.Read(p)
	f.left -= min(int64(n), f.left)
	return n, err
}

// head reads the next header, without taking it.
func (f *frames) head() {
	if f.next == headBlock {
		b, err := f.r.Peek(3)
		if err != nil {
			f.next = headNone
			return
		}
		size := int64(b[0])>>3 | int64(b[1])<<5 | int64(b[2])<<13
		if b[0]>>1&3 == 1 { // one byte, repeated
			size = 1
		}
		if f.left = 3 + size; b[0]&1 == 1 {
			f.next = headFrame
			if f.sum {
				f.left += 4
			}
		}
		return
	}
	b, _ := f.r.Peek(zstd.HeaderMaxSize) // fewer at the end
	var h zstd.Header
	if len(b) == 0 || h.Decode(b) != nil {
		f.next = headNone
		return
	}
	if f.left = int64(h.HeaderSize); h.Skippable {
		f.left += int64(h.SkippableSize)
		return
	}
	f.n, f.sum, f.next = f.n+1, h.HasCheckSum, headBlock
}
