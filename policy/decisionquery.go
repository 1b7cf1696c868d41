package policy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/store"
)

// LogQuery selects lines of the decision log; a zero member selects all. Lines come newest first.
type LogQuery struct {
	Repository store.Name
	Digest     store.Digest
	Actor      string
	Code       string // of the catalogue, or of the distribution specification
	Since      time.Time
	Until      time.Time
	Before     uint64 // a line's number: only older ones
	Limit      int    // 0 and more than maxPage is maxPage
}

// LogPage is a page of lines.
type LogPage struct {
	Events []LogEvent `json:"events"`
	// Next continues: give it as before. It is set too where there is more to look through than one answer reads; 0 is the end.
	Next uint64 `json:"next,omitempty"`
}

// maxScan is how many bytes of segments one query reads, about.
const maxScan = 64 << 20

func (q *LogQuery) selects(e *LogEvent) bool {
	last := e.Timestamp
	if !e.Last.IsZero() {
		last = e.Last
	}
	return (q.Repository == "" || e.Input.Repository == q.Repository) && (q.Digest == "" || e.Input.Digest == q.Digest) &&
		(q.Actor == "" || e.Input.Actor == q.Actor) && (q.Code == "" || e.Result.Code == q.Code || e.Result.Error == q.Code) &&
		(q.Since.IsZero() || !last.Before(q.Since)) && (q.Until.IsZero() || e.Timestamp.Before(q.Until)) && (q.Before == 0 || e.Seq < q.Before)
}

// Decisions answers a query. Administrators of everything see everything; others name a repository that they administer. Errors: CodeDenied, CodeUnsupported.
func (a *Admission) Decisions(ctx context.Context, p access.Principal, q LogQuery) (*LogPage, error) {
	l, err := a.mayReadLog(p, q.Repository)
	if err != nil {
		return nil, err
	}
	return l.Query(ctx, q)
}

func (a *Admission) mayReadLog(p access.Principal, repo store.Name) (*DecisionLog, error) {
	scope := store.Glob("**")
	if repo != "" {
		scope = store.Glob(repo)
	}
	if err := p.MayAdminister(scope); err != nil {
		return nil, err
	}
	l, ok := a.o.Decisions.(*DecisionLog)
	if !ok || l == nil {
		return nil, store.Errorf(store.CodeUnsupported, "this registry keeps no decision log")
	}
	return l, nil
}

// Query answers a query.
func (l *DecisionLog) Query(ctx context.Context, q LogQuery) (*LogPage, error) {
	if err := l.Flush(); err != nil {
		return nil, err
	}
	limit := bounded(q.Limit)
	page := &LogPage{Events: []LogEvent{}}
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
		var some []LogEvent
		newest := time.Time{}
		n, err := l.o.Journal.Lines(name, func(line []byte) error {
			var e LogEvent
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
		if !q.Since.IsZero() && newest.Before(q.Since.Add(-logRepeat)) {
			break
		}
	}
	return page, nil
}

// ExportDecisions writes the lines of the decision log since a time, oldest first, as they stand: who has the public key can verify them elsewhere.
// Errors: CodeDenied, CodeUnsupported, and w's.
func (a *Admission) ExportDecisions(ctx context.Context, p access.Principal, since time.Time, w io.Writer) error {
	l, err := a.mayReadLog(p, "")
	if err != nil {
		return err
	}
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

// CheckpointDecisions is the signed end of the decision log, to be kept elsewhere.
func (a *Admission) CheckpointDecisions(_ context.Context, p access.Principal) (*journal.Checkpoint, error) {
	l, err := a.mayReadLog(p, "")
	if err != nil {
		return nil, err
	}
	if err := l.Flush(); err != nil {
		return nil, err
	}
	return l.o.Journal.Checkpoint()
}

// VerifyDecisions follows the chain of the decision log, and compares it with a checkpoint that was kept elsewhere, where note is not empty.
func (a *Admission) VerifyDecisions(_ context.Context, p access.Principal, note string) (*journal.Report, error) {
	l, err := a.mayReadLog(p, "")
	if err != nil {
		return nil, err
	}
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
