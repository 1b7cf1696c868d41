package trust

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/verify"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Options are what a client is made of.
type Options struct {
	Authority verify.Authority // of kind tuf: its name and its first trusted root
	Clock     func() time.Time
}

// Client follows one TUF repository. It has no state: a value may be used by several goroutines.
type Client struct {
	name  string
	root  []byte
	first string // names the root that somebody configured
	clock func() time.Time
	pins  int // the most that are taken
}

// New checks the authority's first root. Errors: ErrMalformed, ErrThreshold, ErrTooBig, ErrTooMany.
func New(o Options) (*Client, error) {
	if o.Authority.Kind != verify.KindTUF || o.Authority.TUF == nil {
		return nil, failf(ErrMalformed, "", "authority %s is of kind %s, which has no TUF repository", o.Authority.Name, o.Authority.Kind)
	}
	root := []byte(o.Authority.TUF.Root)
	if _, err := Begin(nil, map[string][]byte{metadata.ROOT: root}, o.Clock()); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(root)
	return &Client{name: o.Authority.Name, root: root, first: hex.EncodeToString(digest[:]), clock: o.Clock, pins: MaxPins}, nil
}

// format names the form of memory and the rules by which pins and content were read: another one reads everything again.
const format = 1

// memory is what TUFState.Metadata holds: the metadata that guards against going back, as it was received.
type memory struct {
	Format    int       `json:"format"`
	First     string    `json:"first"` // the configured root from which it was verified
	Root      []byte    `json:"root"`
	Timestamp []byte    `json:"timestamp,omitempty"`
	Snapshot  []byte    `json:"snapshot,omitempty"`
	Read      string    `json:"read,omitempty"` // the root and snapshot of which everything was read into the state
	End       time.Time `json:"end,omitzero"`   // of all of it but the timestamp
}

// remember reads memory back. What was written by another program, or from another configured root, is not trusted as a root; as a guard against going back it is, where today's keys vouch for it.
func (c *Client) remember(previous *verify.TUFState) (memory, map[string][]byte) {
	m := memory{}
	trusted := map[string][]byte{metadata.ROOT: c.root}
	if previous == nil || previous.Authority != c.name || json.Unmarshal(previous.Metadata, &m) != nil {
		return memory{}, trusted
	}
	if m.First == c.first && len(m.Root) > 0 {
		trusted[metadata.ROOT] = m.Root
	}
	for role, b := range map[string][]byte{metadata.TIMESTAMP: m.Timestamp, metadata.SNAPSHOT: m.Snapshot} {
		if len(b) > 0 {
			trusted[role] = b
		}
	}
	return m, trusted
}

// Refresh reads the repository from a source and says what it says now; previous is what it said before, or nil. It verifies from previous.Metadata, or from the authority's
// first root, on. Where nothing changed but the timestamp, the result is previous with new ends.
//
// On an error the result is nil, or previous with only Metadata advanced: a root, timestamp or snapshot that was verified before the failure, which whoever keeps the state
// stores, so that nobody can go back behind it; the rest stays in force until it expires. Errors: all kinds, [Error].
func (c *Client) Refresh(ctx context.Context, source Source, previous *verify.TUFState) (*verify.TUFState, error) {
	now := c.clock()
	before, trusted := c.remember(previous)
	session, err := Begin(source, trusted, now)
	if err != nil { // only a store that was tampered with gets here: the root was verified when it was written
		return nil, err
	}
	state, err := c.refresh(ctx, session, before, previous)
	if err == nil {
		return state, nil
	}
	if x, ok := errors.AsType[*excluded](err); ok {
		err = x.error
	}
	if previous == nil || previous.Authority != c.name {
		return nil, err
	}
	kept := *previous
	kept.Metadata = c.memory(session, before.Read, before.End)
	return &kept, err
}

// Guard is for whoever does not put a new state into force, because a policy in it does not compile, say: previous, with that which guards against going back taken from the
// new state, to be stored. Everything else is read again at the next refresh. It is nil without a previous state.
func Guard(previous, state *verify.TUFState) *verify.TUFState {
	var m memory
	if previous == nil || json.Unmarshal(state.Metadata, &m) != nil {
		return previous
	}
	m.Read, m.End = "", time.Time{}
	kept := *previous
	kept.Metadata = m.encode()
	return &kept
}

func (c *Client) refresh(ctx context.Context, s *Session, before memory, previous *verify.TUFState) (*verify.TUFState, error) {
	if err := s.updateTop(ctx); err != nil {
		return nil, err
	}
	read := revision("assay.tuf.read/v1", string(s.trusted[metadata.ROOT]), string(s.trusted[metadata.SNAPSHOT]))
	if previous != nil && before.Format == format && before.Read == read && s.now.Before(before.End) {
		return c.finish(s, *previous, read, before.End), nil
	}
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	w, err := s.walk(ctx)
	if err != nil {
		return nil, err
	}
	state := verify.TUFState{Authority: c.name}
	all := content{material: map[string]verify.Material{}, policies: map[string][]byte{}}
	err = w.targets(ctx, func(t Target) error {
		if isContent(t.Path) {
			return all.add(ctx, w, t)
		}
		pin, err := w.pin(t)
		if err != nil {
			w.problem("%s", err)
			return nil
		}
		if len(state.Pins) >= c.pins {
			return failf(ErrTooMany, t.Role, "the repository pins more than %d tags, those of %s among them", c.pins, label(t.Role))
		}
		state.Pins = append(state.Pins, pin)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(state.Pins, func(a, b verify.Pin) int {
		return cmp.Or(strings.Compare(string(a.Repository), string(b.Repository)), strings.Compare(a.Tag, b.Tag))
	})
	state.Material, state.Policies, state.Problems = all.material, all.policies, w.problems
	state.Targets = s.machine.Targets[metadata.TARGETS].Signed.Version
	state.Revision = stateRevision(&state)
	return c.finish(s, state, read, w.end()), nil
}

// finish sets what the top-level roles say into a state whose content was read.
func (c *Client) finish(s *Session, state verify.TUFState, read string, end time.Time) *verify.TUFState {
	state.Root, state.Timestamp, state.Snapshot = s.machine.Root.Signed.Version, s.machine.Timestamp.Signed.Version, s.machine.Snapshot.Signed.Version
	state.Expires = earlier(end, s.machine.Timestamp.Signed.Expires).UTC()
	state.CheckedAt = s.now.UTC()
	state.Metadata = c.memory(s, read, end)
	return &state
}

func (c *Client) memory(s *Session, read string, end time.Time) []byte {
	return memory{
		Format: format, First: c.first, Read: read, End: end,
		Root: s.trusted[metadata.ROOT], Timestamp: s.trusted[metadata.TIMESTAMP], Snapshot: s.trusted[metadata.SNAPSHOT],
	}.encode()
}

func (m memory) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil { // bytes, strings and a time that was parsed from JSON
		return nil
	}
	return b
}

// stateRevision names what a verdict can depend on.
func stateRevision(s *verify.TUFState) string {
	parts := []string{"assay.tuf.state/v1", strconv.Itoa(len(s.Pins))}
	for _, p := range s.Pins {
		parts = append(parts, string(p.Repository), p.Tag, string(p.Digest), strconv.FormatInt(p.Length, 10), p.Role)
	}
	parts = append(parts, strconv.Itoa(len(s.Material)))
	for _, name := range slices.Sorted(maps.Keys(s.Material)) {
		m := s.Material[name]
		parts = append(parts, name, m.TrustedRoot, strconv.Itoa(len(m.Keys)))
		for _, k := range m.Keys {
			parts = append(parts, k.ID, k.PEM)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(s.Policies)) {
		parts = append(parts, path, string(s.Policies[path]))
	}
	return revision(parts...)
}

// revision hashes strings so that no two lists meet: each is preceded by its length.
func revision(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
