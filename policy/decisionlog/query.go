package decisionlog

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/store"
)

// Query selects lines of the decision log; a zero member selects all. Lines come newest first.
type Query struct {
	Repository store.Name
	Digest     store.Digest
	Actor      string
	Code       string // of the catalogue, or of the distribution specification
	Since      time.Time
	Until      time.Time
	Before     uint64 // a line's number: only older ones
	Limit      int    // 0 and more than MaxPage is MaxPage
}

// Page is a page of lines.
type Page struct {
	Events []Event `json:"events"`
	// Next continues: give it as before. It is set too where there is more to look through than one answer reads; 0 is the end.
	Next uint64 `json:"next,omitempty"`
}

// MaxPage is how many lines an answer has at most.
const MaxPage = 1000

// maxScan is how many bytes of segments one query reads, about.
const maxScan = 64 << 20

func (q *Query) selects(e *Event) bool {
	last := e.Timestamp
	if !e.Last.IsZero() {
		last = e.Last
	}
	return (q.Repository == "" || e.Input.Repository == q.Repository) && (q.Digest == "" || e.Input.Digest == q.Digest) &&
		(q.Actor == "" || e.Input.Actor == q.Actor) && (q.Code == "" || e.Result.Code == q.Code || e.Result.Error == q.Code) &&
		(q.Since.IsZero() || !last.Before(q.Since)) && (q.Until.IsZero() || e.Timestamp.Before(q.Until)) && (q.Before == 0 || e.Seq < q.Before)
}

// Query answers a query.
func (l *Log) Query(ctx context.Context, q Query) (*Page, error) {
	if err := l.Flush(); err != nil {
		return nil, err
	}
	limit := q.Limit
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	page := &Page{Events: []Event{}}
	names, err := l.o.Journal.Names()
	if err != nil {
		return nil, err
	}
	slices.Reverse(names)
	read := int64(0)
	for _, name := range names {
		first, _ := journal.First(name)
		if q.Before > 0 && first >= q.Before {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if read >= maxScan {
			page.Next = first + l.o.Journal.Within(name)
			return page, nil
		}
		var some []Event
		newest := time.Time{}
		n, err := l.o.Journal.Lines(name, func(line []byte) error {
			var e Event
			if json.Unmarshal(line, &e) != nil || e.ID == "" {
				return nil // damaged, or a break: Verify reports it
			}
			if newest = e.Timestamp; !e.Last.IsZero() {
				newest = e.Last
			}
			if q.selects(&e) {
				if some = append(some, e); len(some) > limit {
					some = some[1:]
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, journal.ErrTorn) {
			if errors.Is(err, fs.ErrNotExist) {
				break // retention removed it meanwhile, and all before
			}
			return nil, err
		}
		read += n
		slices.Reverse(some)
		for _, e := range some {
			if page.Events = append(page.Events, e); len(page.Events) == limit {
				page.Next = e.Seq
				return page, nil
			}
		}
		if !q.Since.IsZero() && newest.Before(q.Since.Add(-repeat)) {
			break
		}
	}
	return page, nil
}

// Export writes the lines since a time, oldest first, as they stand: who has the public key can verify them elsewhere. Errors: those of w besides.
func (l *Log) Export(ctx context.Context, since time.Time, w io.Writer) error {
	if err := l.Flush(); err != nil {
		return err
	}
	names, err := l.o.Journal.Names()
	if err != nil {
		return err
	}
	begun := since.IsZero()
	for _, name := range names {
		_, err := l.o.Journal.Lines(name, func(line []byte) error {
			if !begun {
				var at struct{ Timestamp, Last time.Time }
				if json.Unmarshal(line, &at) != nil || at.Timestamp.Before(since) && at.Last.Before(since) {
					return nil
				}
				begun = true // from here on without a gap, so that the chain can be followed
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			_, err := w.Write(append(line[:len(line):len(line)], '\n'))
			return err
		})
		if err != nil && !errors.Is(err, journal.ErrTorn) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Checkpoint is the signed end of the log, to be kept elsewhere.
func (l *Log) Checkpoint() (*journal.Checkpoint, error) {
	if err := l.Flush(); err != nil {
		return nil, err
	}
	return l.o.Journal.Checkpoint()
}

// Verify follows the chain of the log, and compares it with a checkpoint that was kept elsewhere, where note is not empty.
func (l *Log) Verify(note string) (*journal.Report, error) {
	var kept []*journal.Checkpoint
	if note != "" {
		c, err := l.o.Journal.Parse(note)
		if err != nil {
			return nil, err
		}
		kept = append(kept, c)
	}
	return l.o.Journal.Verify(kept...)
}
