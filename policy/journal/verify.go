package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/assay-registry/assay/store"
)

// Report is what verifying a log found.
type Report struct {
	Log      string   `json:"log"`
	First    uint64   `json:"first"`   // the first record that is kept; 0 if there is none
	Records  uint64   `json:"records"` // that were read
	Size     uint64   `json:"size"`    // with those that retention removed
	Head     string   `json:"head"`
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"` // sentences, at most maxProblems
}

const maxProblems = 100

// Problem adds a sentence; beyond maxProblems they are left out.
func (r *Report) Problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Verify reads everything and reports whatever was edited, reordered, removed or cut off, and whether the log still has what checkpoints kept elsewhere say: that alone shows
// that an older copy was put back, checkpoint and all.
func (j *Journal) Verify(external ...*Checkpoint) (*Report, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &Report{Log: j.o.Log, Head: NoHead, Problems: []string{}}
	if start, err := j.stored(fileStart); err == nil {
		r.Size, r.Head = start.Size, start.Head
	} else if !errors.Is(err, fs.ErrNotExist) {
		r.Problem("the record of what retention removed does not verify: %s", sentence(err))
	}
	var wanted []*Checkpoint
	for _, c := range external {
		kept := *c
		kept.met = false
		wanted = append(wanted, &kept)
	}
	if own, err := j.stored(fileCheckpoint); err == nil {
		wanted = append(wanted, own)
	} else if !errors.Is(err, fs.ErrNotExist) {
		r.Problem("the log's own checkpoint does not verify: %s", sentence(err))
	} else if names, _ := j.segments(); len(names) > 0 {
		r.Problem("the log's own checkpoint is missing")
	}
	meet := r.Meeting(wanted)
	meet()
	if err := j.follow(r, meet); err != nil {
		return nil, err
	}
	r.Compare(wanted)
	r.OK = len(r.Problems) == 0
	return r, nil
}

// Meeting compares checkpoints with the record at which they were made, whenever it is called after one.
func (r *Report) Meeting(wanted []*Checkpoint) func() {
	return func() {
		for _, c := range wanted {
			if c.Size != r.Size {
				continue
			}
			if c.met = true; c.Head != r.Head {
				r.Problem("record %d is not the one that the checkpoint of %s was made of: the log was changed before it, or is another", c.Size, c.At.UTC().Format(time.DateTime))
			}
		}
	}
}

// Compare reports the checkpoints whose record was not met.
func (r *Report) Compare(wanted []*Checkpoint) {
	for _, c := range wanted {
		switch {
		case c.met:
		case c.Size > r.Size:
			r.Problem("the checkpoint of %s says that there are %d records, and there are %d: the end was cut off, or an older copy was put back", c.At.UTC().Format(time.DateTime), c.Size, r.Size)
		case c.Size < r.First: // retention removed it
		default:
			r.Problem("record %d, at which a checkpoint was made, is missing", c.Size)
		}
	}
}

// follow reads the chain, and calls meet after every record.
func (j *Journal) follow(r *Report, meet func()) error {
	names, err := j.segments()
	if err != nil {
		return err
	}
	for _, name := range names {
		if first, _ := First(name); first != r.Size+1 {
			r.Problem("the segment %s does not follow record %d: what lay between was removed", name, r.Size)
		}
		_, err := j.Lines(name, func(line []byte) error {
			var l link
			if err := json.Unmarshal(line, &l); err != nil {
				r.Problem("a line of %s after record %d is damaged", name, r.Size)
				return nil
			}
			if r.First == 0 {
				r.First = l.Seq
			}
			switch {
			case l.Break != "":
				r.Problem("at record %d the log was taken up again after a break: %s", l.Seq, l.Break)
			case l.Seq != r.Size+1:
				r.Problem("record %d follows record %d: records were removed or put elsewhere", l.Seq, r.Size)
			case l.Prev != r.Head:
				r.Problem("record %d was not written after the record %d that stands before it: one of them was changed", l.Seq, r.Size)
			}
			r.Records, r.Size, r.Head = r.Records+1, l.Seq, lineHash(line)
			meet()
			return nil
		})
		if errors.Is(err, ErrTorn) {
			r.Problem("the segment %s ends within a line after record %d", name, r.Size)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// sentence is the text of an error for a person.
func sentence(err error) string {
	if e, ok := err.(*store.Error); ok {
		return e.Message
	}
	return err.Error()
}
