package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
)

// Event is what a target is told: CloudEvents 1.0, JSON format. Its id stays the same however often it is delivered.
type Event struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"` // the verifier of summaries: this registry
	Type        string    `json:"type"`   // Prefix and a name
	Subject     string    `json:"subject"`
	Time        time.Time `json:"time"`
	ContentType string    `json:"datacontenttype"`
	Data        Data      `json:"data"`
}

// Data says what happened. Nothing of an image's bytes enters, and no name of a person.
type Data struct {
	Repository store.Name   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	From       store.State  `json:"from,omitempty"`
	To         store.State  `json:"to"`
	Code       string       `json:"code,omitempty"`
	Reason     string       `json:"reason,omitempty"`
	Decision   string       `json:"decision_id,omitempty"`
	Deny       []string     `json:"deny,omitempty"` // codes
	Warn       []string     `json:"warn,omitempty"`
	// Of a change of vulnerabilities: which came and went, at most 50 of each, and how many there are now by severity.
	Added   []string       `json:"added,omitempty"`
	Removed []string       `json:"removed,omitempty"`
	Counts  map[string]int `json:"counts,omitempty"`
}

// Prefix begins every event's type.
const Prefix = "io.github.assay-registry.image."

// The names of events: new states, and what a policy asked to be told.
const (
	EventAdmitted    = "admitted"
	EventQuarantined = "quarantined"
	EventRevoked     = "revoked"
	EventExpired     = "expired"
	EventDeleted     = "deleted"
	EventObligation  = "obligation"
	// EventVulnerabilities: what is known of an image's vulnerabilities changed, because the databases did, its SBOM, or what somebody states.
	EventVulnerabilities = "vulnerabilities"
)

// Names lists all of them.
func Names() []string {
	return []string{EventAdmitted, EventQuarantined, EventRevoked, EventExpired, EventDeleted, EventObligation, EventVulnerabilities}
}

// EventName is the name of the event that a new state is; empty for none.
func EventName(s store.State) string {
	switch s {
	case store.StateAdmitted, store.StateQuarantined, store.StateRevoked, store.StateExpired:
		return string(s)
	case store.StateTombstoned:
		return EventDeleted
	}
	return ""
}

// Target is who is told what.
type Target struct {
	URL          string
	Repositories store.Globs
	Events       []string // names
	Post         Poster
}

// Poster delivers to one target: a client of its own, so that what one does to its connections is no other's trouble.
type Poster interface {
	// Post sends a document of type application/cloudevents+json and returns the status of the answer, without following redirects. An error says that nothing answered.
	Post(ctx context.Context, body []byte) (status int, err error)
}

// id is the target's in keys: its address may hold what is nobody's business.
func (t Target) id() string {
	sum := sha256.Sum256([]byte(t.URL))
	return hex.EncodeToString(sum[:8])
}

// name is the target's for people: an address without path and query, which may be a secret.
func (t Target) name() string {
	u, err := url.Parse(t.URL)
	if err != nil {
		return "?"
	}
	return u.Scheme + "://" + u.Host
}

// TargetName is what people are shown of a target.
func (o *Outbox) TargetName(id string) string {
	for _, t := range o.targets {
		if t.id() == id {
			return t.name()
		}
	}
	return "(not configured any more)"
}

// Event is what is to be told of an image.
func (o *Outbox) Event(name string, i store.Item, det *store.Detail, from, to store.State) *Event {
	e := &Event{SpecVersion: "1.0", Source: o.source, Type: Prefix + name, Subject: string(i.Repository) + "@" + string(i.Digest), ContentType: "application/json",
		Data: Data{Repository: i.Repository, Digest: i.Digest, From: from, To: to, Code: det.Code, Reason: det.Reason, Decision: det.Decision}}
	if from == to {
		e.Data.From = ""
	}
	return e
}

// Tell queues an event for each target that wants it, in the transaction of what it is about.
func (o *Outbox) Tell(tx *store.Txn, e *Event) {
	var body []byte
	for _, t := range o.targets {
		if !t.Repositories.Match(e.Data.Repository) || !slices.Contains(t.Events, e.Type[len(Prefix):]) {
			continue
		}
		if body == nil {
			e.Time = o.clock().UTC()
			e.ID = o.local.ID(e.Time)
			var err error
			if body, err = json.Marshal(e); err != nil {
				o.log.Error("an event does not marshal", "error", err)
				return
			}
		}
		w := &Work{Event: body, Item: store.Item{Repository: e.Data.Repository, Digest: e.Data.Digest}, At: e.Time}
		w.Put(tx, []byte("n"+t.id()+"\x00"+e.ID))
	}
	if body != nil {
		tx.AfterCommit(func() { o.wake() })
	}
}

// How long what cannot be delivered is tried, and how long it is shown after.
const (
	giveUp     = 72 * time.Hour
	keepFailed = 7 * 24 * time.Hour
)

// wake wakes the workers of all targets.
func (o *Outbox) wake() {
	for _, c := range o.bells {
		select {
		case c <- struct{}{}:
		default: // already awake
		}
	}
}

// Run delivers events until ctx ends, to each target by a worker of its own: one that does not answer holds up no other.
func (o *Outbox) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for n, t := range o.targets {
		workers.Go(func() {
			tick := time.NewTicker(retry)
			defer tick.Stop()
			var rest resting
			for {
				if err := o.deliver(ctx, t, &rest); err != nil && ctx.Err() == nil {
					o.log.Error("the delivery of events stopped and is tried again", "target", t.name(), "error", err)
				}
				select {
				case <-ctx.Done():
					return
				case <-o.bells[n]:
				case <-tick.C:
				}
			}
		})
	}
	workers.Wait()
}

// resting is how long a target that did not answer at all is left alone.
type resting struct {
	failures int
	until    time.Time
}

// Deliver delivers what is due to every target once, whoever of them rested before.
func (o *Outbox) Deliver(ctx context.Context) error {
	var errs []error
	for _, t := range o.targets {
		errs = append(errs, o.deliver(ctx, t, &resting{}))
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// deliver goes through what waits for one target, oldest first. An answer that is no success postpones that event alone; no answer ends the round.
func (o *Outbox) deliver(ctx context.Context, t Target, rest *resting) error {
	if o.clock().UTC().Before(rest.until) {
		return nil
	}
	return o.Each(ctx, "n"+t.id()+"\x00", func(key []byte, w *Work) (bool, error) {
		now := o.clock().UTC()
		switch {
		case w.Failed && now.Before(w.Next), !w.Failed && now.Before(w.Next):
			return true, nil
		case w.Failed:
			return true, o.done(ctx, key)
		}
		status, err := t.Post.Post(ctx, w.Event)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err == nil && status/100 == 2 {
			rest.failures = 0
			return true, o.done(ctx, key)
		}
		w.Attempts++
		w.Next, w.Reason = now.Add(Delay(w.Attempts)), reasonOf(status, err)
		if now.Sub(w.At) >= giveUp {
			w.Failed, w.Next = true, now.Add(keepFailed)
		}
		o.log.Warn("an event could not be delivered", "target", t.name(), "repository", w.Item.Repository, "attempt", w.Attempts, "reason", w.Reason, "given_up", w.Failed)
		if err != nil {
			rest.failures++
			rest.until = now.Add(Delay(rest.failures))
		}
		return err == nil, o.local.Update(ctx, func(tx *store.Txn) error {
			w.Put(tx, key)
			return nil
		})
	})
}

func reasonOf(status int, err error) string {
	switch {
	case err != nil:
		return sentence.Clip(err.Error(), sentence.Max)
	case status/100 == 3:
		return fmt.Sprintf("it answered %d: redirects are not followed; configure the address that it leads to", status)
	}
	return fmt.Sprintf("it answered %d", status)
}

func (o *Outbox) done(ctx context.Context, key []byte) error {
	return o.local.Update(ctx, func(tx *store.Txn) error {
		tx.Space(space).Delete(key)
		return nil
	})
}

// Forget drops what waits for targets that are configured no more.
func (o *Outbox) Forget(ctx context.Context) error {
	var gone [][]byte
	if err := o.Each(ctx, "n", func(key []byte, _ *Work) (bool, error) {
		if !slices.ContainsFunc(o.targets, func(t Target) bool { return len(key) > 17 && string(key[1:17]) == t.id() }) {
			gone = append(gone, key)
		}
		return true, nil
	}); err != nil {
		return err
	}
	for part := range slices.Chunk(gone, batch) {
		if err := o.local.Update(ctx, func(tx *store.Txn) error {
			for _, key := range part {
				tx.Space(space).Delete(key)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
