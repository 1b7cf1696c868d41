package decisionlog

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
)

// Event is a line of the decision log. Its members have the names of OPA's decision log (Open Policy Agent, "Decision Logs"), so that its collectors read it;
// seq, prev, count, last and dropped are ours.
type Event struct {
	Labels      map[string]string `json:"labels,omitempty"`
	ID          string            `json:"decision_id"`
	Path        string            `json:"path"` // pull, push, list, api, token; of a verdict admit
	Input       Input             `json:"input"`
	Result      Result            `json:"result"`
	RequestedBy string            `json:"requested_by,omitempty"` // the client's address
	Timestamp   time.Time         `json:"timestamp"`
	Metrics     map[string]int64  `json:"metrics,omitempty"` // timer_server_handler_ns
	Count       uint64            `json:"count"`             // of like ones, from timestamp to last
	Last        time.Time         `json:"last,omitzero"`
	Dropped     uint64            `json:"dropped,omitempty"` // that were lost before this line for want of room
	Seq         uint64            `json:"seq"`
	Prev        string            `json:"prev"` // sha256 of the line before
}

// Input is what was asked. Nothing else of a request enters: no header, no query, no body, no credentials, nothing of an image's configuration.
type Input struct {
	Method     string       `json:"method,omitempty"`
	Repository store.Name   `json:"repository,omitempty"`
	Reference  string       `json:"reference,omitempty"` // a tag
	Digest     store.Digest `json:"digest,omitempty"`
	Actor      string       `json:"actor,omitempty"`
	ActorKind  string       `json:"actor_kind,omitempty"`
	Namespace  string       `json:"namespace,omitempty"` // of a cluster that asks
}

// Result is what was answered.
type Result struct {
	Allow   bool        `json:"allow"`
	Status  int         `json:"status,omitempty"` // of HTTP
	Error   string      `json:"error,omitempty"`  // of the distribution specification
	Code    string      `json:"code,omitempty"`   // of the catalogue
	State   store.State `json:"state,omitempty"`
	Waivers []string    `json:"waivers,omitempty"` // that a verdict needed
	Message string      `json:"message,omitempty"` // of a policy's refusal; nothing that a client wrote into a malformed request
}

// Recorder takes what goes into the decision log.
type Recorder interface {
	// Record never waits for anything but a short lock, and never fails: what there is no room for is counted.
	Record(e Event)
}

// Limits of what waits to be written.
const (
	maxPending = 8192        // different events that are remembered, to count repeats of
	perClient  = 64          // different events of one client in one turn: what is more is counted as one
	turn       = time.Second // between two writes
	repeat     = time.Minute // how long repeats are counted before they are written
	maxWord    = 512         // bytes of a name that is remembered, whoever wrote it
	maxWaivers = 32          // that are named
)

// key is what makes two events repeats of one another.
type key struct {
	path, method, actor, client, namespace, reference, fault, code string
	repository                                                     store.Name
	digest                                                         store.Digest
	state                                                          store.State
	status                                                         int
}

// logged is an event with its repeats.
type logged struct {
	event   Event
	count   uint64 // since it was last written
	first   time.Time
	last    time.Time
	written time.Time // zero: never
}

// Log is the log of decisions and refusals: gathered in memory, within bounds, and written by Run. A nil one takes and gives nothing.
type Log struct {
	o Options

	mu      sync.Mutex
	events  map[key]*logged
	clients map[string]int // different events of each in this turn
	dropped uint64         // since the last line
	lost    uint64         // since the start
	wake    chan struct{}
}

// Options make one. All are required but Labels.
type Options struct {
	Journal *journal.Journal
	Clock   func() time.Time
	ID      func(time.Time) string // of an event: sorts by time
	Log     *slog.Logger
	Labels  map[string]string
}

// New makes a decision log. Somebody runs it.
func New(o Options) *Log {
	return &Log{o: o, events: map[key]*logged{}, clients: map[string]int{}, wake: make(chan struct{}, 1)}
}

var _ Recorder = (*Log)(nil)

// Record implements LogRecorder. The event's count, place and labels are the log's to fill in, and so are its id and time where it has none.
func (l *Log) Record(e Event) {
	if l == nil {
		return
	}
	now := e.Timestamp
	if now.IsZero() {
		now = l.o.Clock()
	}
	e.bound()
	k := key{e.Path, e.Input.Method, e.Input.Actor, e.RequestedBy, e.Input.Namespace, e.Input.Reference, e.Result.Error, e.Result.Code, e.Input.Repository, e.Input.Digest, e.Result.State, e.Result.Status}
	if e.ID != "" {
		k.reference += "\x00" + e.ID // a verdict is no repeat of another
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.events[k]; old != nil {
		old.again(now)
		return
	}
	if e.ID == "" && l.clients[e.RequestedBy] >= perClient {
		k.repository, k.reference, k.digest = "", "", ""
		e.Input.Repository, e.Input.Reference, e.Input.Digest, e.Result.Message = "", "", "", ""
		if old := l.events[k]; old != nil {
			old.again(now)
			return
		}
	}
	if len(l.events) >= maxPending {
		l.dropped++
		l.lost++
		return
	}
	l.clients[e.RequestedBy]++
	l.events[k] = &logged{event: e, count: 1, first: now, last: now}
	if len(l.events) == maxPending/2 {
		select {
		case l.wake <- struct{}{}: // early, before there is no room
		default:
		}
	}
}

// bound keeps an event far below what a line of the journal may have, so that no asker's words cost the lines of others.
func (e *Event) bound() {
	for _, s := range []*string{&e.Input.Method, &e.Input.Reference, &e.Input.Actor, &e.Input.Namespace, &e.Result.Error, &e.Result.Code, &e.RequestedBy} {
		*s = sentence.Clip(*s, maxWord)
	}
	e.Result.Message = sentence.Clip(e.Result.Message, sentence.Max)
	e.Result.Waivers = e.Result.Waivers[:min(len(e.Result.Waivers), maxWaivers)]
	if len(e.Input.Repository) > maxWord { // of another registry
		e.Input.Repository = store.Name(sentence.Clip(string(e.Input.Repository), maxWord))
	}
}

func (e *logged) again(now time.Time) {
	if e.count++; e.count == 1 {
		e.first = now
	}
	e.last = now
}

// Lost is how many events were dropped since the start.
func (l *Log) Lost() uint64 {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Run writes what was recorded, every second, until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(turn)
	defer tick.Stop()
	prune := time.NewTicker(time.Hour)
	defer prune.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := l.flush(true); err != nil {
				l.o.Log.Error("the end of the decision log could not be written", "error", err)
			}
			return
		case <-prune.C:
			if err := l.o.Journal.Prune(); err != nil {
				l.o.Log.Error("old segments of the decision log could not be removed", "error", err)
			}
		case <-tick.C:
		case <-l.wake:
		}
		if err := l.Flush(); err != nil {
			l.o.Log.Error("the decision log could not be written; what it lacks is counted in its next line", "error", err)
		}
	}
}

// Flush writes what is due: what is new, and repeats that have been counted for a minute.
func (l *Log) Flush() error { return l.flush(false) }

func (l *Log) flush(all bool) error {
	due, dropped := l.due(all)
	if len(due) == 0 && (dropped == 0 || !all) {
		l.restore(dropped, 0)
		return nil
	}
	lines := make([]func(uint64, string) ([]byte, error), len(due))
	for i, e := range due {
		if i == 0 {
			e.Dropped = dropped
		}
		lines[i] = func(seq uint64, prev string) ([]byte, error) {
			e.Seq, e.Prev = seq, prev
			return json.Marshal(e)
		}
	}
	if err := l.o.Journal.Append(lines); err != nil {
		n := uint64(0)
		for _, e := range due {
			n += e.Count
		}
		l.restore(dropped, n)
		return err
	}
	return nil
}

// restore counts what was not written.
func (l *Log) restore(dropped, lost uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped += dropped + lost
	l.lost += lost
}

// due takes what is to be written, oldest first.
func (l *Log) due(all bool) (due []Event, dropped uint64) {
	now := l.o.Clock()
	l.mu.Lock()
	for k, e := range l.events {
		rested := now.Sub(e.written) >= repeat
		switch {
		case e.count == 0 && rested, e.event.ID != "" && e.count == 0:
			delete(l.events, k)
		case e.count > 0 && (e.written.IsZero() || rested || all):
			due = append(due, e.take(now))
		}
	}
	clear(l.clients)
	dropped, l.dropped = l.dropped, 0
	l.mu.Unlock()
	for i := range due {
		due[i].Labels = l.o.Labels
		if due[i].ID == "" {
			due[i].ID = l.o.ID(due[i].Timestamp)
		}
	}
	slices.SortFunc(due, func(x, y Event) int { return cmp.Or(x.Timestamp.Compare(y.Timestamp), strings.Compare(x.ID, y.ID)) })
	return due, dropped
}

// take makes the line of what was counted, and counts anew.
func (e *logged) take(now time.Time) Event {
	out := e.event
	out.Count, out.Timestamp = e.count, e.first.UTC()
	if e.count > 1 {
		out.Last = e.last.UTC()
	}
	if !e.written.IsZero() {
		out.Metrics = nil
	}
	e.count, e.written = 0, now
	return out
}
