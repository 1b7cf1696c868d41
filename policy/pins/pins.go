package pins

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Max is the most tags that one TUF repository may pin.
const Max = 1 << 17

// Set is what a TUF repository says, ready for look-ups: pins by tag and, by an order of them, by digest. Beyond the state, it takes four bytes for each pin.
type Set struct {
	*verify.TUFState
	Anchor   string  // hash of the first trusted root.json that it was verified from
	Warn     bool    // expired metadata goes on counting
	byDigest []int32 // indexes of Pins, ordered by repository and digest
}

// New prepares a state. Errors: CodeInvalid.
func New(s *verify.TUFState) (*Set, error) {
	if len(s.Pins) > Max {
		return nil, store.Errorf(store.CodeInvalid, "the TUF repository of %s pins %d tags; at most %d are taken: split it by repository", s.Authority, len(s.Pins), Max)
	}
	for i, p := range s.Pins {
		if _, err := store.ParseName(string(p.Repository)); err != nil {
			return nil, err
		}
		if _, err := store.ParseDigest(string(p.Digest)); err != nil {
			return nil, err
		}
		if i > 0 && comparePins(s.Pins[i-1], p) >= 0 {
			return nil, store.Errorf(store.CodeInvalid, "the pins of %s are out of order at %.200s", s.Authority, p.Target())
		}
	}
	n := &Set{TUFState: s, byDigest: make([]int32, len(s.Pins))}
	for i := range n.byDigest {
		n.byDigest[i] = int32(i)
	}
	slices.SortStableFunc(n.byDigest, func(x, y int32) int { return compareDigests(s.Pins[x], s.Pins[y]) })
	return n, nil
}

func comparePins(x, y verify.Pin) int {
	return cmp.Or(strings.Compare(string(x.Repository), string(y.Repository)), strings.Compare(x.Tag, y.Tag))
}

func compareDigests(x, y verify.Pin) int {
	return cmp.Or(strings.Compare(string(x.Repository), string(y.Repository)), strings.Compare(string(x.Digest), string(y.Digest)))
}

// Tag is the pin of a tag, or nil.
func (n *Set) Tag(repo store.Name, tag string) *verify.Pin {
	i, found := slices.BinarySearchFunc(n.Pins, verify.Pin{Repository: repo, Tag: tag}, comparePins)
	if !found {
		return nil
	}
	return &n.Pins[i]
}

// Digest are the pins of a digest, at most so many.
func (n *Set) Digest(repo store.Name, d store.Digest, most int) []*verify.Pin {
	wanted := verify.Pin{Repository: repo, Digest: d}
	i := sort.Search(len(n.byDigest), func(i int) bool { return compareDigests(n.Pins[n.byDigest[i]], wanted) >= 0 })
	var pins []*verify.Pin
	for ; i < len(n.byDigest) && len(pins) < most; i++ {
		p := &n.Pins[n.byDigest[i]]
		if p.Repository != repo || p.Digest != d {
			break
		}
		pins = append(pins, p)
	}
	return pins
}

// Ends is when what it says ceases to count; zero if it does not.
func (n *Set) Ends() time.Time {
	if n.Warn {
		return time.Time{}
	}
	return n.Expires
}

// Expired reports whether it ceased to count.
func (n *Set) Expired(now time.Time) bool { return !n.Ends().IsZero() && !now.Before(n.Ends()) }

// Fits reports whether a pin means a manifest.
func Fits(p *verify.Pin, s verify.Subject) bool {
	return (p.Digest == s.Descriptor.Digest || p.Digest == s.Alternate) && p.Length == s.Descriptor.Size
}

// Differing are the pins of either state that the other does not have just so, but for the version of the metadata around them. Both are ordered.
func Differing(old, now *Set, all bool) []verify.Pin {
	var x []verify.Pin
	if old != nil {
		x = old.Pins
	}
	y := now.Pins
	if all {
		return slices.Concat(x, y)
	}
	var pins []verify.Pin
	for len(x) > 0 || len(y) > 0 {
		switch c := compareHeads(x, y); {
		case c < 0:
			pins, x = append(pins, x[0]), x[1:]
		case c > 0:
			pins, y = append(pins, y[0]), y[1:]
		default:
			if v := y[0]; x[0] != (verify.Pin{Repository: v.Repository, Tag: v.Tag, Digest: v.Digest, Length: v.Length, Role: v.Role, Version: x[0].Version}) {
				pins = append(pins, x[0], y[0])
			}
			x, y = x[1:], y[1:]
		}
	}
	return pins
}

func compareHeads(x, y []verify.Pin) int {
	switch {
	case len(x) == 0:
		return 1
	case len(y) == 0:
		return -1
	}
	return comparePins(x[0], y[0])
}
