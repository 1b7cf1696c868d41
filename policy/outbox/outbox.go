package outbox

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/assay-registry/assay/store"
)

// space has the work:
//
//	obligation  "v" <repository> 0 <digest>    the summary of this verdict is to be looked at
//	            "n" <target> 0 <event id>      this event is to be delivered to this target
const space = "obligation"

// The first byte of a key says what the work is.
const (
	Summaries = "v" // the summary of a verdict is to be looked at
	Events    = "n" // a target is to be told
)

const (
	batch = 256              // pieces of work that one transaction reads or writes
	retry = 10 * time.Second // how often what is due is looked for
)

// Options are what an Outbox is made of.
type Options struct {
	Local   *store.Local
	Targets []Target
	Source  string // of events: this registry's URI
	Clock   func() time.Time
	Log     *slog.Logger
}

// Outbox is the queue. It is safe for concurrent use.
type Outbox struct {
	local   *store.Local
	targets []Target
	source  string
	clock   func() time.Time
	log     *slog.Logger
	bells   []chan struct{} // of each target's worker
}

// New makes an outbox; somebody runs it.
func New(o Options) *Outbox {
	out := &Outbox{local: o.Local, targets: o.Targets, source: o.Source, clock: o.Clock, log: o.Log}
	for range o.Targets {
		out.bells = append(out.bells, make(chan struct{}, 1))
	}
	return out
}

// Done takes a piece of work off the queue.
func Done(tx *store.Txn, key []byte) { tx.Space(space).Delete(key) }

// Waits reports whether a piece of work is queued and not given up.
func Waits(r store.Records, key []byte) bool {
	var w Work
	b := r.Space(space).Get(key)
	return b != nil && json.Unmarshal(b, &w) == nil && !w.Failed
}

// Work is one piece of work.
type Work struct {
	Event    json.RawMessage `json:"event,omitempty"` // CloudEvents JSON
	Item     store.Item      `json:"item"`
	At       time.Time       `json:"at"`
	Attempts int             `json:"attempts,omitempty"`
	Next     time.Time       `json:"next,omitzero"`
	Reason   string          `json:"reason,omitempty"` // of the last failure
	Failed   bool            `json:"failed,omitempty"` // it is not tried again
}

// SummaryKey is the key of the work on the summary of an image.
func SummaryKey(i store.Item) []byte { return append([]byte(Summaries), i.Key()...) }

// Put writes the work, in the transaction of what it follows from.
func (w *Work) Put(tx *store.Txn, key []byte) {
	b, err := json.Marshal(w)
	if err != nil {
		panic("outbox: an obligation that does not marshal") // strings, times and JSON that was marshalled
	}
	tx.Space(space).Put(key, b)
}

// Delay is how long the n-th attempt waits: 10 s, doubled each time, at most an hour.
func Delay(n int) time.Duration { return min(10*time.Second<<min(max(n-1, 0), 12), time.Hour) }

// Each pages through the work below a prefix, on a snapshot for each page. What does not parse is reported and left.
func (o *Outbox) Each(ctx context.Context, prefix string, do func(key []byte, w *Work) (more bool, err error)) error {
	from, to := []byte(prefix), append([]byte(prefix[:len(prefix)-1]), prefix[len(prefix)-1]+1)
	for ctx.Err() == nil {
		var pairs []store.Pair
		if err := o.local.View(ctx, func(s store.Snapshot) error {
			pairs = s.Space(space).Scan(from, to, batch)
			return nil
		}); err != nil {
			return err
		}
		for _, p := range pairs {
			w := new(Work)
			if err := json.Unmarshal(p.Value, w); err != nil {
				o.log.Error("an obligation is damaged; run assay check", "error", err)
				continue
			}
			if more, err := do(p.Key, w); err != nil || !more {
				return err
			}
		}
		if len(pairs) < batch {
			return nil
		}
		from = append(slices.Clone(pairs[len(pairs)-1].Key), 0)
	}
	return ctx.Err()
}
