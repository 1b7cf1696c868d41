package licences

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// places remember what texts come to. There are so many of them, whatever texts come: a text has two that it may be in, and puts out what is in the second. Safe for concurrent use.
type places[V any] struct {
	seed maphash.Seed
	list [textPlaces]atomic.Pointer[placed[V]]
}

const textPlaces = 2048

type placed[V any] struct {
	text  string
	value V
}

func newPlaces[V any]() *places[V] { return &places[V]{seed: maphash.MakeSeed()} }

// of is what a text comes to, by what makes it where it is not known.
func (p *places[V]) of(text string, make func(text string) V) V {
	hash := maphash.String(p.seed, text)
	first, second := &p.list[hash%textPlaces], &p.list[hash>>32%textPlaces]
	for _, place := range [...]*atomic.Pointer[placed[V]]{first, second} {
		if known := place.Load(); known != nil && known.text == text {
			return known.value
		}
	}
	text = strings.Clone(text) // the document that it is a part of is not kept
	one := &placed[V]{text, make(text)}
	if !first.CompareAndSwap(nil, one) {
		second.Store(one)
	}
	return one.value
}
