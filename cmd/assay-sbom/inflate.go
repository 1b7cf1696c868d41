package main

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/bits"
)

// gunzip reads gzip (RFC 1952), members one after another, and hands out what it inflates (RFC 1951) where it lies: nothing is copied. It takes bits from a word
// of 64, which makes it faster than readers that ask their source for each byte; layers are gigabytes, and inflating them is most of what describing
// an unknown image costs. TestGunzip and FuzzGunzip hold it equal to compress/gzip.
type gunzip struct {
	src      io.Reader
	in       []byte // what is read of src, from at to end
	at, end  int
	srcErr   error
	word     uint64 // the next bits, the first one lowest
	n        int    // how many of word count
	out      []byte // the window, and what follows it
	w        int    // how much of out is written
	stored   int    // what is left of a stored block
	state    inflateState
	final    bool
	sum      uint32
	size     uint32
	base     int // where in out this member begins, or 0 if that has gone by
	litlen   [1<<litlenBits + maxLitlen/2<<(maxCode-litlenBits)]uint32
	distance [1<<distanceBits + maxDistance/2<<(maxCode-distanceBits)]uint32
	lengths  [maxLitlen + maxDistance]uint8
}

type inflateState uint8

const (
	atMember inflateState = iota
	atBlock
	inStored
	inCodes
	atTrailer
)

// Sizes. The tables' second parts are for codes that are longer than what the first part is indexed by.
const (
	windowSize   = 32 << 10
	outSize      = windowSize + 96<<10
	outSlack     = 258 + 16 // the longest match, and what is written too much
	inSize       = 64 << 10
	litlenBits   = 11
	distanceBits = 8
	maxLitlen    = 288
	maxDistance  = 32
	maxCode      = 15
)

// Entries of tables: bits 0 to 7 are the length of the code, 8 to 12 the number of extra bits, 13 to 15 flags, the others a literal, a base or where the second
// part begins. 0 is no code.
const (
	isLiteral = 1 << 13
	isEnd     = 1 << 14
	isLong    = 1 << 15
)

var (
	errGzip    = errors.New("gzip: invalid data")
	errGzipSum = errors.New("gzip: invalid checksum")
)

func newGunzip(src io.Reader) *gunzip {
	return &gunzip{src: src, in: make([]byte, inSize), out: make([]byte, outSize)}
}

// next returns what comes next; it is valid until the following call. The end is io.EOF.
func (z *gunzip) next() ([]byte, error) {
	if z.w > windowSize {
		copy(z.out, z.out[z.w-windowSize:z.w])
		z.base = max(0, z.base-(z.w-windowSize))
		z.w = windowSize
	}
	from := z.w
	var err error
	for err == nil && z.w == from {
		err = z.step()
	}
	b := z.out[from:z.w]
	z.sum = crc32.Update(z.sum, crc32.IEEETable, b)
	z.size += uint32(len(b))
	return b, err
}

// step does what the state says, and writes at most what fits.
func (z *gunzip) step() error {
	switch z.state {
	case atMember:
		return z.header()
	case atBlock:
		return z.block()
	case inStored:
		return z.copyStored()
	case inCodes:
		return z.inflate()
	default:
		return z.trailer()
	}
}

// fill reads more of the source, if there is any.
func (z *gunzip) fill() {
	if z.srcErr != nil {
		return
	}
	z.end = copy(z.in, z.in[z.at:z.end])
	z.at = 0
	for z.end < 8 && z.srcErr == nil {
		var n int
		n, z.srcErr = z.src.Read(z.in[z.end:])
		z.end += n
	}
}

// ended is why there is no more input.
func (z *gunzip) ended() error {
	if z.srcErr != nil && z.srcErr != io.EOF {
		return z.srcErr
	}
	return io.ErrUnexpectedEOF
}

// take returns the next k bits, at most 32.
func (z *gunzip) take(k int) (uint32, error) {
	for z.n < k {
		if z.at == z.end {
			if z.fill(); z.at == z.end {
				return 0, z.ended()
			}
		}
		z.word |= uint64(z.in[z.at]) << z.n
		z.at++
		z.n += 8
	}
	v := uint32(z.word & (1<<k - 1))
	z.word >>= k
	z.n -= k
	return v, nil
}

// align drops bits up to the next byte.
func (z *gunzip) align() {
	z.word >>= z.n & 7
	z.n &^= 7
}

// maxGzipText is the size from which compress/gzip refuses a name or a comment.
const maxGzipText = 512

// header reads a member's header; the end of the source before it is the end.
func (z *gunzip) header() error {
	z.align()
	sum, first := uint32(0), true
	var failed error
	read := func() byte {
		if failed != nil {
			return 0
		}
		v, err := z.take(8)
		if failed = err; err == io.ErrUnexpectedEOF && first {
			failed = io.EOF
		}
		first = false
		sum = crc32.Update(sum, crc32.IEEETable, []byte{byte(v)})
		return byte(v)
	}
	var head [10]byte
	for i := range head {
		head[i] = read()
	}
	if failed != nil {
		return failed
	}
	if head[0] != 0x1f || head[1] != 0x8b || head[2] != 8 {
		return errGzip
	}
	flags := head[3]
	if flags&4 != 0 { // FEXTRA
		for n := int(read()) | int(read())<<8; n > 0 && failed == nil; n-- {
			read()
		}
	}
	for _, flag := range []byte{8, 16} { // FNAME, FCOMMENT
		for n := 0; flags&flag != 0 && read() != 0; n++ {
			if n == maxGzipText-1 {
				return errGzip
			}
		}
	}
	if flags&2 != 0 { // FHCRC
		want := uint16(sum)
		if got := uint16(read()) | uint16(read())<<8; failed == nil && got != want {
			return errGzip
		}
	}
	z.state, z.final, z.sum, z.size, z.base = atBlock, false, 0, 0, z.w
	return failed
}

// trailer compares checksum and size.
func (z *gunzip) trailer() error {
	z.align()
	sum, err := z.take(32)
	if err != nil {
		return err
	}
	size, err := z.take(32)
	if err != nil {
		return err
	}
	if sum != z.sum || size != z.size {
		return errGzipSum
	}
	z.state = atMember
	return nil
}

// block reads the header of a block.
func (z *gunzip) block() error {
	if z.final {
		z.state = atTrailer
		return nil
	}
	head, err := z.take(3)
	if err != nil {
		return err
	}
	z.final = head&1 != 0
	switch head >> 1 {
	case 0:
		z.align()
		n, err := z.take(32)
		if err != nil {
			return err
		}
		if n&0xffff != ^n>>16 {
			return errGzip
		}
		z.state, z.stored = inStored, int(n&0xffff)
		return nil
	case 1:
		for i := range z.lengths {
			switch {
			case i < 144, i >= 280 && i < maxLitlen:
				z.lengths[i] = 8
			case i < 256:
				z.lengths[i] = 9
			case i < 280:
				z.lengths[i] = 7
			default:
				z.lengths[i] = 5
			}
		}
		return z.codes(maxLitlen, maxDistance)
	case 2:
		return z.dynamic()
	}
	return errGzip
}

// copyStored copies some of a stored block.
func (z *gunzip) copyStored() error {
	for z.stored > 0 && z.n >= 8 && z.w < len(z.out) {
		z.out[z.w] = byte(z.word)
		z.word >>= 8
		z.n -= 8
		z.w++
		z.stored--
	}
	for z.stored > 0 && z.w < len(z.out) {
		if z.at == z.end {
			if z.fill(); z.at == z.end {
				return z.ended()
			}
		}
		n := copy(z.out[z.w:min(len(z.out), z.w+z.stored)], z.in[z.at:z.end])
		z.at += n
		z.w += n
		z.stored -= n
	}
	if z.stored == 0 {
		z.state = atBlock
	}
	return nil
}

// order is in which the lengths of the codes for lengths come.
var order = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the codes of a block.
func (z *gunzip) dynamic() error {
	head, err := z.take(14)
	if err != nil {
		return err
	}
	literals, distances, codes := int(head&31)+257, int(head>>5&31)+1, int(head>>10)+4
	if literals > 286 || distances > 30 {
		return errGzip
	}
	var lengths [19]uint8
	for _, at := range order[:codes] {
		v, err := z.take(3)
		if err != nil {
			return err
		}
		lengths[at] = uint8(v)
	}
	if !compile(z.distance[:1<<7], 7, lengths[:], func(i int) uint32 { return uint32(i) << 16 }) {
		return errGzip
	}
	for i := 0; i < literals+distances; {
		for z.n < 7+7 && (z.at < z.end || z.srcErr == nil) {
			if z.at == z.end {
				if z.fill(); z.at == z.end {
					break
				}
			}
			z.word |= uint64(z.in[z.at]) << z.n
			z.at++
			z.n += 8
		}
		e := z.distance[z.word&(1<<7-1)]
		if e == 0 {
			if z.n < 7 {
				return z.ended()
			}
			return errGzip
		}
		if _, err := z.take(int(e & 0xff)); err != nil {
			return err
		}
		symbol := e >> 16
		if symbol < 16 {
			z.lengths[i] = uint8(symbol)
			i++
			continue
		}
		extra := [...][2]int{{2, 3}, {3, 3}, {7, 11}}[symbol-16]
		more, err := z.take(extra[0])
		if err != nil {
			return err
		}
		again, value := int(more)+extra[1], uint8(0)
		if symbol == 16 {
			if i == 0 {
				return errGzip
			}
			value = z.lengths[i-1]
		}
		if i+again > literals+distances {
			return errGzip
		}
		for range again {
			z.lengths[i] = value
			i++
		}
	}
	return z.codes(literals, distances)
}

// codes compiles what lengths says.
func (z *gunzip) codes(literals, distances int) error {
	if !compile(z.litlen[:], litlenBits, z.lengths[:literals], litlenEntry) ||
		!compile(z.distance[:], distanceBits, z.lengths[literals:literals+distances], distanceEntry) {
		return errGzip
	}
	z.state = inCodes
	return nil
}

// litlenEntry is the entry of a literal, the end, or the length of a match.
func litlenEntry(i int) uint32 {
	switch {
	case i < 256:
		return uint32(i)<<16 | isLiteral
	case i == 256:
		return isEnd
	case i < 265:
		return uint32(i-257+3) << 16
	case i == 285:
		return 258 << 16
	case i > 285:
		return 0
	}
	extra := uint32(i-261) / 4
	return ((4+uint32(i-261)%4)<<extra+3)<<16 | extra<<8
}

// distanceEntry is the entry of a distance.
func distanceEntry(i int) uint32 {
	switch {
	case i < 4:
		return uint32(i+1) << 16
	case i > 29:
		return 0
	}
	extra := uint32(i-2) / 2
	return ((2+uint32(i)%2)<<extra+1)<<16 | extra<<8
}

// compile makes a table of codes from their lengths. Sets of codes must be complete, but for one code of one bit, and for none at all.
func compile(table []uint32, direct int, lengths []uint8, entry func(int) uint32) bool {
	clear(table)
	var count, next [maxCode + 2]int
	for _, n := range lengths {
		count[n]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	code := 0
	for n := 1; n <= maxCode; n++ {
		code = (code + count[n-1]) << 1
		next[n] = code
		if code+count[n] > 1<<n {
			return false
		}
	}
	if used > 0 && code+count[maxCode] != 1<<maxCode && !(used == 1 && count[1] == 1) {
		return false
	}
	free, size := 1<<direct, maxCode-direct
	for symbol, n := range lengths {
		if n == 0 {
			continue
		}
		length := int(n)
		reversed := int(bits.Reverse16(uint16(next[length])) >> (16 - length))
		next[length]++
		e := entry(symbol)
		if e != 0 || entry(0) == 0 { // codes that may not be used have no entry
			e |= uint32(length)
		}
		if length <= direct {
			for ; reversed < 1<<direct; reversed += 1 << length {
				table[reversed] = e
			}
			continue
		}
		first := reversed & (1<<direct - 1)
		if table[first] == 0 {
			table[first] = uint32(free)<<16 | isLong
			free += 1 << size
		}
		for high := reversed >> direct; high < 1<<size; high += 1 << (length - direct) {
			table[int(table[first]>>16)+high] = e
		}
	}
	return true
}

// inflate decodes until the block ends or the output has no room for another match.
func (z *gunzip) inflate() error {
	in, out, word, n, at, w, base := z.in[:z.end], z.out, z.word, z.n, z.at, z.w, z.base
	for w <= len(out)-outSlack {
		if at+8 <= len(in) {
			word |= binary.LittleEndian.Uint64(in[at:]) << (n & 63)
			at += (63 - n) >> 3
			n |= 56
		} else {
			z.word, z.n, z.at = word&(1<<(n&63)-1), n, at
			z.fill()
			for z.at < z.end && z.n < 56 {
				z.word |= uint64(z.in[z.at]) << z.n
				z.at++
				z.n += 8
			}
			in, word, n, at = z.in[:z.end], z.word, z.n, z.at
		}
		e := z.litlen[word&(1<<litlenBits-1)]
		if e&isLong != 0 {
			e = z.litlen[int(e>>16)+int(word>>litlenBits&(1<<(maxCode-litlenBits)-1))]
		}
		word >>= e & 63
		n -= int(e & 63)
		if e&isLiteral != 0 && n >= 0 {
			out[w] = byte(e >> 16)
			w++
			// Another literal needs no more bits than there are, and is likely.
			e = z.litlen[word&(1<<litlenBits-1)]
			if e&isLiteral == 0 || n < maxCode {
				continue
			}
			word >>= e & 63
			n -= int(e & 63)
			out[w] = byte(e >> 16)
			w++
			continue
		}
		if e&isEnd != 0 && n >= 0 {
			z.state = atBlock
			z.word, z.n, z.at, z.w = word&(1<<(n&63)-1), n, at, w
			return nil
		}
		extra := e >> 8 & 31
		length := int(e>>16) + int(word&(1<<extra-1))
		word >>= extra
		n -= int(extra)
		d := z.distance[word&(1<<distanceBits-1)]
		if d&isLong != 0 {
			d = z.distance[int(d>>16)+int(word>>distanceBits&(1<<(maxCode-distanceBits)-1))]
		}
		word >>= d & 63
		extra = d >> 8 & 31
		far := int(d>>16) + int(word&(1<<extra-1))
		word >>= extra
		n -= int(d&63) + int(extra)
		if n < 0 || e == 0 || d == 0 || far > w-base {
			z.w = w
			if n < 0 || (e == 0 || d == 0) && z.srcErr != nil && at == len(in) && n < maxCode {
				return z.ended()
			}
			return errGzip
		}
		copyMatch(out, w, far, length)
		w += length
	}
	z.word, z.n, z.at, z.w = word&(1<<(n&63)-1), n, at, w
	return nil
}

// copyMatch repeats length bytes from far before w. It may write up to 15 bytes too much.
func copyMatch(out []byte, w, far, length int) {
	switch {
	case far >= length && length > 32:
		copy(out[w:w+length], out[w-far:])
	case far >= 8:
		from, to := out[w-far:w+length+8-far], out[w:w+length+8]
		for i := 0; i < length; i += 8 {
			binary.LittleEndian.PutUint64(to[i:], binary.LittleEndian.Uint64(from[i:]))
		}
	default:
		for i := w; i < w+length; i++ {
			out[i] = out[i-far]
		}
	}
}
