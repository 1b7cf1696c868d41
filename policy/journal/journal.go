// Package journal keeps append-only logs whose lines are chained by hash and whose end is signed, so that what is edited, removed, reordered or cut off is found.
package journal

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/store"
)

// Segments are the files of a journal. Names are plain. Errors are the file system's; fs.ErrNotExist where there is no such file.
type Segments interface {
	List() ([]string, error) // ordered
	Open(name string) (io.ReadCloser, error)
	Append(name string, b []byte) error        // durable when it returns; creates
	Truncate(name string, size int64) error    // durable
	Replace(name string, content []byte) error // atomic and durable
	Remove(name string) error
}

// Journal is an append-only list of JSON lines in segments, each line holding the hash of the one before. Its end is signed after every append (file checkpoint),
// and so is its beginning once retention has moved that (file start). One process writes it.
type Journal struct {
	o Options

	mu   sync.Mutex
	size uint64 // lines ever written; guarded by mu, like what follows
	head string
	name string // segment that is written
	len  int64
	day  string
}

// Options make a journal. All are required but Public, Keep and MaxBytes: 0 is without limit.
type Options struct {
	Log      string // the name in checkpoints
	Segments Segments
	Key      crypto.Signer    // Ed25519
	Public   crypto.PublicKey // of a journal that is only read, in the place of Key
	Clock    func() time.Time
	Keep     time.Duration // of a segment, from its last line
	MaxBytes int64         // of all segments
}

// Limits of a journal.
const (
	maxSegment = 8 << 20  // bytes, about
	maxLine    = 64 << 10 // bytes of a line
)

const (
	fileCheckpoint = "checkpoint"
	fileStart      = "start"
	segmentSuffix  = ".ndjson"
)

// link is what chains a line.
type link struct {
	Seq  uint64 `json:"seq"`
	Prev string `json:"prev"`
	// Break says that the lines before were not what the last checkpoint says when the journal was opened: a sentence.
	Break     string    `json:"break,omitempty"`
	Timestamp time.Time `json:"timestamp,omitzero"`
}

// Open finds the end. A line that a crash left half is cut off; what is shorter or other than its checkpoint is not passed over in silence: the chain goes on with
// a line that says so, and Verify reports it for as long as that line is kept. What stands behind a damaged line that was signed is evidence, and left as it is.
func Open(o Options) (*Journal, error) {
	j := &Journal{o: o, head: NoHead}
	names, err := j.segments()
	if err != nil {
		return nil, err
	}
	torn := false
	if len(names) > 0 {
		if torn, err = j.tail(names[len(names)-1]); err != nil {
			return nil, err
		}
	}
	last, err := j.stored(fileCheckpoint)
	if torn && (err != nil || last.Size <= j.size) {
		if terr := j.o.Segments.Truncate(j.name, j.len); terr != nil {
			return nil, terr
		}
	}
	switch {
	case err == nil && last.Size > j.size, err == nil && last.Size == j.size && last.Head != j.head:
		return j, j.broken(fmt.Sprintf("the log ended at record %d and its checkpoint says %d: records were lost or changed", j.size, last.Size), last)
	case errors.Is(err, fs.ErrNotExist) && j.size > 0:
		return j, j.broken("the log had no checkpoint", nil)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		if store.CodeOf(err) != store.CodeInvalid {
			return nil, err
		}
		return j, j.broken("the checkpoint of the log was not signed by this registry", nil)
	}
	return j, nil
}

// segments lists the files with lines, oldest first.
func (j *Journal) segments() ([]string, error) {
	all, err := j.o.Segments.List()
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(n string) bool { _, ok := First(n); return !ok })
	slices.Sort(all)
	return all, nil
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// First is the number of the first line of a segment, from its name; false if the name is not that of a segment.
func First(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, ok && err == nil && name == segmentName(first)
}

// tail finds the end in the last segment, before whatever there is no line.
func (j *Journal) tail(name string) (torn bool, err error) {
	first, _ := First(name)
	j.size, j.name = first-1, name
	good := int64(0)
	_, err = j.Lines(name, func(line []byte) error {
		var l link
		if json.Unmarshal(line, &l) != nil || l.Seq == 0 {
			return ErrTorn
		}
		if good == 0 {
			j.head = l.Prev
		}
		good += int64(len(line)) + 1
		j.size, j.head, j.day = l.Seq, lineHash(line), dayOf(l.Timestamp)
		return nil
	})
	j.len = good
	if errors.Is(err, ErrTorn) {
		return true, nil
	}
	return false, err
}

// ErrTorn says that the last line of a segment has no end, or that one is longer than a line may be.
var ErrTorn = errors.New("journal: a torn line")

// Lines calls do with each whole line of a segment, which is valid during the call; n counts bytes. Errors: ErrTorn, those of do and of the file system.
func (j *Journal) Lines(name string, do func(line []byte) error) (n int64, err error) {
	f, err := j.o.Segments.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, maxLine)
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return n, nil
		case errors.Is(err, io.EOF), errors.Is(err, bufio.ErrBufferFull):
			return n, ErrTorn
		case err != nil:
			return n, err
		}
		n += int64(len(line))
		if err := do(line[:len(line)-1]); err != nil {
			return n, err
		}
	}
}

func lineHash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// broken goes on after a break, in a segment of its own, with the numbers of whichever is longer.
func (j *Journal) broken(why string, last *Checkpoint) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if last != nil && last.Size > j.size {
		j.size = last.Size
	}
	j.name = ""
	return j.append([]func(seq uint64, prev string) ([]byte, error){func(seq uint64, prev string) ([]byte, error) {
		return json.Marshal(link{Seq: seq, Prev: prev, Break: why, Timestamp: j.o.Clock().UTC()})
	}})
}

// Append writes lines and signs the new end. When it returns, they are durable. Each function is given the number of its line and the hash of the one before,
// which it puts into its JSON as seq and prev.
func (j *Journal) Append(lines []func(seq uint64, prev string) ([]byte, error)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.append(lines)
}

func (j *Journal) append(lines []func(uint64, string) ([]byte, error)) error {
	if len(lines) == 0 {
		return nil
	}
	now := j.o.Clock()
	name, length := j.name, j.len
	if name == "" || length >= maxSegment || j.day != dayOf(now) {
		name, length = segmentName(j.size+1), 0
	}
	var b bytes.Buffer
	size, head := j.size, j.head
	for _, make := range lines {
		line, err := make(size+1, head)
		if err != nil {
			return err
		}
		if len(line) >= maxLine {
			return store.Errorf(store.CodeInternal, "a line of the log %s has %d bytes", j.o.Log, len(line))
		}
		b.Write(line)
		b.WriteByte('\n')
		size, head = size+1, lineHash(line)
	}
	if err := j.o.Segments.Append(name, b.Bytes()); err != nil {
		if terr := j.o.Segments.Truncate(name, length); terr != nil {
			j.name = "" // what stands there is unknown: go on in another
		}
		return err
	}
	j.size, j.head, j.name, j.len, j.day = size, head, name, length+int64(b.Len()), dayOf(now)
	return j.write(fileCheckpoint, Checkpoint{Log: j.o.Log, Size: size, Head: head, At: now.UTC()})
}

func (j *Journal) write(file string, c Checkpoint) error {
	c, err := c.Sign(j.o.Key)
	if err != nil {
		return err
	}
	return j.o.Segments.Replace(file, []byte(c.Note))
}

// stored is a checkpoint that stands in a file.
func (j *Journal) stored(file string) (*Checkpoint, error) {
	f, err := j.o.Segments.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxNote+1))
	if err != nil {
		return nil, err
	}
	c, err := ParseCheckpoint(string(b), j.public())
	if err == nil && c.Log != j.o.Log {
		return nil, store.Errorf(store.CodeInvalid, "the checkpoint is that of the log %s", c.Log)
	}
	return c, err
}

// Checkpoint is the signed end as it stands now.
func (j *Journal) Checkpoint() (*Checkpoint, error) {
	j.mu.Lock()
	c := Checkpoint{Log: j.o.Log, Size: j.size, Head: j.head, At: j.o.Clock().UTC()}
	j.mu.Unlock()
	c, err := c.Sign(j.o.Key)
	return &c, err
}

// Prune removes segments that are older than Keep, and the oldest beyond MaxBytes, and signs the new beginning first. The segment that is written stays.
func (j *Journal) Prune() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	names, err := j.segments()
	if err != nil || len(names) < 2 {
		return err
	}
	var sizes []int64
	var ends []time.Time
	total := int64(0)
	for _, n := range names {
		var last link
		size, err := j.Lines(n, func(line []byte) error { return json.Unmarshal(line, &last) })
		if err != nil && !errors.Is(err, ErrTorn) {
			return nil // what is damaged is evidence: Verify reports it, and nothing is removed
		}
		sizes, ends, total = append(sizes, size), append(ends, last.Timestamp), total+size
	}
	drop := 0
	for drop < len(names)-1 && names[drop] != j.name {
		old := j.o.Keep > 0 && ends[drop].Add(j.o.Keep).Before(j.o.Clock())
		if !old && (j.o.MaxBytes <= 0 || total <= j.o.MaxBytes) {
			break
		}
		total -= sizes[drop]
		drop++
	}
	if drop == 0 {
		return nil
	}
	first, _ := First(names[drop])
	prev := ""
	if _, err := j.Lines(names[drop], func(line []byte) error {
		var l link
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		prev = l.Prev
		return io.EOF
	}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := j.write(fileStart, Checkpoint{Log: j.o.Log, Size: first - 1, Head: prev, At: j.o.Clock().UTC()}); err != nil {
		return err
	}
	for _, n := range names[:drop] {
		if err := j.o.Segments.Remove(n); err != nil {
			return err
		}
	}
	return nil
}

// Read is a journal that is only read: Verify and what else does not write.
func Read(o Options) *Journal { return &Journal{o: o, head: NoHead} }

func (j *Journal) public() crypto.PublicKey {
	if j.o.Key != nil {
		return j.o.Key.Public()
	}
	return j.o.Public
}

// Names lists the segments, oldest first.
func (j *Journal) Names() ([]string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segments()
}

// Within is how many lines a segment has; 0 if it is gone.
func (j *Journal) Within(name string) (n uint64) {
	_, _ = j.Lines(name, func([]byte) error { n++; return nil })
	return n
}

// Parse reads a checkpoint of this journal. Errors: CodeInvalid.
func (j *Journal) Parse(note string) (*Checkpoint, error) {
	c, err := ParseCheckpoint(note, j.public())
	if err == nil && c.Log != j.o.Log {
		return nil, store.Errorf(store.CodeInvalid, "this is a checkpoint of the log %s, and this log is %s", c.Log, j.o.Log)
	}
	return c, err
}
